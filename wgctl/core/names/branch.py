"""One name of a zone and all that stands below it, put together when somebody first asks.

Knows no rows and no zone: what stands where is told by the modules beside this one.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from wgctl.core.names.record_set import RecordSet
from wgctl.core.wire import Labels

__all__ = ["TOP_LABELS", "Branch", "Names", "Stands"]

Stands = Mapping[int, RecordSet]
"""What stands at a name, by type; nothing where only names below exist."""

Names = Iterable[tuple[Labels, Stands]]

TOP_LABELS = 2
"""How many labels the top of a branch has: its own and the zone's."""


def _no_rule(_labels: Labels) -> Stands | None:
    return None


class Branch:
    """The names below one top. Those that are made of equal values are the same.

    A network has thousands of names, few of which are asked for between two changes.
    """

    def __init__(
        self,
        of: object,
        write: Callable[[], Names],
        *,
        rule: Callable[[Labels], Stands | None] = _no_rule,
    ) -> None:
        """Make a branch of the values `of`: `write` gives its names, in any order.

        `rule` finds those that are too many to be written down, and those that are asked for by
        themselves, which need not wait for all others.
        """
        self.of = of
        self._write = write
        self._rule = rule

    @property
    def names(self) -> Mapping[Labels, Stands]:
        """All that is written down, and the names between, which exist too (RFC 8020)."""
        return _written(self)

    def write(self) -> Mapping[Labels, Stands]:
        """Put together what `names` are."""
        names: dict[Labels, Stands] = {}
        for labels, stands in self._write():
            names[labels] = stands
            above = labels[1:]
            while len(above) >= TOP_LABELS and above not in names:
                names[above] = {}
                above = above[1:]
        return names

    def find(self, labels: Labels) -> Stands | None:
        """Return what stands at `labels`; None where there is no such name."""
        found = self._rule(labels)
        return self.names.get(labels) if found is None else found


# That of an app takes 4 KB and 60 us to write: those of late are kept, and their replies anyway.
_written = lru_cache(maxsize=2048)(Branch.write)
