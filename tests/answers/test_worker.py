"""The worker process: starts late, is replaced when it hangs or dies, and never outlives its owner."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from actorcritic.answers.worker import Worker
from actorcritic.errors import ToolError

SCRIPT = """
import json, os, sys, time
print("{}", flush=True)
for line in sys.stdin:
    question = json.loads(line)
    if question.get("do") == "die":
        os._exit(1)
    if question.get("do") == "hang":
        time.sleep(600)
    print(json.dumps([os.getpid(), question, sys.argv[1]]), flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def pid_of(worker: Worker) -> int:
    reply = worker.ask({"a": "\n"})
    assert isinstance(reply, list) and reply[1:] == [{"a": "\n"}, "0.2"]
    assert isinstance(reply[0], int)
    return reply[0]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_answers_many_questions(script: Path) -> None:
    worker = Worker(script, limit=0.2)
    first = pid_of(worker)
    assert pid_of(worker) == first
    worker.close()
    worker.close()
    assert not is_alive(first)
    assert pid_of(worker) != first
    worker.close()


def test_a_question_that_takes_too_long(script: Path) -> None:
    worker = Worker(script, limit=0.2)
    first = pid_of(worker)
    with pytest.raises(TimeoutError, match="within"):
        worker.ask({"do": "hang"})
    assert not is_alive(first) and pid_of(worker) != first
    worker.close()


def test_a_process_that_dies(script: Path) -> None:
    worker = Worker(script, limit=0.2)
    first = pid_of(worker)
    with pytest.raises(ToolError, match="died"):
        worker.ask({"do": "die"})
    second = pid_of(worker)
    os.kill(second, 9)
    os.waitid(os.P_PID, second, os.WEXITED | os.WNOWAIT)
    assert len({first, second, pid_of(worker)}) == 3
    worker.close()


def test_a_script_that_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="died"):
        Worker(tmp_path / "missing.py", limit=0.2).ask({})


def test_a_process_may_be_given_variables_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text('import os\nprint(1, flush=True)\ninput()\nprint(os.environ["OWN"], flush=True)\n')
    worker = Worker(path, limit=60.0, environment={"OWN": "7"})
    assert worker.ask({}) == 7
    assert "OWN" not in os.environ
    worker.close()


def test_the_process_ends_with_its_owner(script: Path) -> None:
    worker = Worker(script, limit=0.2)
    pid = pid_of(worker)
    del worker
    gc.collect()
    assert not is_alive(pid)


def test_questions_of_several_threads_do_not_mix(script: Path) -> None:
    worker = Worker(script, limit=0.2)
    replies: dict[int, object] = {}

    def ask(number: int) -> None:
        replies[number] = worker.ask({"n": number})

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(reply, list) and reply[1] == {"n": n} for n, reply in replies.items()) and len(replies) == 8
    worker.close()
