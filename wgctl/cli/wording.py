"""How times and amounts read in a table.

The JSON forms are `wgctl.core.schema`'s; reading the clock is the caller's.
"""

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wgctl.core import schema

__all__ = ["ABSENT", "ago", "date", "expiry", "lease", "networks", "size", "tags", "yes_no"]

ABSENT = "-"
"""What stands in a table where there is no value: never empty, so that columns can be counted."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_STEP = 1024


def ago(then: datetime | None, *, now: datetime) -> str:
    """Return `12 s ago`, in the largest unit that fits; times still to come read as `0 s ago`."""
    if then is None:
        return ABSENT
    return f"{_span((now - then).total_seconds())} ago"


def expiry(then: datetime | None, *, now: datetime) -> str:
    """Return `in 29 d` or `2 h ago`; None never comes."""
    if then is None:
        return ABSENT
    left_s = (then - now).total_seconds()
    return f"in {_span(left_s)}" if left_s > 0 else ago(then, now=now)


def date(then: datetime) -> str:
    """Return `2026-01-31T12:00:00Z`."""
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def lease(found: "schema.Lease | None", *, now: datetime) -> str:
    """Return `15s, ends in 12 s`, and when its announcer says so that the machine is unhealthy."""
    if found is None:
        return ABSENT
    told = [f"{found.ttl_s}s"]
    if found.ends_at is not None:
        verb = "ends" if found.ends_at > now else "ended"
        told.append(f"{verb} {expiry(found.ends_at, now=now)}")
    if found.healthy is False:
        told.append("unhealthy")
    return ", ".join(told)


def networks(names: list[str] | None) -> str:
    """Return `lab, staging`, `all` for None, and `none` when none is left."""
    return "all" if names is None else ", ".join(names) or "none"


def tags(names: list[str]) -> str:
    """Return `ci, staging`."""
    return ", ".join(names) or ABSENT


def size(count_bytes: int) -> str:
    """Return `148 B`, `1.4 KiB` and so on."""
    if count_bytes < _STEP:
        return f"{count_bytes} B"
    amount, unit = count_bytes / _STEP, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        # 1023.95 would be shown as 1024.0 of the smaller unit.
        if round(amount, 1) < _STEP:
            break
        amount, unit = amount / _STEP, larger
    return f"{amount:.1f} {unit}"


def yes_no(value: bool) -> str:  # noqa: FBT001 - a table's cell takes its one value so
    """Return `yes` or `no`."""
    return "yes" if value else "no"


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    length, unit = next((pair for pair in _UNITS if whole >= pair[0]), _UNITS[-1])
    return f"{whole // length} {unit}"
