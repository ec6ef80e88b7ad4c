"""Which upstreams to ask, in which order and for how long, by what became of earlier questions.

Takes times as arguments, in seconds of any clock that only goes forward; who asks and who probes is
`wgctl.drivers.upstream`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wgctl.core.forward.upstream import Upstream

__all__ = ["BUDGET_S", "Condition", "Health", "patience_s"]

BUDGET_S = 4.5
"""What one question may take in all: stub resolvers give up, or ask again, after 5 s."""

_TRY_S = 1.0
# Of a lone upstream, which may itself still be searching; together they are the budget.
_LONE_TRIES_S = (1.0, 1.5, 2.0)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
# A first failure may be one dead domain's; the probe after it shows.
_DOWN_AFTER = 2


class Condition(NamedTuple):
    """How an upstream, as text, does: `reason` is why it is asked last, None where it is well."""

    upstream: str
    reason: str | None


@dataclass(slots=True)
class _Record:
    """`failures` since it last worked; `retry_at` is when it is to be probed, if there are any."""

    failures: int = 0
    retry_at: float = 0.0
    worked_at: float = float("-inf")
    reason: str = ""


class Health:
    """The upstreams and how they do.

    One that fails is asked after all others until it has answered a probe: the first comes after
    1 s, and each that fails doubles the wait for the next, up to a minute.
    """

    def __init__(self, upstreams: Sequence[Upstream], *, pace: float = 1.0) -> None:
        """Begin with all of `upstreams` well; they are preferred in this order.

        The waits are `pace` times as long.
        """
        self._pace = pace
        self._records = {upstream: _Record() for upstream in upstreams}

    def order(self) -> list[Upstream]:
        """Return all upstreams: those that work, as they were given; then the soonest to retry."""
        return sorted(self._records, key=lambda one: self._records[one].retry_at)

    def worked(self, upstream: Upstream, *, now: float) -> bool:
        """Note that it replied; return whether its condition is another now."""
        was = self._records[upstream].failures
        self._records[upstream] = _Record(worked_at=now)
        return was >= _DOWN_AFTER

    def failed(self, upstream: Upstream, reason: str, *, asked_at: float, now: float) -> bool:
        """Note that it failed; return whether its condition is another now.

        One that has replied to somebody since `asked_at` is alive: the question was at fault.
        """
        record = self._records[upstream]
        if record.worked_at >= asked_at or record.retry_at > now:
            return False  # Many questions fail at once, which says no more than one does.
        record.failures += 1
        record.reason = reason
        wait_s = _FIRST_WAIT_S * 2 ** min(record.failures - 1, 10)
        record.retry_at = now + min(wait_s, _LONGEST_WAIT_S) * self._pace
        return record.failures == _DOWN_AFTER

    def due(self, *, now: float) -> list[Upstream]:
        """Return the upstreams that are to be probed."""
        return [
            upstream
            for upstream, record in self._records.items()
            if record.failures and record.retry_at <= now
        ]

    def next_probe_at(self) -> float | None:
        """Return when the next upstream is due; None while all are well."""
        times = [record.retry_at for record in self._records.values() if record.failures]
        return min(times, default=None)

    def conditions(self) -> list[Condition]:
        """Return how each upstream does, in the order in which they were given."""
        return [
            Condition(str(upstream), record.reason if record.failures >= _DOWN_AFTER else None)
            for upstream, record in self._records.items()
        ]


def patience_s(number: int, *, others: int) -> float:
    """Return how long to wait on try `number`, from 0, while `others` could be asked instead."""
    if others:
        return _TRY_S
    return _LONE_TRIES_S[min(number, len(_LONE_TRIES_S) - 1)]
