"""Rows of one network, and names written as text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from hypothesis import strategies as st

from peers.keys import PublicKey
from peers.names import Label
from wgctl.core.model import App, Machine, MachineState, Network, Peer, Port, Protocol
from wgctl.core.names.record_set import Entry, RecordSet, address
from wgctl.core.wire import Labels, Qtype

__all__ = [
    "KEY",
    "MACHINES",
    "NETWORK",
    "NOW",
    "aaaa",
    "address_of",
    "app",
    "entry",
    "labels",
    "machine",
    "peer",
    "port",
    "rows",
    "text",
]

KEY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:18::/48"), 0)
NOW = 1000


def address_of(number: int) -> IPv6Address:
    """Return the address of peer `number`."""
    return NETWORK.prefix[0x10 << 64 | number]


def entry(number: int) -> Entry:
    """Return the AAAA record of peer `number`."""
    return address(address_of(number))


def peer(number: int, *, expires_at: int | None = None, name: str | None = None) -> Peer:
    """Return peer `number`, 2 or more."""
    label = Label(name or f"peer{number}")
    return Peer(number, 1, 1, 1, label, "operator", KEY, address_of(number), 0, expires_at)


def app(number: int, name: str) -> App:
    """Return an app."""
    return App(number, 1, 1, Label(name), 0)


def port(text: str) -> Port:
    """Return the port that is written as `http=80/tcp`."""
    name, rest = text.split("=")
    number, protocol = rest.split("/")
    return Port(Label(name), int(number), Protocol(protocol))


def machine(
    number: int,
    app_id: int,
    peer_id: int,
    *,
    started: bool = True,
    region: str = "ams",
    ports: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> Machine:
    """Return machine `m<number>`."""
    state = MachineState.STARTED if started else MachineState.STOPPED
    names = Label(f"m{number}"), Label(region), Label("app")
    served = tuple(map(port, ports))
    return Machine(number, 1, 1, app_id, peer_id, *names, served, metadata or {}, state, 0)


def labels(name: str) -> Labels:
    """Return the labels of a name with dots."""
    return tuple(name.encode().split(b"."))


def aaaa(records: Mapping[int, RecordSet] | None, *, turn: int = 0) -> list[IPv6Address]:
    """Return the addresses of an answer, in its order."""
    found = (records or {}).get(Qtype.AAAA)
    return [] if found is None else [IPv6Address(one.record[-16:]) for one in found.pick(turn)]


def text(records: Mapping[int, RecordSet]) -> str | None:
    """Return what a TXT record says, its strings joined; None without one."""
    if Qtype.TXT not in records:
        return None
    [one] = records[Qtype.TXT].pick(0)
    data, strings = one.record[12:], []
    while data:
        strings.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    assert all(len(string) == 255 for string in strings[:-1])
    return b"".join(strings).decode()


# Few draws a machine: what it says of itself comes as one of these.
_SHAPES = [
    replace(
        machine(0, 0, 0, started=started, region=region, ports=ports, metadata=metadata),
        process_group=Label(group),
    )
    for started in (True, False)
    for region, group in (("ams", "app"), ("fra", "app"), ("iad", "worker"), ("home", "worker"))
    for ports, metadata in (
        ((), {}),
        (("http=80/tcp",), {"role": "a"}),
        (("dns=53/tcp", "dns=53/udp"), {"role": "b", "kv": "role"}),
    )
]


@st.composite
def _machines(draw: st.DrawFn, app_ids: Sequence[int], peer_ids: Sequence[int]) -> list[Machine]:
    kinds = st.tuples(*map(st.sampled_from, (app_ids, peer_ids, _SHAPES)))
    return [
        replace(shape, id=number, name=Label(f"m{number}"), app_id=app_id, peer_id=peer_id)
        for number, (app_id, peer_id, shape) in enumerate(draw(st.lists(kinds, max_size=9)))
    ]


MACHINES = _machines([1], range(2, 8))
"""Machines of app 1 on peers 2 to 7."""


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Peer], list[App], list[Machine], frozenset[int]]:
    """Draw a network's peers, apps, machines, and the ids of those that fail."""
    numbers = st.integers(2, 2**40) | st.integers(2, 20)
    ends = st.none() | st.integers(NOW - 9, NOW + 9)
    peers = draw(
        st.lists(
            st.builds(peer, numbers, expires_at=ends), max_size=8, unique_by=lambda one: one.id
        )
    )
    apps = [app(number, f"app{number}") for number in range(draw(st.integers(0, 4)))]
    machines = draw(_machines(range(5), [one.id for one in peers] or [2]))
    failing = draw(st.frozensets(st.integers(0, 9)))
    return peers, apps, machines, failing
