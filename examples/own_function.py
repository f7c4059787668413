"""Scale an asynchronous function of your own: best-of-N, a vote, refinement and tree search over whatever it returns.

The function here stands for a model that reads an invoice and often misreads it. It returns a Pydantic model, takes its
seed from the search that calls it, and reports what it cost.

Run it with:  python examples/own_function.py

Prints:
    best of 8: tea 12, jam 7, bread 31, total 51; 2720 tokens
      scores [0.5, 0.65, 0.9, 0.35, 0.5, 0.95, 0.35]; call 6: fn failed with TimeoutError: the model did not answer
    majority: the total is 50
    refined: tea 12, jam 7, bread 31, total 50; accepted
      0: the prices make 40, the total says 50
      1: the prices make 43, the total says 50
      2: the prices make 50, the total says 50
    tree search: tea 12, jam 7, bread 31, total 50; accepted, reading 20 made from reading 4
"""

from __future__ import annotations

import asyncio
import random

from pydantic import BaseModel

from actorcritic import Budget, best_of_n, majority, mcts, refine, this_call

SEED = 89
TRUTH = {"tea": 12, "jam": 7, "bread": 31, "total": 50}


class Invoice(BaseModel):
    """What was read."""

    prices: dict[str, int]
    total: int

    def __str__(self) -> str:
        return ", ".join(f"{name} {price}" for name, price in self.prices.items()) + f", total {self.total}"


async def read(hint: str = "", before: Invoice | None = None) -> Invoice:
    """Read the invoice, or one number of it again: here you would call your model."""
    call = this_call()
    chance = random.Random(call.seed)
    call.charge(prompt_tokens=300, completion_tokens=40)
    if chance.random() < 0.15:
        raise TimeoutError("the model did not answer")
    numbers = {} if before is None else {**before.prices, "total": before.total}
    for name in TRUTH if before is None else [chance.choice(list(TRUTH))]:
        wrong = chance.random() < (0.15 if hint else 0.4)
        numbers[name] = TRUTH[name] + (chance.choice([-10, -1, 1, 3]) if wrong else 0)
    total = numbers.pop("total")
    return Invoice(prices=numbers, total=total)


def adds_up(invoice: Invoice) -> float:
    """Score a reading in [0, 1]: how near the sum of the prices is to the total."""
    return max(0.0, 1 - abs(sum(invoice.prices.values()) - invoice.total) / 20)


def criticize(invoice: Invoice) -> tuple[float, str]:
    """Score a reading and say what is wrong with it."""
    return adds_up(invoice), f"the prices make {sum(invoice.prices.values())}, the total says {invoice.total}"


async def main() -> None:
    """Read the invoice in four ways."""
    best = await best_of_n(read, adds_up, n=8, seed=SEED)
    print(f"best of {best.attempts}: {best.value}; {best.spend.total.logical_tokens} tokens")
    print(f"  scores {[round(candidate.score or 0, 2) for candidate in best.candidates]}; {best.failures[0]}")

    vote = await majority(read, key=lambda invoice: invoice.total, n=8, seed=SEED)
    print(f"majority: the total is {vote.value.total}")

    async def revise(invoice: Invoice, feedback: str) -> Invoice:
        return await read(hint=feedback)

    refined = await refine(read, criticize, revise, rounds=6, seed=SEED)
    print(f"refined: {refined.value}; {refined.stopped_by}")
    for reading in refined.candidates:
        print(f"  {reading.index}: {reading.feedback}")

    async def reread(invoice: Invoice | None) -> Invoice:
        return await read(before=invoice)

    tree = await mcts(reread, adds_up, n=40, accept=1.0, seed=SEED, budget=Budget(tokens=8_000))
    print(f"tree search: {tree.value}; {tree.stopped_by}, reading {tree.index} made from reading {tree.best.parent}")


if __name__ == "__main__":
    asyncio.run(main())
