"""TreeQuest's searches over our actor and critic, through its own `ask` and `tell`.

A node is a solution with its critique, its score the critic's. From nothing the actor proposes; from a node it revises
at the first error, or rewrites the whole where none is located, as in our `mcts`: TreeQuest leaves this to the caller.
One run under the largest budget tells what smaller ones bring: the best before the step that a budget cannot pay for.
"""

# The library is of the extra `peers`, which need not be installed.
# pyright: reportMissingImports=false

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from actorcritic.bench import ReadingRecord
from actorcritic.errors import BudgetExhausted
from actorcritic.metering import CallMeter, derive_seed
from actorcritic.types import Critique, Solution
from tests.benchmarks.peers.account import UNSCORED, Account, Work, read

__all__ = ["QuestPeer", "quest_peers"]

ACTION = "generate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a node holds."""

    solution: Solution
    critique: Critique | None


class Dice:
    """The process's generators as one problem left them: TreeQuest draws from these, many problems run side by side."""

    def __init__(self, seed: int) -> None:
        self._python = random.Random(seed).getstate()
        self._numpy: Any = np.random.RandomState(seed % 2**32).get_state()

    @contextmanager
    def rolled(self) -> Generator[None]:
        """Lend the state of this problem to the process for a moment in which nothing else runs."""
        before = random.getstate(), np.random.get_state()
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._python, self._numpy = random.getstate(), np.random.get_state()
            random.setstate(before[0])
            np.random.set_state(before[1])


class QuestPeer:
    """One of TreeQuest's algorithms."""

    def __init__(self, label: str, algorithm: Any) -> None:
        self.label = label
        self._algorithm = algorithm

    async def solve(self, work: Work, budgets: Sequence[int]) -> list[ReadingRecord]:
        """See `Peer.solve`."""
        account = Account(work, max(budgets))
        dice = Dice(derive_seed(work.seed, work.problem.id, self.label))
        state = self._algorithm.init_tree()
        first: Solution | None = None
        waiting = sorted(budgets, reverse=True)
        readings: list[ReadingRecord] = []
        latest = await account.reading(waiting[-1], None)
        number = 0
        while True:
            with dice.rolled():
                state, trial = self._algorithm.ask(state, [ACTION])
            meter = account.meter(number)
            number += 1
            try:
                solution = await _write(account, trial.parent_state, meter)
                first = first or solution
                critique = await account.critique(solution, meter) if solution.complete else None
            except BudgetExhausted:
                break
            account.solutions += 1
            while waiting and account.tokens > waiting[-1]:
                readings.append(read(latest, waiting.pop()))
            score = UNSCORED if critique is None or critique.score is None else critique.score
            result = Attempt(solution=solution, critique=critique), score
            with dice.rolled():
                state = self._algorithm.tell(state, trial.trial_id, result)
            latest = await account.reading(max(budgets), self._best(state))
        if not readings and latest.trials == 0:  # not even one solution could be judged: it stands, unscored
            latest = await account.reading(max(budgets), first)
        return readings + [read(latest, budget) for budget in reversed(waiting)]

    def _best(self, state: Any) -> Solution:
        """Return what TreeQuest says is best."""
        import treequest  # noqa: PLC0415 - of the extra `peers`

        found: Attempt = treequest.top_k(state, self._algorithm, k=1)[0][0]
        return found.solution


async def _write(account: Account, parent: Attempt | None, meter: CallMeter) -> Solution:
    """Return a new solution, made from a node's or from nothing."""
    work = account.work
    if parent is None or parent.critique is None:
        return await work.actor.propose(work.problem, meter=meter)
    if parent.critique.first_error is None:
        return await work.actor.refine(work.problem, parent.solution, parent.critique, meter=meter)
    return await work.actor.revise(work.problem, parent.solution, parent.critique, meter=meter)


def quest_peers() -> dict[str, Callable[[], QuestPeer]]:
    """Return TreeQuest's methods by label, each with its own defaults."""
    import treequest  # noqa: PLC0415 - of the extra `peers`

    return {
        "treequest:ab-mcts-a": lambda: QuestPeer("treequest:ab-mcts-a", treequest.ABMCTSA()),
        "treequest:standard-mcts": lambda: QuestPeer("treequest:standard-mcts", treequest.StandardMCTS()),
    }
