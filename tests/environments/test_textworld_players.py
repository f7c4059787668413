"""The cook and the judge of games in words: what they read, how they go by it, how wrong they are said to be."""

from __future__ import annotations

import math
from statistics import fmean, pstdev

import pytest

from actorcritic.environments.textworld_players import Kitchen, appeal, textworld_cook, textworld_judge
from actorcritic.metering import free_meter
from actorcritic.observation import Observation
from actorcritic.types import Problem, Sampling, Solution, Step

COOKBOOK = """You open the copy of "Cooking" and start reading:

Recipe #1
---------
Gather all following ingredients and follow the directions to prepare this tasty meal.

Ingredients:
red apple
  carrot

Directions:
dice the red apple
  fry the red apple
  roast the carrot
  prepare meal"""
POINT = "Your score has just gone up by one point."
READ = ("examine cookbook", COOKBOOK)
ACTIONS = ("cook carrot with oven", "cook carrot with stove", "examine cookbook", "go north", "look", "take carrot")
PROBLEM = Problem(
    id="p",
    prompt="You are hungry!\n\n-= Kitchen =-\nYou see a stove.",
    checker="environment",
    meta={"actions": list(ACTIONS)},
)


def played(*pairs: tuple[str, str], done: bool = False) -> Solution:
    steps = tuple(Step(text=text, observation=Observation(text=shown, actions=ACTIONS)) for text, shown in pairs)
    return Solution(steps=steps, complete=done)


def test_a_recipe_is_read_from_what_was_shown() -> None:
    kitchen = Kitchen((READ, ("take red apple from table", POINT)))
    assert kitchen.foods == {"red apple", "carrot"}
    assert kitchen.ways == {("dice", "red apple"), ("fry", "red apple"), ("roast", "carrot")}
    assert (kitchen.points, kitchen.possible) == (1, 7), "two foods, three ways, the meal, and to eat it"
    assert Kitchen(()).foods == frozenset() and not Kitchen(()).ruined


@pytest.mark.parametrize(
    ("done", "ruined"),
    [
        (("cook red apple with stove",), False),
        (("cook red apple with oven",), True),
        (("cook red apple with stove", "cook red apple with stove"), True),
        (("chop carrot with knife",), True),
        (("cook pork chop with stove", "eat pork chop"), False),
    ],
)
def test_what_the_recipe_does_not_say_ruins_the_meal(done: tuple[str, ...], ruined: bool) -> None:
    assert Kitchen((READ, *((action, "Done.") for action in done))).ruined is ruined


def test_rules_of_thumb() -> None:
    blind, read = Kitchen((("look", "A kitchen."),)), Kitchen((READ,))
    assert appeal("examine cookbook", blind) == 1.0 > appeal("examine cookbook", read)
    assert appeal("cook carrot with oven", read) > 0.5 > appeal("cook carrot with stove", read) == 0.0
    assert appeal("take carrot from fridge", read) > appeal("take pork chop from fridge", read)
    assert appeal("prepare meal", read) == appeal("eat carrot", read) == 0.0
    ready = Kitchen((READ, *((one, "Done.") for one in ("dice red apple with knife", "cook red apple with stove"))))
    assert appeal("prepare meal", ready) == 0.0
    assert appeal("prepare meal", Kitchen((*ready.played, ("cook carrot with oven", "Done.")))) == 1.0
    assert appeal("take knife from table", read) > appeal("take knife from table", ready), "nothing is left to cut"


def test_the_same_way_from_the_same_room_looks_worse_each_time() -> None:
    once = Kitchen((("go north", "-= Hall =-"), ("go south", "-= Kitchen =-")), opening="-= Kitchen =-")
    assert (once.times("go north"), once.times("go south")) == (1, 0)
    assert appeal("go south", once) > appeal("go north", once)
    assert once.times("look") == 0


async def test_a_cook_without_error_takes_what_looks_best_and_says_how_probable_it_was() -> None:
    cook = textworld_cook(error=0.0, spread=0.05)
    solution = await cook.propose(PROBLEM, meter=free_meter(), sampling=Sampling(temperature=0.0), max_steps=1)
    assert solution.steps[0].text == "examine cookbook"
    assert math.isclose(solution.steps[0].logprobs[0], 0.0, abs_tol=1e-3)
    after = await cook.extend(
        PROBLEM, played(READ), meter=free_meter(), sampling=Sampling(temperature=0.0), max_steps=1
    )
    assert after.steps[1].text == "cook carrot with oven"


async def test_a_cook_errs_in_the_same_way_every_time_and_draws_by_the_seed() -> None:
    cook, still = textworld_cook(), Sampling(temperature=0.0)
    greedy = {
        (await cook.propose(PROBLEM, meter=free_meter(seed), sampling=still, max_steps=1)).steps[0].text
        for seed in range(5)
    }
    assert len(greedy) == 1
    drawn = [(await cook.propose(PROBLEM, meter=free_meter(seed), max_steps=1)).steps[0].text for seed in range(60)]
    again = [(await cook.propose(PROBLEM, meter=free_meter(seed), max_steps=1)).steps[0].text for seed in range(60)]
    assert drawn == again and set(drawn) <= set(ACTIONS)
    assert fmean(one in greedy for one in drawn) == max(fmean(one == each for one in drawn) for each in set(drawn))


async def test_a_judge_goes_by_the_points_and_sees_what_is_ruined() -> None:
    judge = textworld_judge(error=0.0)

    async def score(solution: Solution) -> float:
        said = await judge.critique(PROBLEM, solution, meter=free_meter())
        assert said.score is not None
        return said.score

    blind = await score(played(("look", "A kitchen.")))
    read = await score(played(READ))
    taken = await score(played(READ, ("take carrot", POINT)))
    ruined = await score(played(READ, ("take carrot", POINT), ("cook carrot with stove", "You fried the carrot.")))
    assert blind < read < taken and ruined < blind
    won = played(READ, ("eat meal", "*** The End ***\n\nYou scored 7 out of a possible 7, in 9 turns."), done=True)
    lost = played(READ, ("cook carrot with stove", "*** You lost! ***\n\nYou scored 3 out of a possible 7."), done=True)
    assert (await score(won), await score(lost)) == (1.0, 0.4)


async def test_a_judge_is_as_noisy_as_it_is_said_to_be() -> None:
    judge, errors = textworld_judge(error=0.15), list[float]()
    for number in range(150):
        solution = played(READ, *[("look", "A kitchen.")] * (number % 5), (f"examine shelf {number}", "A shelf."))
        said = await judge.critique(PROBLEM, solution, meter=free_meter())
        assert said.score is not None
        errors.append(said.score - 0.6)
    assert abs(fmean(errors)) < 0.04 and 0.1 < pstdev(errors) < 0.19
