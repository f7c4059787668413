from __future__ import annotations

import json
from pathlib import Path

import pytest

from actorcritic.errors import InputError, RecordError
from actorcritic.search.strategies import STRATEGIES, make_policy, parse_strategy
from actorcritic.search.tree import Tree
from actorcritic.types import Action, Trial
from tests.search.simulation import Driver, Random

GOLDEN = Path(__file__).parent / "golden"


def test_nodes_hang_where_they_belong() -> None:
    tree = Tree()
    for trial, parent in enumerate((None, 0, 1, None, 0)):
        tree.add(Trial(id=trial, action=Action.PROPOSE if parent is None else Action.EXTEND, parent=parent))
    assert tree.roots == [0, 3]
    assert tree.children(0) == [1, 4]
    assert [tree.depth(node.id) for node in tree] == [0, 1, 2, 0, 1]
    for unknown in (-1, 5):
        with pytest.raises(InputError, match="never asked"):
            tree[unknown]


def test_json_is_exact() -> None:
    policy = Driver(Random(broken=0.2, unscored=0.3), width=3, trials=20).run(make_policy(parse_strategy("revise")))
    written = json.loads(json.dumps(policy.tree.to_json()))
    assert Tree.from_json(written).to_json() == policy.tree.to_json()
    assert Tree.from_json(written).nodes == policy.tree.nodes
    del written[0]["trial"]
    with pytest.raises(RecordError):
        Tree.from_json(written)


@pytest.mark.parametrize("name", [*STRATEGIES, "beam:lookahead=2"])
def test_the_golden_tree(name: str) -> None:
    """A refactoring that changes what a search does cannot pass in silence.

    To renew a file after a change that is meant: delete it and run this test once; it writes the file and fails.
    """
    world = Random(seed=5, right=0.1, broken=0.1, unscored=0.2)
    policy = Driver(world, width=3, trials=24).run(make_policy(parse_strategy(name), seed=3, budgeted=True))
    grown = {"best": policy.best, "stopped": policy.stopped, "tree": policy.tree.to_json()}
    path = GOLDEN / f"{name.replace(':', '-')}.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(grown, indent=1) + "\n", encoding="utf-8")
        pytest.fail(f"{path.name} was missing and has been written")
    assert grown == json.loads(path.read_text(encoding="utf-8"))
