"""Whether sandboxes hold, and what a call costs in each: the list of attacks, and milliseconds per call.

    python -m tests.benchmarks.sandbox [--calls 50] [--seconds 1.0] [--sandboxes monty,bubblewrap]

An attack is blocked where it gets nothing of the caller's, does no harm, and the caller goes on;
`tests/tools/attacks.py` says how that is seen. A call is `sum(range(1000))` in a fresh interpreter, by the clock:
`start` is the first, with all that has to be started, `median` and `p95` are of the others. The last line is JSON; the
exit code is 1 if an attack has succeeded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from actorcritic.errors import InputError
from actorcritic.tools.execution import Limits, Sandbox
from actorcritic.tools.sandboxes import SANDBOXES, open_sandbox, sandbox_named
from tests.tools.attacks import ATTACKS, carry_out, open_target

CODE, VALUE = "sum(range(1000))", "499500"


def time_calls(sandbox: Sandbox, calls: int) -> list[float]:
    """Return the milliseconds of each call, the first included."""
    taken: list[float] = []
    for _ in range(calls + 1):
        start = time.perf_counter()
        execution = sandbox.run([CODE]).executions[0]
        taken.append(1000 * (time.perf_counter() - start))
        if execution.value != VALUE:
            raise RuntimeError(f"a plain call gave {execution}")
    return taken


def attack(sandbox: Sandbox) -> dict[str, str]:
    """Carry out every attack; returns those that succeeded, and how."""
    succeeded: dict[str, str] = {}
    with TemporaryDirectory() as folder, open_target(Path(folder)) as target:
        for number, one in enumerate(ATTACKS.values(), start=1):
            sign = carry_out(one, sandbox, target)
            if sign is not None:
                succeeded[one.name] = sign
            print(f"\r{sandbox.name}: {number} of {len(ATTACKS)} attacks", end="", file=sys.stderr)
    print(file=sys.stderr)
    return succeeded


def measure(sandbox: Sandbox, calls: int) -> dict[str, Any]:
    """Return the figures of one sandbox."""
    first, *others = time_calls(sandbox, calls)
    succeeded = attack(sandbox)
    for name, sign in succeeded.items():
        print(f"{sandbox.name}: {name} succeeded: {sign}")
    return {
        "attacks": len(ATTACKS),
        "blocked": len(ATTACKS) - len(succeeded),
        "succeeded": sorted(succeeded),
        "ms_start": round(first, 1),
        "ms_median": round(statistics.median(others), 2),
        "ms_p95": round(sorted(others)[int(0.95 * (len(others) - 1))], 2),
    }


def main() -> int:
    """Measure every sandbox that works here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50, help="plain calls per sandbox that are timed")
    parser.add_argument("--seconds", type=float, default=1.0, help="limit of a call")
    parser.add_argument("--sandboxes", default=",".join(SANDBOXES), help="which, separated by commas")
    args = parser.parse_args()
    summary: dict[str, Any] = {"bench": "sandbox", "seconds": args.seconds, "calls": args.calls}
    for name in map(sandbox_named, args.sandboxes.split(",")):
        try:
            sandbox = open_sandbox(name, Limits(seconds=args.seconds))
        except InputError as error:
            summary[name] = {"missing": str(error)}
            print(f"{name:12} {error}")
            continue
        summary[name] = found = measure(sandbox, args.calls)
        print(
            f"{name:12} {found['blocked']} of {found['attacks']} attacks blocked, start {found['ms_start']:.0f} ms, "
            f"median {found['ms_median']:.1f} ms per call, p95 {found['ms_p95']:.1f} ms"
        )
        sandbox.close()
    print(json.dumps(summary))
    return int(any(isinstance(found, dict) and found.get("succeeded") for found in summary.values()))


if __name__ == "__main__":
    sys.exit(main())
