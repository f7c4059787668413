"""The shop: its rules, its text, its exact values, and players of the skill that they are said to have."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcritic.environments.shop import ACTIONS, State, act, actions, draw_shop, earned, follow, start
from actorcritic.environments.shop_players import choice_weights, shop_critic, shop_shopper
from actorcritic.environments.shop_values import ShopValues, values_of
from actorcritic.environments.web_shop import WebShop, shop_problem, shop_seed
from actorcritic.errors import InputError
from actorcritic.metering import free_meter
from actorcritic.types import Problem, Sampling, Solution, Step

moves = st.lists(st.integers(0, 99), max_size=ACTIONS)


def walk(seed: int, numbers: list[int]) -> list[State]:
    """Return the states of a random walk; each number picks an action."""
    shop, states = draw_shop(seed), [start()]
    for number in numbers:
        can = actions(shop, states[-1])
        if not can or states[-1].left == 0:
            break
        states.append(act(shop, states[-1], can[number % len(can)]))
    return states


@given(seed=st.integers(0, 300), numbers=moves)
@settings(max_examples=60, deadline=None)
def test_every_action_takes_its_time_and_every_state_but_the_end_has_some(seed: int, numbers: list[int]) -> None:
    states = walk(seed, numbers)
    assert [state.left for state in states] == list(range(ACTIONS, ACTIONS - len(states), -1))
    for state in states:
        assert bool(actions(draw_shop(seed), state)) == (state.page != "end")


@given(seed=st.integers(0, 20), numbers=moves)
@settings(max_examples=40, deadline=None)
def test_no_play_earns_more_than_its_state_is_worth(seed: int, numbers: list[int]) -> None:
    values = values_of(seed)
    states = walk(seed, numbers)
    worths = [values.value(state) for state in states if state.page != "end"]
    assert worths == sorted(worths, reverse=True), "an action can lose value, never gain any"
    if states[-1].page == "end":
        assert 0 <= earned(values.shop, states[-2]) <= worths[-1]


def test_the_optimum_is_what_plain_enumeration_finds() -> None:
    """Without a memory and without pruning, from a state with few actions left."""

    def best(seed: int, state: State) -> float:
        if state.left == 0:
            return 0.0
        shop = draw_shop(seed)
        afters = ((action, follow(state, action)) for action in actions(shop, state))
        return max(earned(shop, state) if action == "buy" else best(seed, after) for action, after in afters)

    for seed in (3, 7):
        short = State(left=5)
        assert ShopValues(draw_shop(seed)).value(short) == best(seed, short) > 0


def test_playing_the_best_action_always_reaches_the_optimum() -> None:
    for seed in range(8):
        values, state, won = values_of(seed), start(), 0.0
        while state.page != "end":
            before, state = state, follow(state, max(actions(values.shop, state), key=lambda a: values.worth(state, a)))
            won = earned(values.shop, before) if state.page == "end" else 0.0
        assert won == values.optimum


def test_what_cannot_be_done_changes_nothing_but_the_time() -> None:
    shop = draw_shop(1)
    for nonsense in ("", "buy", "search[unicorns]", "click[G0]", "\ud800", "x" * 10_000):
        assert act(shop, start(), nonsense) == State(left=ACTIONS - 1)


async def test_the_environment_says_what_can_be_done_and_what_could_not() -> None:
    shop = WebShop(2)
    first = await shop.reset()
    assert "Buy a" in first.text and first.actions == actions(draw_shop(2), start()) and first.reward is None
    wrong = await shop.step("fly[home]")
    assert "There is no 'fly[home]' here." in wrong.text and not wrong.done and wrong.state != first.state
    last = wrong
    for _ in range(ACTIONS - 1):
        last = await shop.step("fly[home]")
    assert (last.done, last.text, last.actions, last.reward) == (True, "Your time is up.", (), 0.0)


async def test_a_purchase_ends_the_episode_and_earns_its_worth() -> None:
    shop = WebShop(2)
    await shop.reset()
    query = draw_shop(2).wish.category
    good = draw_shop(2).found(query)[0]
    for action in (f"search[{query}]", f"click[{good.id}]"):
        await shop.step(action)
    snapshot = await shop.snapshot()
    bought = await shop.step("BUY ")
    await shop.restore(snapshot)
    again = await shop.step("buy")
    assert bought == again and bought.done and bought.reward is not None and 0 < bought.reward < 1


def test_a_problem_without_a_shop_is_refused() -> None:
    with pytest.raises(InputError, match=r"meta\.shop"):
        shop_seed(Problem(id="p", prompt="Buy something."))


def test_a_shopper_without_error_looks_for_what_is_best() -> None:
    values = values_of(5)
    weights = choice_weights(5, start(), error=0.0, spread=0.05)
    assert abs(sum(weights.values()) - 1) < 1e-9
    assert values.worth(start(), max(weights, key=weights.__getitem__)) == values.optimum


async def test_a_shopper_says_how_probable_its_action_was_and_greedy_takes_the_likeliest() -> None:
    problem = await shop_problem(5)
    weights = choice_weights(5, start(), error=0.25, spread=0.1)
    actor = shop_shopper()
    solution = await actor.propose(problem, meter=free_meter(), sampling=Sampling(temperature=0.0), max_steps=1)
    assert solution.steps[0].text == max(weights, key=weights.__getitem__)
    drawn = [await actor.propose(problem, meter=free_meter(seed), max_steps=1) for seed in range(200)]
    likeliest = solution.steps[0].text
    share = fmean(one.steps[0].text == likeliest for one in drawn)
    assert abs(share - weights[likeliest]) < 0.12


async def test_a_judge_is_as_good_as_it_is_said_to_be() -> None:
    problem, values = await shop_problem(5), values_of(5)
    draw = random.Random(0)
    errors: list[float] = []
    for _ in range(60):
        steps: list[Step] = []
        state, shop = start(), WebShop(5)
        await shop.reset()
        for _ in range(draw.randrange(1, 4)):
            action = draw.choice(actions(values.shop, state))
            state = follow(state, action)
            steps.append(Step(text=action, observation=await shop.step(action)))
            if state.page == "end":
                break
        if state.page == "end":
            continue
        solution = Solution(steps=tuple(steps), complete=False)
        exact = await shop_critic(error=0.0).critique(problem, solution, meter=free_meter())
        noisy = await shop_critic(error=0.15).critique(problem, solution, meter=free_meter())
        assert exact.score is not None and noisy.score is not None
        assert abs(exact.score - values.value(state)) <= 0.05 + 1e-9, "rounded to tenths"
        errors.append(noisy.score - exact.score)
    assert 0.03 < fmean(abs(error) for error in errors) < 0.2
