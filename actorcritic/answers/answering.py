"""The child's side of a `Worker`: one JSON line in, one out, each answer within a limit of time.

The alarm ends what Python can interrupt; the parent kills the rest; a bound on processor time holds even when the
parent is gone. Knows nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
from collections.abc import Callable, Generator
from typing import Any, TextIO

__all__ = ["Alarm", "answer_lines", "limited"]


class Alarm(BaseException):
    """The time is up; no `Exception`, since libraries swallow those."""


@contextlib.contextmanager
def limited(seconds: float) -> Generator[None]:
    """Raise `Alarm` after so many seconds; end the process when it has used more processor time than that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (processor, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _on_alarm(_signal: int, _frame: object) -> None:
    raise Alarm


def answer_lines(reply: Callable[[Any], object], requests: TextIO, replies: TextIO, limit: float) -> None:
    """Answer JSON lines until there are no more; a reply without "value" says why there is none.

    Args:
        reply: answers one question with something that is JSON.
        requests: one question per line.
        replies: gets `{"ready": true}` and then one line per question: `value`, `late` or `error`.
        limit: seconds per question, > 0.
    """
    signal.signal(signal.SIGALRM, _on_alarm)
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in requests:
        answer: dict[str, object] = {}
        try:
            with limited(limit):
                answer = {"value": reply(json.loads(line))}
        except Alarm:
            answer = {"late": True}
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a library raises on hostile text is the reply
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=replies, flush=True)
