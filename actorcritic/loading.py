"""From models to roles: model specs (`embedded`, `hf:PATH_OR_ID`, `vllm:PATH_OR_ID`, `openai:MODEL@URL`) and objects.

`embedded:arithmetic` is the packaged pair for that family, `embedded:FOLDER` one trained anew; an object is an engine
or a LangChain chat model. One engine serves both roles where both name the same model. Heavy imports happen when a
model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, Union

from actorcritic.actor import ModelActor
from actorcritic.critic import CalculationCritic, ExecutionCritic, ModelCritic
from actorcritic.engines.langchain import LangChainEngine, is_chat_model
from actorcritic.engines.load import load_engine
from actorcritic.engines.load_reward import load_reward_engine, parse_reward_spec
from actorcritic.engines.memo import MemoEngine
from actorcritic.engines.openai.retrying import Gate
from actorcritic.engines.vllm.loading import load_vllm
from actorcritic.errors import InputError
from actorcritic.formats.chat import ChatActorFormat, ChatCriticFormat
from actorcritic.formats.embedded import PAIR_OF, EmbeddedActorFormat, EmbeddedCriticFormat, pair_for
from actorcritic.protocols import Critic, Engine, RewardModel
from actorcritic.reward_model import CriticRewardModel, EngineRewardModel, VerifierRewardModel
from actorcritic.tasks.checkers import has_gold
from actorcritic.tasks.oracle import OracleCritic, TaskVerifier
from actorcritic.tools.sandboxes import sandbox_named
from actorcritic.types import Problem, Reference, Sampling

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = [
    "MODEL_FREE_CRITICS",
    "PACKAGED",
    "VERIFIERS",
    "EngineOf",
    "LoadOptions",
    "Model",
    "Roles",
    "fitting_pair",
    "load_roles",
    "load_verifier",
]

Model: TypeAlias = Union[str, Engine, "BaseChatModel"]
"""A model spec, an engine, or a LangChain chat model."""

MODEL_FREE_CRITICS = ("oracle", "calculate", "execution", "execution:bubblewrap", "none")
"""Critics that need no model, beside the model specs; `execution` runs code, in `monty` unless it names a sandbox."""

VERIFIERS = ("oracle", "calculate")
"""Verifiers by name: the task's own checker or gold answer, which makes an oracle run; or recomputed equations."""

_MODELS = Path(__file__).parent / "models"
PACKAGED: Mapping[str, Path] = {spec: _MODELS / spec.replace(":", "-") for spec in PAIR_OF.values()}
"""The folders of the packaged pairs by their specs."""
EMBEDDED = PACKAGED["embedded"]
EMBEDDED_THREADS = 1
"""Models this small are slower on more."""


class EngineOf(Protocol):
    """Gives the engine of a spec, the same one for the same spec."""

    def __call__(self, of: str, threads: int | None = None) -> Engine:
        """Return the engine, loaded where it was not; `threads` = None leaves the choice to its library."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How models are loaded and sampled."""

    device: str = "auto"
    dtype: str = "auto"
    temperature: float = 1.0
    """Of the actor; 0 = greedy. A critic is greedy."""
    max_tokens: int = 1024
    """Completion tokens of one solution at most; the embedded pair's own limit is lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who plays in a run."""

    actor: ModelActor
    critic: Critic | None
    engines: Sequence[Engine] = field(default_factory=tuple[Engine, ...])
    """Every engine once; close them when done."""
    reward_model: EngineRewardModel | None = None

    @property
    def exact(self) -> bool:
        """True where every engine counts a prompt exactly, so that a token budget is hard."""
        return all(engine.info.capabilities.exact_counts for engine in self.engines)

    def prompt_tokens(self, problem: Problem) -> int:
        """Return how many tokens the actor's prompt for a problem has."""
        return len(self.actor.engine.encode(self.actor.format.propose(problem)))

    def trial_tokens(self, problems: Sequence[Problem]) -> int:
        """Return about what one trial of these problems costs at most: the longest prompt and answer, both judged."""
        longest = max(map(self.prompt_tokens, problems), default=0)
        attempt = longest + self.actor.max_tokens
        rewarded = attempt if self.reward_model is None else 2 * attempt
        return rewarded + attempt + self.actor.max_tokens if isinstance(self.critic, ModelCritic) else rewarded

    def sharing_samples(self) -> Roles:
        """Return the same roles over engines that answer a repeated request from memory; see `MemoEngine`.

        Raises:
            InputError: an engine does not promise the same completion for the same seed.
        """
        shared = {id(engine): MemoEngine(engine) for engine in self.engines}
        actor, critic = self.actor, self.critic
        if isinstance(critic, ModelCritic):
            critic = ModelCritic(
                shared[id(critic.engine)], critic.format, sampling=critic.sampling, retries=critic.retries
            )
        return Roles(
            actor=ModelActor(
                shared[id(actor.engine)], actor.format, sampling=actor.sampling, max_tokens=actor.max_tokens
            ),
            critic=critic,
            engines=tuple(shared.values()),
            reward_model=(
                None if self.reward_model is None else EngineRewardModel(shared[id(self.reward_model.engine)])
            ),
        )

    async def aclose(self) -> None:
        """Free all models."""
        for engine in self.engines:
            await engine.aclose()


def load_roles(
    actor: Model = "embedded",
    critic: Model | None = None,
    options: LoadOptions | None = None,
    *,
    reward_model: str | None = None,
) -> Roles:
    """Load an actor, a critic and, where one is named, a reward model.

    Args:
        actor: A model spec; or an engine or LangChain chat model, which the roles close when they are closed.
        critic: Likewise, or one of `MODEL_FREE_CRITICS`; None = the actor's model.
        options: How to load and sample.
        reward_model: A reward model's spec, such as `hf-prm:PATH_OR_ID?format=qwen`.

    Raises:
        InputError: a spec is unknown or a model is missing.
    """
    chosen = options if options is not None else LoadOptions()
    given: dict[str, Engine] = {}
    actor = _name(actor, given)
    spec = actor if critic is None else _name(critic, given)
    gates: dict[str, Gate] = {}
    # Together, so that roles of one base model share a running model, and several models the device.
    vllm = tuple(dict.fromkeys(of for of in (_actor_model(actor), _critic_model(spec)) if of.startswith("vllm:")))
    reward = None if reward_model is None else parse_reward_spec(reward_model)
    scorers = (reward.memory,) if reward is not None and reward.vllm else ()
    engines = given | load_vllm(vllm, device=chosen.device, dtype=chosen.dtype, scorers=scorers)

    def engine(of: str, threads: int | None = None) -> Engine:
        if of not in engines:
            engines[of] = load_engine(of, device=chosen.device, dtype=chosen.dtype, threads=threads, gates=gates)
        return engines[of]

    writer = _actor(actor, engine, chosen)
    judge = _critic(spec, engine, writer)
    scorer: EngineRewardModel | None = None
    if reward_model is not None:
        engines[reward_model] = load_reward_engine(reward_model, device=chosen.device, dtype=chosen.dtype)
        scorer = EngineRewardModel(engines[reward_model])
    return Roles(actor=writer, critic=judge, engines=tuple(engines.values()), reward_model=scorer)


def fitting_pair(spec: str, problems: Iterable[Problem]) -> str:
    """Return a model spec in which `embedded` is made precise: the packaged pair that knows these problems.

    Any other spec stays as it is, and so does `embedded` where no one pair knows them all: it says so when it is asked.
    """
    if spec not in ("embedded", "vllm:embedded"):
        return spec
    pair, *others = {pair_for(problem) for problem in problems} or {None}
    return spec if pair is None or others else spec.replace("embedded", pair)


def load_verifier(name: str, pairs: Iterable[tuple[Problem, Reference]] = ()) -> RewardModel:
    """Return a verifier as a scorer of a run.

    Args:
        name: One of `VERIFIERS`.
        pairs: The run's problems with their gold sides; only the oracle looks at these.

    Raises:
        InputError: it is unknown, or the oracle has nothing to compare an answer with.
    """
    if name not in VERIFIERS:
        raise InputError(f"unknown verifier {name!r}; choose from: {', '.join(VERIFIERS)}")
    if name == "calculate":
        return CriticRewardModel(CalculationCritic(accept=True), name=name)
    references = dict[str, Reference]()
    for problem, reference in pairs:
        if not has_gold(problem, reference):
            raise InputError(f"problem {problem.id!r} has no answer to compare with: there is no oracle for it")
        references[problem.id] = reference
    return VerifierRewardModel(TaskVerifier(), references, name=name)


def _name(model: Model, given: dict[str, Engine]) -> str:
    """Return the spec of a model; an object is kept under one of its own."""
    if isinstance(model, str):
        return model
    spec = f"object:{id(model)}"
    if spec not in given:
        given[spec] = LangChainEngine(model) if is_chat_model(model) else model
    return spec


def _actor(spec: str, engine: EngineOf, options: LoadOptions) -> ModelActor:
    """Return the actor that a spec names."""
    sampling = Sampling(temperature=options.temperature)
    pair = _pair_folder(spec)
    if pair is not None:
        model = engine(_actor_model(spec), EMBEDDED_THREADS)
        form = EmbeddedActorFormat(_words(pair / "actor"))
        return ModelActor(model, form, sampling=sampling, max_tokens=min(options.max_tokens, form.max_tokens))
    model = engine(spec)
    chat = ChatActorFormat(prefill=model.info.capabilities.prefill)
    return ModelActor(model, chat, sampling=sampling, max_tokens=options.max_tokens)


def _critic(spec: str, engine: EngineOf, actor: ModelActor) -> Critic | None:
    """Return the critic that a spec names."""
    if spec == "none":
        return None
    if spec == "oracle":
        return OracleCritic()
    if spec == "calculate":
        return CalculationCritic()
    if spec == "execution" or spec.startswith("execution:"):
        return ExecutionCritic(sandbox=sandbox_named(spec.partition(":")[2] or "monty"))
    pair = _pair_folder(spec)
    if pair is not None:
        judge = engine(_critic_model(spec), EMBEDDED_THREADS)
        return ModelCritic(judge, EmbeddedCriticFormat(_words(pair / "critic")))
    model = engine(spec)
    # One model in both roles goes on from its own chat, so that problem and solution are not paid twice.
    chat = actor.format if isinstance(actor.format, ChatActorFormat) and model is actor.engine else None
    # Where the engine can hold the critic to a schema, every critique can be read.
    output: Literal["text", "json"] = "json" if model.info.capabilities.json_schema else "text"
    return ModelCritic(model, ChatCriticFormat(follows=chat, output=output))


def _pair_folder(spec: str) -> Path | None:
    """Return the folder of the pair that a spec names, for either engine; None for any other model."""
    pair = spec.removeprefix("vllm:")
    scheme, _, folder = pair.partition(":")
    if scheme != "embedded":
        return None
    return PACKAGED[pair] if pair in PACKAGED else Path(folder or EMBEDDED)


def _actor_model(spec: str) -> str:
    """Return the spec of the model that plays the actor."""
    return _model_of_pair(spec, "actor")


def _critic_model(spec: str) -> str:
    """Return the spec of the model that plays the critic."""
    return _model_of_pair(spec, "critic")


def _model_of_pair(spec: str, role: str) -> str:
    pair = _pair_folder(spec)
    if pair is None:
        return spec
    return f"{'vllm' if spec.startswith('vllm:') else 'hf'}:{pair / role}"


def _words(folder: Path) -> frozenset[str]:
    """Return the tokens of a model of an embedded pair, which say what it was made for.

    Raises:
        InputError: the folder holds no such model.
    """
    try:
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return frozenset(tokenizer["model"]["vocab"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{folder} holds no model of an embedded pair: its tokenizer.json cannot be read") from error
