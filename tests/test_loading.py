"""Roles from specs: the packaged pair really answers, one model may play both roles, mistakes are one line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from actorcritic import loading
from actorcritic.critic import CalculationCritic, ExecutionCritic, ModelCritic
from actorcritic.engines.memo import MemoEngine
from actorcritic.errors import InputError
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat
from actorcritic.formats.embedded import EmbeddedActorFormat, EmbeddedCriticFormat, pair_for
from actorcritic.graphs.trial import Attempt, outcome_of
from actorcritic.loading import EMBEDDED, PACKAGED, LoadOptions, fitting_pair, load_roles
from actorcritic.metering import free_meter
from actorcritic.search.ranking import score_of
from actorcritic.tasks.oracle import OracleCritic
from actorcritic.types import Problem, Verdict
from tests.engines.reward_models import save_outcome, save_skywork
from tests.engines.tiny import save_tiny
from tests.tools.sandboxes import sandbox_of

PROBLEM = Problem(id="p", prompt="Use 7, 13 and 14 to make 15.")
SUM = Problem(id="a", prompt="Work out ((1 + 2) * (3 + 4)) - (5 + (6 + 7))")


async def test_the_packaged_pair_writes_and_judges() -> None:
    roles = load_roles()
    try:
        assert isinstance(roles.actor.format, EmbeddedActorFormat) and isinstance(roles.critic, ModelCritic)
        assert isinstance(roles.critic.format, EmbeddedCriticFormat) and roles.exact and len(roles.engines) == 2
        meter = free_meter(1)
        solution = await roles.actor.propose(PROBLEM, meter=meter)
        critique = await roles.critic.critique(PROBLEM, solution, meter=meter)
        assert len(critique.steps) == len(solution.steps) == 2
        assert critique.verdict is not Verdict.UNSCORED and critique.score is not None and 0 <= critique.score <= 1
        assert all(step.logprobs for step in solution.steps)
        assert roles.prompt_tokens(PROBLEM) < roles.trial_tokens([PROBLEM])
    finally:
        await roles.aclose()


async def test_a_pair_trained_anew_is_named_by_its_folder() -> None:
    roles = load_roles(f"embedded:{EMBEDDED}", "none")
    try:
        assert roles.critic is None and isinstance(roles.actor.format, EmbeddedActorFormat)
        assert (await roles.actor.propose(PROBLEM, meter=free_meter())).steps
    finally:
        await roles.aclose()


@pytest.mark.parametrize("spec", PACKAGED)
async def test_every_packaged_pair_answers_what_it_is_for(spec: str) -> None:
    roles = load_roles(spec)
    try:
        assert isinstance(roles.critic, ModelCritic)
        for problem in (PROBLEM, SUM):
            if pair_for(problem) == spec:
                solution = await roles.actor.propose(problem, meter=free_meter(2))
                assert len((await roles.critic.critique(problem, solution, meter=free_meter())).steps) >= 2
            else:
                with pytest.raises(InputError, match=f"does not know .*: take {pair_for(problem)} for it"):
                    await roles.actor.propose(problem, meter=free_meter())
    finally:
        await roles.aclose()


@pytest.mark.parametrize(
    ("spec", "problems", "fitting"),
    [
        ("embedded", (SUM,), "embedded:arithmetic"),
        ("vllm:embedded", (SUM, SUM), "vllm:embedded:arithmetic"),
        ("embedded", (PROBLEM, Problem(id="s", prompt="Fill the sudoku 1.../..2./.3../4...")), "embedded"),
        ("embedded", (PROBLEM, SUM), "embedded"),
        ("embedded", (Problem(id="f", prompt="Who is there?"),), "embedded"),
        ("embedded", (SUM, Problem(id="f", prompt="Who is there?")), "embedded"),
        ("embedded", (), "embedded"),
        ("embedded:/some/folder", (SUM,), "embedded:/some/folder"),
        ("hf:embedded", (SUM,), "hf:embedded"),
        ("none", (SUM,), "none"),
    ],
)
def test_the_packaged_pair_is_the_one_that_knows_the_problems(
    spec: str, problems: tuple[Problem, ...], fitting: str
) -> None:
    assert fitting_pair(spec, problems) == fitting


def test_a_pair_is_asked_for_what_its_own_words_allow(tmp_path: Path) -> None:
    for role in ("actor", "critic"):
        words = loading._words(EMBEDDED / role)
        assert {"numbers ", "sudoku ", "judge\n"} <= words
    (tmp_path / "tokenizer.json").write_text('{"model": {}}')
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"holds no model of an embedded pair"):
            loading._words(folder)


async def test_one_chat_model_plays_both_roles_on_one_engine(tmp_path: Path) -> None:
    spec = f"hf:{save_tiny(tmp_path / 'tiny')}"
    roles = load_roles(spec, options=LoadOptions(max_tokens=12, temperature=0.5))
    try:
        assert len(roles.engines) == 1 and isinstance(roles.critic, ModelCritic)
        assert roles.critic.engine is roles.actor.engine
        assert isinstance(roles.actor.format, ChatActorFormat) and isinstance(roles.critic.format, ChatCriticFormat)
        assert roles.critic.format.follows is roles.actor.format
        assert roles.actor.max_tokens == 12 and roles.actor.sampling.temperature == 0.5
    finally:
        await roles.aclose()


async def test_sharing_samples_wraps_every_engine_once() -> None:
    roles = load_roles().sharing_samples()
    try:
        assert len(roles.engines) == 2 and all(isinstance(engine, MemoEngine) for engine in roles.engines)
        assert roles.actor.engine is roles.engines[0]
        first = await roles.actor.propose(PROBLEM, meter=free_meter(4))
        assert await roles.actor.propose(PROBLEM, meter=free_meter(4)) == first
        assert isinstance(roles.actor.engine, MemoEngine) and roles.actor.engine.hits == 1
    finally:
        await roles.aclose()


async def test_critics_that_need_no_model() -> None:
    kinds = (("oracle", OracleCritic), ("calculate", CalculationCritic), ("execution", ExecutionCritic))
    for spec, kind in kinds:
        roles = load_roles("embedded", spec)
        assert isinstance(roles.critic, kind) and len(roles.engines) == 1
        await roles.aclose()


async def test_a_critic_by_execution_names_its_sandbox() -> None:
    sandbox_of("bubblewrap")
    roles = load_roles("embedded", "execution:bubblewrap")
    assert isinstance(roles.critic, ExecutionCritic) and roles.critic.sandbox.name == "bubblewrap"
    await roles.aclose()


def test_an_unknown_sandbox_is_one_line() -> None:
    with pytest.raises(InputError, match="unknown sandbox 'docker'; choose from: monty, bubblewrap"):
        load_roles("embedded", "execution:docker")


@pytest.mark.parametrize("spec", ["wish", "wish:x", "hf:", "vllm:x", "hf:/no/such/folder", "embedded:/no/such/folder"])
def test_a_spec_that_means_nothing_is_one_line(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        load_roles(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["hf-prm:{}?format=skywork", "hf-orm:{}"])
async def test_a_reward_model_is_one_more_engine(tmp_path: Path, source: str) -> None:
    save = save_outcome if source.startswith("hf-orm") else save_skywork
    roles = load_roles(critic="none", reward_model=source.format(save(tmp_path)))
    try:
        assert roles.reward_model is not None and len(roles.engines) == 2 and roles.exact
        alone = load_roles(critic="none")
        assert roles.trial_tokens([PROBLEM]) > alone.trial_tokens([PROBLEM])
        meter = free_meter()
        solution = await roles.actor.propose(PROBLEM, meter=meter)
        reward = await roles.reward_model.score(PROBLEM, solution, meter=meter)
        assert reward.score is not None and len(reward.steps) == (2 if "prm" in source else 0)
        shared = roles.sharing_samples()
        assert shared.reward_model is not None and isinstance(shared.reward_model.engine, MemoEngine)
        again = [await shared.reward_model.score(PROBLEM, solution, meter=free_meter(seed)) for seed in range(2)]
        assert again == [reward, reward] and shared.reward_model.engine.hits == 1
    finally:
        await roles.aclose()


async def test_the_critic_s_step_scores_are_its_token_probabilities_and_aggregate_like_a_reward_model_s() -> None:
    """The packaged critic is a generative process reward model: one verdict token per step."""
    roles = load_roles()
    try:
        critic = roles.critic
        assert isinstance(critic, ModelCritic)
        for seed in range(4):
            meter = free_meter(seed)
            solution = await roles.actor.propose(PROBLEM, meter=meter)
            critique = await critic.critique(PROBLEM, solution, meter=meter)
            generation = meter.calls[-1].generation
            assert generation is not None
            tops = [{text.strip(): p for text, p in token.top.items()} for token in generation.tokens]
            accepted = [math.exp(top.get("ok", -math.inf)) for top in tops[: len(solution.steps)]]
            told = outcome_of(Attempt(solution=solution, critique=critique), 0)
            assert [step.score for step in critique.steps] == pytest.approx(accepted, abs=1e-6)
            for how, plain in (("min", min(accepted)), ("product", math.prod(accepted)), ("last", accepted[-1])):
                assert score_of("critic", how)(told) == pytest.approx(plain, abs=1e-6)
            assert score_of("critic", "mean")(told) == pytest.approx(sum(accepted) / len(accepted), abs=1e-6)
    finally:
        await roles.aclose()
