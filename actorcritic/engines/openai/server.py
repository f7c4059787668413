"""One server: sends it JSON through the official client and brings back JSON, or one typed error.

Tries again here and nowhere else. Knows paths and statuses, nothing of prompts or models.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, cast

from actorcritic.engines.openai.failures import Problem, Secret, problem_of_status
from actorcritic.engines.openai.retrying import Gate, RetryPolicy
from actorcritic.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

__all__ = ["Json", "Server"]

Json = dict[str, Any]

CONNECT_SECONDS = 10.0
SHORT_SECONDS = 30.0
"""For requests that generate nothing."""


class Server:
    """A connection to one server, for one event loop at a time.

    Args:
        url: its base URL, such as `http://localhost:8000/v1`.
        secret: the key.
        gate: shared by everybody who uses the same server.
        policy: when to try again.
        timeout: seconds that one try may take.
    """

    def __init__(
        self, url: str, secret: Secret, *, gate: Gate, policy: RetryPolicy | None = None, timeout: float = 600.0
    ) -> None:
        self.url = url
        self.secret = secret
        self.gate = gate
        self._policy = policy if policy is not None else RetryPolicy()
        self._timeout = timeout
        self._client: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def generate(self, path: str, body: Json, *, most_bytes: int) -> Json:
        """Send a request that generates (`chat/completions` or `completions`), again where that may help.

        Raises:
            EngineError: what became of the last try.
        """
        return await self._persist(lambda: self._generate(path, body, most_bytes))

    async def post(self, path: str, body: Json) -> Json:
        """Send a request that generates nothing; `path` may be a whole URL."""
        return await self._persist(lambda: self._plain(path, body))

    async def list_models(self) -> Json | None:
        """Return the answer to `GET /models`, in one try; None where the server answers, but not to this.

        Raises:
            EngineError: it does not answer.
        """
        result = await self._plain("models", None)
        if isinstance(result, Problem):
            if result.again:
                raise result.error
            return None
        return result

    def ask_now(self, path: str, body: Json | None = None) -> Json:
        """Send a small request in one try and wait for it: GET without a body, else POST."""
        import openai  # noqa: PLC0415 - takes half a second, and only who uses a server needs it

        with openai.OpenAI(**self._arguments(SHORT_SECONDS)) as client:
            result = self._try_now(client, path, body)
        if isinstance(result, Problem):
            raise result.error
        return result

    async def aclose(self) -> None:
        """Close all connections. Idempotent."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()

    async def _persist(self, attempt: Any) -> Json:
        """Try until it succeeds, cannot succeed, or has been tried often enough."""
        policy, timer = self._policy, self.gate.timer
        tries = 0
        while True:
            async with self.gate.slot():
                result: Json | Problem = await attempt()
            if not isinstance(result, Problem):
                return result
            tries += 1
            asked = result.wait or 0.0
            self.gate.pause(min(asked, policy.longest_asked))
            if not result.again or tries == policy.attempts or asked > policy.longest_asked:
                break
            await timer.sleep(max(asked, policy.wait(tries - 1, timer.draw())))
        # Raised out here, where no exception that holds the request and its headers can hang on it.
        raise _given_up(result, tries)

    async def _generate(self, path: str, body: Json, most_bytes: int) -> Json | Problem:
        client = self._connected()
        rest = dict(body)
        model = rest.pop("model")
        made: Any
        if path == "completions":
            made = client.completions.with_streaming_response.create(
                model=model, prompt=rest.pop("prompt"), extra_body=rest
            )
        else:
            made = client.chat.completions.with_streaming_response.create(
                model=model, messages=rest.pop("messages"), extra_body=rest
            )
        content = bytearray()
        try:
            async with asyncio.timeout(self._timeout), made as response:
                async for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > most_bytes:
                        return Problem(error=EngineError(f"{self.url} sends without end: more than {most_bytes} bytes"))
        except _transport_errors() as error:
            return self._problem(error)
        try:
            return self._checked(json.loads(content))
        except (ValueError, RecursionError):
            return Problem(
                error=EngineError(f"{self.url} answered with something else than JSON: is it an API server?")
            )

    async def _plain(self, path: str, body: Json | None) -> Json | Problem:
        client = self._connected()
        try:
            async with asyncio.timeout(SHORT_SECONDS):
                if body is None:
                    return self._checked(await client.get(path, cast_to=object))
                return self._checked(await client.post(path, cast_to=object, body=body))
        except _transport_errors() as error:
            return self._problem(error)

    def _try_now(self, client: OpenAI, path: str, body: Json | None) -> Json | Problem:
        try:
            if body is None:
                return self._checked(client.get(path, cast_to=object))
            return self._checked(client.post(path, cast_to=object, body=body))
        except _transport_errors() as error:
            return self._problem(error)

    def _checked(self, answer: object) -> Json | Problem:
        """Return an answer, or the error that some servers wrap into a success."""
        if not isinstance(answer, dict):
            return Problem(error=EngineError(f"{self.url} answered with something else than a JSON object"))
        fields = cast("Json", answer)
        error = fields.get("error")
        if error and not fields.get("choices"):
            code = cast("Json", error).get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 502
            return problem_of_status(self.url, self.secret, status, fields)
        return fields

    def _problem(self, error: Exception) -> Problem:
        """Say what an exception of the client means."""
        import openai  # noqa: PLC0415 - takes half a second, and only who uses a server needs it

        if isinstance(error, openai.APIStatusError):
            return problem_of_status(
                self.url, self.secret, error.status_code, error.body or error.message, error.response.headers
            )
        if isinstance(error, openai.APITimeoutError | TimeoutError):
            return Problem(error=EngineUnavailable(f"{self.url} did not answer in time"), again=True)
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            return Problem(
                error=EngineError(f"{self.url} answered with something else than JSON: is it an API server?")
            )
        reason = self.secret.scrub(_reason(error))
        return Problem(error=EngineUnavailable(f"cannot reach {self.url} ({reason}): is it running?"), again=True)

    def _no_json(self) -> Problem:
        return Problem(error=EngineError(f"{self.url} answered with something else than JSON: is it an API server?"))

    def _connected(self) -> AsyncOpenAI:
        import openai  # noqa: PLC0415 - takes half a second, and only who uses a server needs it

        loop = asyncio.get_running_loop()
        if self._client is None or loop is not self._loop:
            self._client, self._loop = openai.AsyncOpenAI(**self._arguments(self._timeout)), loop
        return self._client

    def _arguments(self, timeout: float) -> dict[str, Any]:
        import openai  # noqa: PLC0415 - takes half a second, and only who uses a server needs it

        return {
            "base_url": self.url,
            "api_key": self.secret.reveal(),
            "max_retries": 0,
            "timeout": openai.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        }


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return what the client may raise: its own errors, those of its HTTP library while a body is read, no JSON."""
    import openai  # noqa: PLC0415 - takes half a second, and only who uses a server needs it

    libraries = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    http: list[type[Exception]] = [library.HTTPError for library in libraries]
    return (openai.OpenAIError, TimeoutError, OSError, ValueError, *http)


def _reason(error: BaseException) -> str:
    """Return the innermost reason that has words."""
    words = str(error)
    inner = error.__cause__ or error.__context__
    while inner is not None:
        words = str(inner) or words
        inner = inner.__cause__ or inner.__context__
    return words or type(error).__name__


def _given_up(problem: Problem, tries: int) -> EngineError:
    """Return the error of the last try. Nobody is to try again what was tried often enough here."""
    error = problem.error
    if problem.again and tries > 1:
        error = EngineUnavailable(f"{error} (tried {tries} times)")
    return error
