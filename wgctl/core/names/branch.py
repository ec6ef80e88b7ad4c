"""One name of a zone and all that stands below it, put together when somebody first asks.

Knows no rows and no zone: what stands where is told by the modules beside this one.
"""

from collections.abc import Callable, Iterable, Mapping
from weakref import WeakKeyDictionary

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
        self._names: Mapping[Labels, Stands] | None = None

    @property
    def names(self) -> Mapping[Labels, Stands]:
        """All that is written down, and the names between, which exist too (RFC 8020)."""
        if self._names is None:
            self._names = self._written()
            _having_names[self] = None
            if len(_having_names) > _MOST_HAVING_NAMES:
                oldest = next(iter(_having_names))
                del _having_names[oldest]
                oldest.forget()
        return self._names

    def forget(self) -> None:
        """Put `names` together anew when they are next asked for."""
        self._names = None

    def _written(self) -> Mapping[Labels, Stands]:
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


# Those of an app take 4 KB and 60 us to write: the last so many are kept while their branch is, and
# their replies anyway.
_MOST_HAVING_NAMES = 2048
_having_names: WeakKeyDictionary[Branch, None] = WeakKeyDictionary()
