"""The names of one app: `<app>.internal`, and all that stands below it.

Takes machines with their addresses, and knows neither peers nor other apps. A name stands for as
long as a machine is registered that it speaks of; addresses are those of the started ones that
pass their checks, or of all started ones when none does.

    global                                AAAA: every machine
    <region>                              AAAA: those of a region
    <group>.process                       AAAA: those of a process group
    <value>.<key>.kv._metadata            AAAA: those with this metadata
    <key>.kv._metadata                    AAAA: those with this key
    <machine>.vm                          AAAA: that machine, whether it passes its checks or not
    top<N>.nearest.of                     AAAA: the N nearest (see `top`)
    _<port>._tcp, _<port>._udp            SRV: those with a port of this name
    regions, all.regions                  TXT: <region>,<region>
    vms, all.vms                          TXT: <machine> <region>,<machine> <region>

All of these are followed by `<app>.internal`. No two rows can mean the same name: the words that
stand in the place of a region are reserved (`peers.names`), and no label begins with `_`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Address
from typing import NamedTuple, TypeVar

from peers.names import Label
from wgctl.core.model import App, Machine, MachineState
from wgctl.core.names.branch import Branch, Names, Stands
from wgctl.core.names.record_set import MOST, TTL_S, Entry, RecordSet, listing, service, target
from wgctl.core.wire import Labels, Qtype

__all__ = [
    "METADATA",
    "NEAREST",
    "Home",
    "Instance",
    "Placed",
    "app_branch",
    "app_names",
    "described",
    "nearest",
    "top",
]

NEAREST: Labels = (b"nearest", b"of")
"""What stands between `top<N>` and the app."""

METADATA: Labels = (b"kv", b"_metadata")
"""What stands between a key and the app."""

_TOP = re.compile(rb"top([1-9][0-9]*)")
_FACT_LABELS = 2
_ALL_FAIL = b"no machine passes its checks: all are given"

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine with its peer's address; `failing` says that it does not pass its checks.

    `entry` is the AAAA record of the address.
    """

    machine: Machine
    address: IPv6Address
    entry: Entry
    failing: bool

    @property
    def started(self) -> bool:
        """Whether it may be in an answer at all."""
        return self.machine.state is MachineState.STARTED


class Placed(NamedTuple):
    """A machine, the address of the peer that it is on, and whether it does not pass its checks."""

    machine: Machine
    address: IPv6Address
    failing: bool


class Home(NamedTuple):
    """An app, its name, its machines on peers that are there: in any order, and in that of address.

    `ttl_s` is how long an answer may be kept that any of them is in.
    """

    app: App
    name: Labels
    placed: Sequence[Placed]
    instances: tuple[Instance, ...]
    ttl_s: int

    def stays(self, app: App, placed: Sequence[Placed], ttl_s: int) -> bool:
        """Whether this is what there is of `app` too; one that was read again need not be it."""
        return self.app is app and self.ttl_s == ttl_s and self.placed == placed


def app_branch(home: Home, distance_km: Callable[[Label], float]) -> Branch:
    """Return every name of the app, also those that are found by rule."""
    near, facts = (*NEAREST, *home.name), (*METADATA, *home.name)

    def write() -> Names:
        yield from app_names(home.name, home.instances, ttl_s=home.ttl_s)
        yield near, {}
        if any(one.machine.metadata for one in home.instances):
            yield facts, {}

    @cache
    def ranked() -> RecordSet:
        return nearest(home.instances, distance_km)

    def rule(labels: Labels) -> Stands | None:
        if labels == home.name:
            return _addresses(home.instances)
        if labels[1:] == near:
            return top(labels[0], ranked())
        above = labels[: -len(facts)]
        if labels[len(above) :] == facts and 1 <= len(above) <= _FACT_LABELS:
            return described(above, home.instances)
        return None

    return Branch(home, write, rule=rule)


def app_names(name: Labels, instances: Sequence[Instance], *, ttl_s: int = TTL_S) -> Names:
    """Yield every name of the app at `name`, itself first, with its records.

    `instances` are its machines, in order of address; their entries may be kept for `ttl_s`, as
    the other records may. Names that only lead to others are left out, and those that are found by
    rule: see `top` and `described`.
    """
    every = _addresses(instances)
    yield name, every
    yield (b"global", *name), every
    for region, found in _grouped(instances, lambda one: [one.machine.region]):
        yield (region.encode(), *name), _addresses(found)
    for group, found in _grouped(instances, lambda one: [one.machine.process_group]):
        yield (group.encode(), b"process", *name), _addresses(found)
    for one in instances:
        yield _machine_name(one, name), _records(Qtype.AAAA, [one.entry] if one.started else [])
    yield from _services(name, instances, ttl_s)
    yield from _lists(name, instances, ttl_s)


def nearest(instances: Iterable[Instance], distance_km: Callable[[Label], float]) -> RecordSet:
    """Return the machines in order of distance, those of one distance as a group.

    An address whose machines say that they are in several regions counts as in the nearest.
    """
    chosen, note = _answering(instances)
    rings: dict[float, dict[Entry, None]] = {}
    for region, found in _grouped(chosen, lambda one: [one.machine.region]):
        ring = rings.setdefault(distance_km(region), {})
        ring.update((one.entry, None) for one in found)
    groups: list[Sequence[Entry]] = []
    nearer: set[Entry] = set()
    for km in sorted(rings):
        groups.append(tuple(entry for entry in rings[km] if entry not in nearer))
        nearer.update(rings[km])
    return RecordSet(tuple(groups), note=note)


def top(label: bytes, of: RecordSet) -> Stands | None:
    """Return what stands at `label`, which is `top` and a number, above `nearest`.

    None if it is no such label; the number begins with no zero, and more than MOST means MOST.
    """
    match = _TOP.fullmatch(label)
    if match is None:
        return None
    return {Qtype.AAAA: of._replace(most=min(int(match[1]), MOST))} if of.groups else {}


def described(above: Labels, instances: Iterable[Instance]) -> Stands | None:
    """Return what stands `above` METADATA: a key, or a value and its key.

    None if no machine is so described. Each is looked at, in 60 ns: with 64 facts a machine the
    names would outnumber all others by far, were they written down.
    """
    words = [label.decode("latin-1") for label in above]
    key, wanted = words[-1], words[0] if len(words) > 1 else None
    found = [
        one
        for one in instances
        if (value := one.machine.metadata.get(key)) is not None and wanted in (None, value)
    ]
    return _addresses(found) if found else None


def _addresses(instances: Iterable[Instance]) -> Stands:
    chosen, note = _answering(instances)
    return _records(Qtype.AAAA, _entries(chosen), note)


def _records(type_: Qtype, entries: Sequence[Entry], note: bytes = b"") -> Stands:
    return {type_: RecordSet((entries,), note=note)} if entries else {}


def _answering(instances: Iterable[Instance]) -> tuple[list[Instance], bytes]:
    """Return the machines that an answer is made of, and what is to be said of them.

    When none passes its checks the checks may be what is wrong: all are given.
    """
    started = [one for one in instances if one.started]
    chosen = [one for one in started if not one.failing]
    return (chosen, b"") if chosen or not started else (started, _ALL_FAIL)


def _entries(instances: Iterable[Instance]) -> Sequence[Entry]:
    """Return each address once, however many machines share it."""
    return tuple(dict.fromkeys(one.entry for one in instances))


def _services(name: Labels, instances: Iterable[Instance], ttl_s: int) -> Names:
    served: dict[tuple[str, str], list[tuple[Instance, Entry]]] = {}
    for one in instances:
        at = target(_machine_name(one, name), one.address, ttl_s=ttl_s)
        for port in one.machine.ports:
            pair = (one, service(at, port.number, ttl_s=ttl_s))
            served.setdefault((port.name, port.protocol), []).append(pair)
    for (word, protocol), pairs in served.items():
        chosen, note = _answering(one for one, _ in pairs)
        ids = {one.machine.id for one in chosen}
        entries = [entry for one, entry in pairs if one.machine.id in ids]
        labels = (b"_" + word.encode(), b"_" + protocol.encode(), *name)
        yield labels, _records(Qtype.SRV, entries, note)


def _lists(name: Labels, instances: Iterable[Instance], ttl_s: int) -> Names:
    machines = sorted((one.machine for one in instances), key=lambda machine: machine.name)
    started = [machine for machine in machines if machine.state is MachineState.STARTED]
    for prefix, found in (((), started), ((b"all",), machines)):
        regions = sorted({machine.region for machine in found})
        yield (*prefix, b"regions", *name), listing(regions, ttl_s=ttl_s)
        vms = (f"{machine.name} {machine.region}" for machine in found)
        yield (*prefix, b"vms", *name), listing(vms, ttl_s=ttl_s)


def _grouped(
    instances: Iterable[Instance], keys: Callable[[Instance], Iterable[_Key]]
) -> Iterable[tuple[_Key, list[Instance]]]:
    """Return the machines by each of their keys; one may have several, or none."""
    groups: dict[_Key, list[Instance]] = {}
    for one in instances:
        for key in keys(one):
            groups.setdefault(key, []).append(one)
    return groups.items()


def _machine_name(one: Instance, app: Labels) -> Labels:
    return (one.machine.name.encode(), b"vm", *app)
