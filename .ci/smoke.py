"""Uses an installed wheel as a user would, from a folder that is not the checkout.

Run: python -I smoke.py core|local
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

PROBLEM = "Use 7, 13 and 14 to make 15."


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed script."""
    script = str(Path(sys.executable).with_name("actorcritic"))
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False)


def check_core() -> None:
    """Check what must work without any extra."""
    import actorcritic  # noqa: PLC0415 - what is checked

    assert "site-packages" in str(actorcritic.__file__), actorcritic.__file__
    files = importlib.metadata.files("actorcritic") or []
    tops = {file.parts[0] for file in files if ".dist-info" not in file.parts[0] and file.parts[0] != ".."}
    assert tops == {"actorcritic"}, tops
    assert any(file.match("actorcritic/prompts/*") for file in files), "no prompts"
    assert "py.typed" in {file.name for file in files}

    assert command("--help").returncode == 0
    assert "--strategy" in command("solve", "--help").stdout
    refused = command("solve", PROBLEM)
    assert refused.returncode == 2, refused
    assert "actorcritic[local]" in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr, refused.stderr


def check_local() -> None:
    """Check one solved problem with the packaged pair."""
    done = command("solve", PROBLEM, "--strategy", "revise", "--budget-tokens", "512", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["problem"] == PROBLEM, result
    assert result["strategy"].startswith("revise"), result
    assert result["usage"]["total_tokens"] <= 512, result
    assert result["budget"] == "hard", result
    assert result["oracle"] is False, result


if __name__ == "__main__":
    {"core": check_core, "local": check_local}[sys.argv[1]]()
    sys.stdout.write(f"smoke {sys.argv[1]}: ok\n")
