"""How many names a second our resolver answers, beside other servers: same client, same queries.

    (a) 2,000 names of one network, all hot
    (b) 100,000 names of 1,000 networks, each asked from there
    (c) the same while 100 changes a second land, which only ours takes without a new start
    (d) as (b), with 5 % that are not there and 5 % that break the rules

One worker each, servers on one core, the client on another; they take turns, and each figure is
the median of its rounds. Then 5,000 queries a second for a minute, while changes land. With QUICK=1
in the environment: row (a) of ours and of NSD.
"""

import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.dns.changes import A_SECOND
from tests.bench.dns.lab import Lab, Running
from tests.bench.dns.load import Figures
from tests.bench.dns.names import Names, with_mistakes
from tests.bench.dns.servers import SERVERS

HOT = Names(networks=1, apps=1000)
ALL = Names(networks=1000, apps=50)
ROUNDS = 5
SECONDS = 2.0
# Until this many are answered a second, the server still makes what it is asked for first.
SETTLED_PER_S, WARM_UPS, WARM_UP_S = 50_000, 8, 3.0
SOAK_S, SOAK_PER_S = 60.0, 5000


class Round(NamedTuple):
    """What one server did in one round of a row."""

    figures: Figures
    processor_us: float
    memory_bytes: int


Rounds = dict[str, list[Round]]


def main() -> None:
    """Print the figures."""
    quick = bool(os.environ.get("QUICK"))
    with tempfile.TemporaryDirectory(prefix="wgctl-bench-") as name:
        hot = _hot(Path(name), quick=quick)
        if not quick:
            _all(Path(name), hot["wgctl"])
    print(f"ratio to NSD {_ratio(hot['wgctl'], hot['NSD']):.2f}")


def _hot(folder: Path, *, quick: bool) -> Rounds:
    """Measure and print row (a)."""
    lab = _lab(folder / "a", HOT)
    found: Rounds = {}
    try:
        servers = []
        for server in SERVERS[:2] if quick else SERVERS:
            running, target = lab.start(server)
            running.prepare("a", HOT.queries(target))
            servers.append(running)
        _take_turns(servers, "a", found)
    finally:
        lab.close()
    _print("a", found)
    return found


def _all(folder: Path, hot: list[Round]) -> None:
    """Measure and print rows (b), (c), (d), and the minute; `hot` is row (a) of ours."""
    lab = _lab(folder / "b", ALL)
    asked: Rounds = {}
    mixed: Rounds = {}
    try:
        servers = []
        for server in SERVERS:
            running, target = lab.start(server)
            queries = ALL.queries(target)
            running.prepare("b", queries)
            running.prepare("d", with_mistakes(queries))
            servers.append(running)
        _take_turns(servers, "b", asked)
        _take_turns(servers, "d", mixed)
        _print("b", asked)
        changed, took = _while_changing(lab, servers[0])
        _print("c", {"wgctl": changed})
        _print_changes(took)
        _print("d", mixed)
        for row, rounds in (("b", asked["wgctl"]), ("c", changed), ("d", mixed["wgctl"])):
            print(f"({row}) to (a), ours: {_rate(rounds) / _rate(hot):.2f}")
        _soak(lab, servers[0])
    finally:
        lab.close()


def _lab(folder: Path, names: Names) -> Lab:
    folder.mkdir()
    return Lab(folder, names)


def _take_turns(servers: Sequence[Running], row: str, found: Rounds) -> None:
    for server in servers:
        # What is asked for the first time is made, or read from a disk: that is not what counts.
        for _ in range(WARM_UPS):
            if server.ask(row, WARM_UP_S)[0].rate > SETTLED_PER_S:
                break
    for _ in range(ROUNDS):
        for server in servers:
            found.setdefault(server.name, []).append(_round(server, row))


def _round(server: Running, row: str) -> Round:
    figures, usage = server.ask(row, SECONDS)
    took_us = usage.processor_s / max(1, figures.answers) * 1e6
    return Round(figures, took_us, usage.memory_bytes)


def _while_changing(lab: Lab, server: Running) -> tuple[list[Round], list[float]]:
    """Return the rounds of (c), and what each change took to be answered, in milliseconds."""
    with lab.changing(server, seconds=1000 / A_SECOND + 2 * SECONDS) as changes:
        rounds: list[Round] = []
        while changes.poll() is None and len(rounds) < ROUNDS:
            rounds.append(_round(server, "b"))
        printed, _ = changes.communicate()
    return rounds, json.loads(printed)


def _soak(lab: Lab, server: Running) -> None:
    before = server.usage().memory_bytes
    with lab.changing(server, seconds=SOAK_S) as changes:
        figures, usage = server.ask("b", SOAK_S, SOAK_PER_S)
        printed, _ = changes.communicate()
    print(f"\n{SOAK_PER_S:,} queries a second for {SOAK_S:.0f} s, {A_SECOND} changes a second:")
    print(f"lost {figures.lost} of {figures.answers + figures.lost:,}, ", end="")
    print(f"p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms, ", end="")
    print(f"memory {before / 1e6:.0f} to {usage.memory_bytes / 1e6:.0f} MB")
    _print_changes(json.loads(printed))


def _rate(rounds: Sequence[Round]) -> float:
    return statistics.median(one.figures.rate for one in rounds)


def _ratio(one: Sequence[Round], other: Sequence[Round]) -> float:
    """Return the median of what `one` answered to what `other` did in the same round."""
    pairs = zip(one, other, strict=True)
    return statistics.median(mine.figures.rate / theirs.figures.rate for mine, theirs in pairs)


def _print(row: str, found: Mapping[str, list[Round]]) -> None:
    print(f"\n({row})   {'answers/s':>10}{'ours to it':>12}{'p50 ms':>8}{'p99 ms':>8}", end="")
    print(f"{'us each':>9}{'MB':>6}{'lost':>6}")
    for name, rounds in found.items():
        p50, p99, took, memory = (
            statistics.median(values)
            for values in (
                [one.figures.p50_ms for one in rounds],
                [one.figures.p99_ms for one in rounds],
                [one.processor_us for one in rounds],
                [one.memory_bytes / 1e6 for one in rounds],
            )
        )
        lost = sum(one.figures.lost for one in rounds)
        print(f"{name:<8}{_rate(rounds):>8,.0f}", end="")
        print(f"{_ratio(found['wgctl'], rounds):>12.2f}{p50:>8.2f}{p99:>8.2f}", end="")
        print(f"{took:>9.2f}{memory:>6.0f}{lost:>6}", flush=True)


def _print_changes(took: Sequence[float]) -> None:
    p50, p99 = (took[len(took) * part // 100] for part in (50, 99))
    print(f"a change is answered after {p50:.1f} ms, p99 {p99:.1f} ms, of {len(took):,}")


if __name__ == "__main__":
    main()
