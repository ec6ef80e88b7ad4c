"""The audit trail: reading it, and noting what was denied. What was done is noted by the store."""

from wgctl.core.access import Caller
from wgctl.core.audit import Record
from wgctl.store.store import Store

__all__ = ["listed", "note_denial"]


def listed(store: Store, org: str | None, *, after: int, limit: int) -> list[Record]:
    """Return up to `limit` records of `org`'s trail past the place `after`, in their order.

    None: of what no org owns. Raises NotFound.
    """
    with store.reading() as deployment:
        return deployment.trail(org, after=after, limit=limit)


def note_denial(store: Store, caller: Caller, request: str, *, now: int) -> None:
    """Note in the caller's trail that they were denied `request`."""
    with store.seen_by(caller).noting() as deployment:
        deployment.note_denial(request, now=now)
