"""Any LangChain chat model behind the `Engine` protocol: the one that an app has already.

Sampling is set on a copy of the model, through the fields that its class declares; what it does not declare is not
sent, and said in a note. The model's own retries are the only ones. Prompt lengths are estimates.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from actorcritic.engines.answer import Answer, ending_is_known, estimate_usage, make_generation
from actorcritic.engines.in_flight import InFlight
from actorcritic.engines.langchain_messages import native_of, read_texts, read_tool_calls, to_langchain
from actorcritic.engines.openai.answers import read_chat_tokens, read_count, read_finish
from actorcritic.engines.openai.bodies import tool_rows
from actorcritic.engines.openai.failures import Secret, problem_of_status
from actorcritic.engines.openai.profile import MOST_TOP_LOGPROBS
from actorcritic.engines.texts import estimate_ids
from actorcritic.errors import EngineError, EngineUnavailable, InputError
from actorcritic.protocols import Capabilities, EngineInfo
from actorcritic.types import (
    FinishReason,
    GenerateRequest,
    Generation,
    Prompt,
    ToolSpec,
    Usage,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from typing_extensions import TypeIs

__all__ = ["LangChainEngine", "is_chat_model"]

_FIELDS = {
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict"),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "seed": ("seed",),
    "logprobs": ("logprobs",),
    "top_logprobs": ("top_logprobs",),
}
"""What the fields of chat models are called, the usual name first."""
_LACKS = {
    "max_tokens": "declares no limit of tokens: completions may be longer than the budget foresees",
    "temperature": "declares no temperature: it draws at its own",
    "seed": "declares no seed: repeated requests differ",
    "logprobs": "gives no log-probabilities: critiques get no scores",
}
_NAMES = ("model_name", "model", "model_id", "deployment_name", "azure_deployment")


class LangChainEngine:
    """Answers requests with a LangChain chat model.

    Args:
        model: the chat model, with its key and its retries.
        name: how a person calls it.
        deterministic: say True where it gives the same completion for the same seed, whatever runs beside it.
        own_sampling: leave temperature, nucleus and seed as its owner has set them, whatever a request says.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str | None = None,
        deterministic: bool = False,
        own_sampling: bool = False,
    ) -> None:
        self._model = model
        self._own_sampling = own_sampling
        declared = set(type(model).model_fields)
        self._fields = {
            option: next((field for field in fields if field in declared), None) for option, fields in _FIELDS.items()
        }
        self._deterministic = deterministic and self._fields["seed"] is not None
        # `_llm_type` is LangChain's own name of the kind of model; every chat model has one.
        kind = str(model._llm_type)  # pyright: ignore[reportPrivateUsage]
        called = next((str(value) for field in _NAMES if (value := getattr(model, field, None))), type(model).__name__)
        self._fingerprint = f"langchain:{kind}:{called}"
        self._name = name or self._fingerprint
        self._logprobs = self._fields["logprobs"] is not None
        self._sends_stop = True
        self._notes: list[str] = []
        for option, fact in _LACKS.items():
            if self._fields[option] is None:
                self._say(fact)
        self._flight = InFlight(self._name)

    @property
    def info(self) -> EngineInfo:
        """Who is answering; the capabilities shrink as the model is found to lack something."""
        from langchain_core.language_models import BaseChatModel  # noqa: PLC0415 - heavy, and here already

        return EngineInfo(
            model=self._fingerprint,
            name=self._name,
            capabilities=Capabilities(
                seeds=self._deterministic,
                logprobs=self._logprobs,
                top_logprobs=MOST_TOP_LOGPROBS if self._logprobs and self._fields["top_logprobs"] else 0,
                chat=True,
                tools=type(self._model).bind_tools is not BaseChatModel.bind_tools,
            ),
            notes=tuple(self._notes),
        )

    def encode(self, prompt: Prompt, tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """Return an estimate: made-up ids, about as many as there are tokens."""
        return estimate_ids(prompt, tools)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Answer one request; cancelling the task cancels the model's.

        Raises:
            InputError: something that chat models cannot do.
            EngineError: the model failed.
        """
        self._flight.refuse_closed()
        if request.prompt.prefill or request.prompt.prefill_ids:
            raise InputError(f"{self._name} cannot go on from a prefill")
        if request.json_schema is not None:
            raise InputError(f"{self._name} cannot constrain a completion to a JSON schema")
        if request.max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1: {self._name} scores no given text")
        return await self._flight.run(self._generate(request))

    async def aclose(self) -> None:
        """Refuse further requests and end those in flight; the chat model stays its owner's."""
        self._flight.close()

    async def _generate(self, request: GenerateRequest) -> Generation:
        sent = self._sends_stop
        answer = await self._ask(request)
        spent = self._usage(request, answer)
        if sent and not ending_is_known(answer, request.stop):
            # Nobody can tell whether a stop string or the model ended this text: ask without, and cut.
            self._sends_stop = False
            self._say("does not say what ended a completion: it is written whole and cut here, and paid for whole")
            answer = await self._ask(request)
            spent += self._usage(request, answer)
        return make_generation(request, answer, spent)

    async def _ask(self, request: GenerateRequest) -> Answer:
        model: Any = self._model
        settings = self._settings(request)
        if settings:
            model = model.model_copy(update=settings)
        if request.tools:
            try:
                model = model.bind_tools(tool_rows(request.tools))
            except NotImplementedError:
                raise InputError(f"{self._name} takes no tools") from None
        stop = list(request.stop) if request.stop and self._sends_stop else None
        failure: EngineError | None = None
        message: AIMessage | None = None
        try:
            message = await model.ainvoke(to_langchain(request.prompt), stop=stop)
        except Exception as error:  # noqa: BLE001 - every provider has its own tree of errors
            failure = self._failure(error)
        if failure is not None or message is None:
            # Raised out here, where no exception of the provider's, with its request and headers, can hang on it.
            raise failure or EngineError(f"{self._name} answered nothing")
        answer = self._answer(message, request)
        if self._logprobs and "logprobs" in self._asked(request) and answer.text and not answer.tokens:
            self._logprobs = False
            self._say(_LACKS["logprobs"])
        return answer

    def _asked(self, request: GenerateRequest) -> dict[str, Any]:
        """Return the options of a request by their usual names."""
        asked: dict[str, Any] = {"max_tokens": request.max_tokens}
        if not self._own_sampling:
            asked |= {"temperature": request.sampling.temperature, "top_p": request.sampling.top_p}
            if request.seed is not None:
                asked["seed"] = request.seed % 2**31
        if self._logprobs and (request.logprobs or request.top_logprobs):
            asked["logprobs"] = True
            if request.top_logprobs:
                asked["top_logprobs"] = min(request.top_logprobs, MOST_TOP_LOGPROBS)
        return asked

    def _settings(self, request: GenerateRequest) -> dict[str, Any]:
        """Return a request's options under the names of the model's fields."""
        fields = self._fields
        return {field: value for option, value in self._asked(request).items() if (field := fields[option]) is not None}

    def _answer(self, message: AIMessage, request: GenerateRequest) -> Answer:
        facts = cast("Mapping[str, Any]", message.response_metadata)
        text, reasoning = read_texts(message)
        calls = read_tool_calls(message)
        usage = _usage(message)
        said = next((facts[name] for name in ("finish_reason", "stop_reason", "done_reason") if facts.get(name)), None)
        if said is not None:
            finish = read_finish(said)
        elif calls:
            finish = FinishReason.TOOL_CALLS
        else:
            # Without a word about it, only a completion of full length is known to have been cut off.
            cut = usage is not None and usage.completion_tokens >= request.max_tokens
            finish = FinishReason.LENGTH if cut else FinishReason.STOP
        named = facts.get("stop_sequence") or facts.get("matched_stop")
        block = facts.get("logprobs")
        return Answer(
            text=text,
            finish=FinishReason.TOOL_CALLS if calls and finish is FinishReason.STOP else finish,
            stop=named if isinstance(named, str) else None,
            tells_stop="stop_sequence" in facts or "matched_stop" in facts,
            tokens=read_chat_tokens(cast("dict[str, Any]", block).get("content") if isinstance(block, dict) else None),
            reasoning=reasoning,
            tool_calls=calls,
            usage=usage,
            native={} if request.stop else native_of(message),
        )

    def _usage(self, request: GenerateRequest, answer: Answer) -> Usage:
        if answer.usage is not None:
            return answer.usage
        self._say("reports no usage: token counts are estimates")
        return estimate_usage(request, answer)

    def _failure(self, error: Exception) -> EngineError:
        """Return a provider's exception as one of ours, without any key of the model."""
        from pydantic import SecretStr  # noqa: PLC0415 - heavy, and here already

        text = f"{type(error).__name__}: {error}"
        values = [getattr(self._model, field, None) for field in type(self._model).model_fields]
        for value in values:
            if isinstance(value, SecretStr):
                text = Secret("", value.get_secret_value()).scrub(text)
        text = Secret("").scrub(text)
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and status not in (401, 403):
            return problem_of_status(self._name, Secret(""), status, text).error
        if isinstance(status, int):
            return EngineError(f"{self._name} refuses its key (HTTP {status})")
        lost = isinstance(error, OSError | TimeoutError) or any(
            word in type(error).__name__ for word in ("Connection", "Timeout")
        )
        return (EngineUnavailable if lost else EngineError)(f"{self._name} failed: {text}")

    def _say(self, fact: str) -> None:
        note = f"{self._name} {fact}"
        if note not in self._notes:
            self._notes.append(note)


def is_chat_model(model: object) -> TypeIs[BaseChatModel]:
    """Return whether an object is a LangChain chat model; imports nothing: who has one has imported it."""
    module = sys.modules.get("langchain_core.language_models.chat_models")
    return module is not None and isinstance(model, module.BaseChatModel)


def _usage(message: AIMessage) -> Usage | None:
    facts = cast("Mapping[str, Any] | None", message.usage_metadata)
    if not facts:
        return None
    prompt, completion = read_count(facts.get("input_tokens")), read_count(facts.get("output_tokens"))
    if prompt is None or completion is None:
        return None
    details = facts.get("input_token_details")
    cached = read_count(cast("Mapping[str, Any]", details).get("cache_read")) if isinstance(details, dict) else None
    return Usage(calls=1, prompt_tokens=prompt, cached_tokens=min(cached or 0, prompt), completion_tokens=completion)
