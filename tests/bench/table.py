"""A table of figures, each beside that of its peer in the same run, with the goal that it has."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

__all__ = ["Row", "from_line", "ratio", "show", "to_line"]

_MARK = "ROW "


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours, that of `peer`, what was found of both, and whether the goal holds."""

    figure: str
    ours: str
    peer: str
    found: str
    goal: str
    holds: bool


def ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Return the median of the ratios of rounds that followed each other."""
    return statistics.median(one / other for one, other in zip(ours, peer, strict=True))


def to_line(row: Row) -> str:
    """Return a row as a line among others, as a guest prints it."""
    return _MARK + json.dumps(asdict(row))


def from_line(line: str) -> Row | None:
    """Return the row that a line is, None if it is another."""
    return Row(**json.loads(line.removeprefix(_MARK))) if line.startswith(_MARK) else None


def show(rows: Iterable[Row]) -> None:
    """Print the table."""
    print(f"{'figure':<54}{'ours':>14}  {'beside':<36}{'found':>10}{'goal':>12}")
    for row in rows:
        figures = f"{row.figure:<54}{row.ours:>14}  {row.peer:<36}{row.found:>10}{row.goal:>12}"
        print(f"{figures}  {'holds' if row.holds else 'MISSED'}", flush=True)
