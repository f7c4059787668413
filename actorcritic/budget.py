"""One budget per problem, shared live by every role: reserved before a call, settled after, never exceeded.

A token on the bill is a *logical* one: prompt tokens that do not extend this problem's own prefix tree for that
model, plus completion tokens. So the bill does not depend on what a cache happened to hold.

A trial works within a `Lease`. A lease sees the prefix tree as it stood when the lease was taken, and is committed in
trial order; so timing changes neither what a trial may spend nor what it is charged. Knows no engine and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from actorcritic.errors import BudgetExhausted, InputError
from actorcritic.prefix_tree import PrefixTree
from actorcritic.types import Role, Usage

__all__ = ["Budget", "Charge", "Grant", "Lease", "Ledger", "Price", "Spend", "Steps"]

NEVER = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits for one problem; None = unlimited."""

    tokens: int | None = None
    """Logical tokens, all roles together."""
    calls: int | None = None
    """Requests to engines, all roles together."""
    steps: int | None = None
    """Steps in environments; those of a replay are not counted."""
    seconds: float | None = None
    """Wall-clock seconds from the start of the problem; kept by the driver."""
    money: float | None = None
    """In the currency of the price table."""

    @property
    def limited(self) -> bool:
        """Whether any limit ends a search."""
        return any(limit is not None for limit in (self.tokens, self.calls, self.steps, self.seconds, self.money))

    def __post_init__(self) -> None:
        """Refuse limits that allow nothing."""
        for name in ("tokens", "calls", "steps", "seconds", "money"):
            limit: float | None = getattr(self, name)
            if limit is not None and not limit > 0:
                raise InputError(f"the budget of {name} must be above 0, not {limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs per million tokens; cached prompt tokens may be cheaper."""

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None
    """None = as `prompt`."""

    def of(self, usage: Usage) -> float:
        """Return the money that a call cost."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (fresh * self.prompt + usage.cached_tokens * cached + usage.completion_tokens * self.completion) / 1e6

    def affordable(self, prompt_tokens: int, money: float) -> int:
        """Return how many completion tokens the money pays for after an uncached prompt; -1 = not even that."""
        rest = money * 1e6 - prompt_tokens * max(self.prompt, self.cached or 0.0)
        if rest < 0:
            return -1
        return NEVER if self.completion == 0 else min(NEVER, int(rest / self.completion))

    @property
    def dearest(self) -> float:
        """What one token costs at most."""
        return max(self.prompt, self.completion, self.cached or 0.0) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What was done in environments."""

    taken: int = 0
    """On the bill, failed ones too; those of a replay are not."""
    replayed: int = 0
    """Done once more in order to come back to a state: reported beside the bill, for it depends on timing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What has been spent, per role; `usage[role].logical_tokens` adds up to the tokens on the bill."""

    usage: dict[Role, Usage] = field(default_factory=dict[Role, Usage])
    money: float = 0.0
    steps: Steps | None = None
    """None = no environment took part."""

    @property
    def total(self) -> Usage:
        """All roles together."""
        usages = list(self.usage.values())
        return usages[0] if len(usages) == 1 else sum(usages, Usage())

    def add(self, role: Role, usage: Usage, money: float = 0.0) -> Spend:
        """Return this spend with one more call on it."""
        usages = dict(self.usage)
        usages[role] = usages.get(role, Usage()) + usage
        return Spend(usage=usages, money=self.money + money, steps=self.steps)

    def add_steps(self, taken: int, replayed: int) -> Spend:
        """Return this spend with more steps in an environment."""
        before = self.steps if self.steps is not None else Steps()
        return replace(self, steps=Steps(taken=before.taken + taken, replayed=before.replayed + replayed))

    def plus(self, other: Spend) -> Spend:
        """Return both spends together."""
        usages = dict(self.usage)
        for role, usage in other.usage.items():
            usages[role] = usages.get(role, Usage()) + usage
        spend = Spend(usage=usages, money=self.money + other.money, steps=self.steps)
        return spend if other.steps is None else spend.add_steps(other.steps.taken, other.steps.replayed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Leave to make one call."""

    new_prompt_tokens: int
    """Prompt tokens that the call will be charged for."""
    max_tokens: int
    """Completion tokens that it may ask for, >= 1; 0 where none are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One call as it is charged."""

    role: Role
    model: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    usage: Usage
    money: float = 0.0
    logical_tokens: int | None = None
    """What a call costs whose token ids are not known; None = worked out from the ids."""

    def cost(self, new_tokens: int) -> Usage:
        """Return the usage with the logical tokens, given how many ids of the prompt are new."""
        used, known = self.usage, self.logical_tokens
        return Usage(  # spelt out: `replace` takes three times as long, and every call is costed twice
            calls=used.calls,
            prompt_tokens=used.prompt_tokens,
            cached_tokens=used.cached_tokens,
            completion_tokens=used.completion_tokens,
            logical_tokens=new_tokens + used.completion_tokens if known is None else known,
        )


class _Left(NamedTuple):
    """What is neither spent nor on an open lease; None = unlimited."""

    tokens: int | None
    calls: int | None
    money: float | None
    steps: int | None

    @property
    def spent(self) -> Literal["tokens", "calls", "steps", "money"] | None:
        """Which of them leaves room for nothing further; None = there is room."""
        if self.tokens is not None and self.tokens < 1:
            return "tokens"
        if self.calls is not None and self.calls < 1:
            return "calls"
        if self.money is not None and self.money <= 0:
            return "money"
        return "steps" if self.steps is not None and self.steps < 1 else None


class Lease:
    """What one trial may spend. Mutable; belongs to one task at a time."""

    __slots__ = ("_ledger", "_local", "_seen", "_spent", "calls", "charges", "money", "steps", "tokens")

    def __init__(self, ledger: Ledger, seen: int, limits: _Left):
        self._ledger = ledger
        self._seen = seen
        self._local: dict[str, PrefixTree] = {}
        self._spent = Spend()
        self.tokens, self.calls, self.money, self.steps = limits
        """The most that it may spend of each; None = unlimited."""
        self.charges: list[Charge] = []

    def new_tokens(self, model: str, prompt_ids: Sequence[int]) -> int:
        """Return how many ids of a prompt this trial would be charged for."""
        known = self._ledger.tree(model).match(prompt_ids, self._seen)
        local = self._local.get(model)
        return len(prompt_ids) - max(known, local.match(prompt_ids) if local else 0)

    def admit(self, model: str, prompt_ids: Sequence[int], max_tokens: int, price: Price | None = None) -> Grant:
        """Reserve one call, its completion cut to what is left in tokens and to what the money left pays for.

        Raises:
            BudgetExhausted: not even the prompt and one completion token fit (or the prompt alone, where no more is
                asked for), or no call or money is left.
        """
        spent, least = self._spent.total, min(max_tokens, 1)
        if self.calls is not None and spent.calls >= self.calls:
            raise BudgetExhausted("calls")
        if self.money is not None and self._spent.money >= self.money:
            raise BudgetExhausted("money")
        new = self.new_tokens(model, prompt_ids)
        if self.tokens is not None:
            max_tokens = min(max_tokens, self.tokens - spent.logical_tokens - new)
        if max_tokens < least:
            raise BudgetExhausted("tokens")
        if self.money is not None and price is not None:
            max_tokens = min(max_tokens, price.affordable(len(prompt_ids), self.money - self._spent.money))
            if max_tokens < least:
                raise BudgetExhausted("money")
        return Grant(new_prompt_tokens=new, max_tokens=max_tokens)

    def charge(self, charge: Charge) -> Usage:
        """Settle one call; returns its usage with the logical tokens as this trial sees them."""
        usage = charge.cost(self.new_tokens(charge.model, charge.prompt_ids))
        self.charges.append(charge)
        self._spent = self._spent.add(charge.role, usage, charge.money)
        self._local.setdefault(charge.model, PrefixTree()).add(charge.prompt_ids + charge.completion_ids)
        return usage

    def admit_step(self) -> None:
        """Reserve one step in an environment.

        Raises:
            BudgetExhausted: none is left, or no token with which an action could be written.
        """
        if self.tokens is not None and self._spent.total.logical_tokens >= self.tokens:
            raise BudgetExhausted("tokens")
        taken = 0 if self._spent.steps is None else self._spent.steps.taken
        if self.steps is not None and taken >= self.steps:
            raise BudgetExhausted("steps")

    def charge_step(self, replayed: int = 0) -> None:
        """Settle one step, and those that were replayed before it."""
        self._spent = self._spent.add_steps(1, replayed)

    @property
    def spent(self) -> Spend:
        """What this trial spent, as it sees it; committing may charge less where siblings share a prefix."""
        return self._spent


class Ledger:
    """The account of one problem. Mutable; leases are taken and committed in trial order."""

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        width: int = 1,
        spend: Spend | None = None,
        token_price: float | None = None,
    ) -> None:
        """Open an account.

        Args:
            budget: The limits; None = none.
            width: How many leases may be open at a time; what is left is shared by those that may run side by side.
            spend: What was spent before, where a run goes on.
            token_price: What a token costs at most. With it, trials whose tokens are known run side by side under a
                limit of money; None = unknown: they run in turn.
        """
        self._width = width
        self._token_price = token_price
        self.budget = budget if budget is not None else Budget()
        self._trees: dict[str, PrefixTree] = {}
        self._spend = spend if spend is not None else Spend()
        self._commits = 0
        self._open: dict[int, Lease] = {}

    def tree(self, model: str) -> PrefixTree:
        """Return the prefix tree of a model."""
        return self._trees.setdefault(model, PrefixTree())

    @property
    def spend(self) -> Spend:
        """Everything committed so far."""
        return self._spend

    def left(self) -> _Left:
        """Return what is neither spent nor on an open lease; None = unlimited."""
        total, leases = self._spend.total, self._open.values()
        tokens, calls, money, steps = self.budget.tokens, self.budget.calls, self.budget.money, self.budget.steps
        if tokens is not None:
            tokens -= total.logical_tokens + sum(lease.tokens or 0 for lease in leases)
        if calls is not None:
            calls -= total.calls + sum(lease.calls or 0 for lease in leases)
        if money is not None:
            money -= self._spend.money + sum(lease.money or 0.0 for lease in leases)
        if steps is not None:
            taken = 0 if self._spend.steps is None else self._spend.steps.taken
            steps -= taken + sum(lease.steps or 0 for lease in leases)
        return _Left(tokens, calls, money, steps)

    def spent_limit(self) -> Literal["tokens", "calls", "steps", "money"] | None:
        """Return which limit leaves room for nothing further, None if there is room."""
        return self.left().spent

    def lease(
        self, trial: int, *, tokens: int | None = None, calls: int | None = None, steps: int | None = None
    ) -> Lease | None:
        """Set aside what a trial may spend: what is left, divided by the leases that may yet run beside it.

        Args:
            trial: Whose lease it is.
            tokens: What it needs at most; a share below this is raised to it. None = unknown: it gets all that is left.
            calls: Likewise.
            steps: Likewise, in environments.

        Returns:
            None where less than the wish is left while other trials are still running: wait for a commit, which gives
            back what its trial did not use, rather than start a trial that cannot finish.

        Raises:
            BudgetExhausted: nothing is left and nothing is running.
        """
        left = self.left()
        money = None if tokens is None or self._token_price is None else tokens * self._token_price
        if self._open and any(map(_short, (tokens, calls, money, steps), left)):
            return None
        if left.spent is not None:
            raise BudgetExhausted(left.spent)
        slots = max(1, self._width - len(self._open))
        limits = _Left(
            tokens=_whole_share(tokens, left.tokens, slots),
            calls=_whole_share(calls, left.calls, slots),
            money=_share(money, left.money, slots),
            steps=_whole_share(steps, left.steps, slots),
        )
        lease = Lease(self, self._commits, limits)
        self._open[trial] = lease
        return lease

    def release(self, trial: int) -> None:
        """Give back a lease under which no call was made."""
        self._open.pop(trial)

    def commit(self, trial: int) -> Spend:
        """Close a trial's lease and charge its calls against the tree as it now stands.

        Returns:
            What this trial is charged; never more than its lease.
        """
        lease = self._open.pop(trial)
        spend = Spend(steps=lease.spent.steps)
        for charge in lease.charges:
            tree = self.tree(charge.model)
            new = len(charge.prompt_ids) - tree.match(charge.prompt_ids)
            tree.add(charge.prompt_ids + charge.completion_ids, self._commits)
            spend = spend.add(charge.role, charge.cost(new), charge.money)
        self._spend = self._spend.plus(spend)
        self._commits += 1
        return spend


def _share(wish: float | None, left: float | None, slots: int) -> float | None:
    """Return one slot's share of what is left, raised to the wish as far as that goes; None = unlimited."""
    if left is None or wish is None:
        return left
    return min(left, max(wish, left / slots))


def _whole_share(wish: int | None, left: int | None, slots: int) -> int | None:
    """Return such a share of what comes in whole units."""
    share = _share(wish, left, slots)
    return None if share is None else int(share)


def _short(wish: float | None, left: float | None) -> bool:
    """Return whether less is left than is wished; an unlimited wish takes everything, so it runs alone."""
    return left is not None and (wish is None or left < wish)
