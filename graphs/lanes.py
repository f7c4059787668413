"""Lanes: endless runs of the trial graph that carry out one trial after the other.

Starting a run costs LangGraph as much as all the steps of a trial, so a lane starts once and is handed its trials. One
lane carries out one trial at a time; there are as many as trials in flight. Knows no policy and no budget.
"""

from __future__ import annotations

import asyncio

from actorcritic.graphs.trial import TrialGraph, TrialRun

__all__ = ["Lanes"]

NEVER = 2**62
"""Supersteps after which LangGraph would stop a lane."""


class Lanes:
    """Carries out trials, each on a lane of its own. Mutable; close it when the last trial has ended."""

    def __init__(self, graph: TrialGraph) -> None:
        """Make lanes as they are needed.

        Args:
            graph: An endless trial graph.
        """
        self._graph = graph
        self._idle: list[_Lane] = []

    async def run(self, trial: TrialRun) -> TrialRun:
        """Carry out a trial and return what became of it; cancelled, it takes its lane and the lane's call along."""
        lane = self._idle.pop() if self._idle else _Lane(self._graph)
        try:
            ended = await lane.carry_out(trial)
        except BaseException:
            await lane.close()
            raise
        self._idle.append(lane)
        return ended

    async def aclose(self) -> None:
        """Stop the lanes, all of them idle by now."""
        while self._idle:
            await self._idle.pop().close()


class _Lane:
    """One endless run: a `Turns` that hands it trials. Mutable."""

    def __init__(self, graph: TrialGraph) -> None:
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Future[TrialRun] = self._loop.create_future()
        self._result: asyncio.Future[TrialRun] | None = None
        self._run = asyncio.create_task(self._go_on(graph))
        self._run.add_done_callback(self._broke_off)

    async def _go_on(self, graph: TrialGraph) -> None:
        """Run to the end, which never comes; nobody looks at the states on the way, and showing them costs time."""
        async for _ in graph.astream({"lane": self}, {"recursion_limit": NEVER}, stream_mode=[]):
            pass

    async def carry_out(self, trial: TrialRun) -> TrialRun:
        """Hand over a trial and wait for its end."""
        self._result = self._loop.create_future()
        self._next.set_result(trial)
        return await self._result

    async def turn(self, ended: TrialRun | None) -> TrialRun:
        """See `Turns.turn`."""
        if ended is not None and self._result is not None and not self._result.done():
            self._result.set_result(ended)
        trial = await self._next
        self._next = self._loop.create_future()
        return trial

    async def close(self) -> None:
        """Stop the run, and with it the call that it may be making."""
        self._run.cancel()
        await asyncio.wait({self._run})

    def _broke_off(self, run: asyncio.Task[object]) -> None:
        """Tell whoever waits for a trial that there is no lane any more."""
        error = None if run.cancelled() else run.exception()
        if self._result is not None and not self._result.done():
            self._result.set_exception(error or RuntimeError("a lane ended before its trial"))
