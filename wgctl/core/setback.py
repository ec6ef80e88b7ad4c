"""When a role that follows the feed is set back, and how that is told.

A restored controller is behind what its roles have seen. They follow it, because restoring was an
operator's act, and going on with what is no longer true would keep removed peers alive; but none
goes back silently. Who keeps and shows what is told here is the role.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wgctl.core.feed import Snapshot
from wgctl.core.model import Network, Peer

__all__ = ["NAMED", "SHOWN_S", "Some", "Undone", "told"]

SHOWN_S = 7 * 86_400
"""How long a role says that it was set back: it stays in its log for longer."""

NAMED = 20
"""How many of each kind are named; of others their number."""


@dataclass(frozen=True, slots=True)
class Some:
    """How many networks and peers, and the first `NAMED` of them."""

    count: int
    first: Sequence[Network | Peer]


@dataclass(frozen=True, slots=True)
class Undone:
    """What a snapshot does to the networks and peers of a copy.

    `changed` are peers as they are in the snapshot, which have another key there.
    """

    gone: Some
    back: Some
    changed: Some


def told(
    position: tuple[str, int], snapshot: Snapshot, revision: int, undone: Callable[[], Undone]
) -> str | None:
    """Return in words how the copy at `position` is set back by `snapshot`; None if it is not.

    `position` is the copy's epoch and revision, ("", 0) when it is empty. `undone` is asked only if
    it is set back: that compares every row.
    """
    epoch, had = position
    if not epoch:
        return None
    if epoch == snapshot.epoch:
        if had <= revision:
            return None
        how = (
            f"the store went back from revision {had} to {revision}, and not by wgctl restore: "
            "what was given out since may be given out again"
        )
    elif snapshot.cut is None:
        how = f"another store took the place of the one that was followed up to revision {had}"
    elif had > snapshot.cut:
        how = (
            f"the controller was restored from a back-up of revision {snapshot.cut}, this role "
            f"had {had}: what was changed between is undone"
        )
    else:
        return None
    return f"{how}; {_words(undone())}"


def _words(undone: Undone) -> str:
    parts = [
        f"{title}: {_names(rows)}"
        for title, rows in (
            ("gone", undone.gone),
            ("back", undone.back),
            ("with an earlier key", undone.changed),
        )
        if rows.count
    ]
    return "; ".join(parts) or "no network or peer differs"


def _names(rows: Some) -> str:
    more = rows.count - len(rows.first)
    names = ", ".join(map(_name, rows.first))
    return f"{names} and {more} more" if more > 0 else names


def _name(row: Network | Peer) -> str:
    return f"{row.name} {row.address if isinstance(row, Peer) else row.prefix}"
