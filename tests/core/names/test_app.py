"""The names of one app.

The sample app has machines in three regions; m4 is stopped, and m2 and m3 share a peer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.names import Label
from tests.core.names.samples import MACHINES, aaaa, address_of, entry, labels, machine, text
from wgctl.core.model import Machine, MachineState
from wgctl.core.names.app import Instance, app_names, described, nearest, top
from wgctl.core.names.record_set import MOST, RecordSet
from wgctl.core.region import Vantage
from wgctl.core.wire import Qtype, encode_name

WEB = labels("web.internal")
SAMPLE = [
    machine(1, 1, 2, ports=["http=80/tcp", "dns=53/udp"], metadata={"role": "primary"}),
    machine(2, 1, 3, region="fra", ports=["http=8080/tcp"], metadata={"role": "replica"}),
    replace(machine(3, 1, 3, region="fra", ports=["dns=53/tcp"]), process_group=Label("worker")),
    machine(4, 1, 4, region="iad", started=False, ports=["http=80/tcp"], metadata={"v": "2"}),
]
AMS = Vantage(Label("ams"))

Records = Mapping[int, RecordSet]


def instances(machines: Sequence[Machine], failing: frozenset[int] = frozenset()) -> list[Instance]:
    return [
        Instance(one, address_of(one.peer_id), entry(one.peer_id), one.id in failing)
        for one in sorted(machines, key=lambda one: one.peer_id)
    ]


def names(machines: Sequence[Machine], failing: frozenset[int] = frozenset()) -> dict[str, Records]:
    """Return the records of each name, by what stands before the app."""
    found: dict[str, Records] = {}
    for name, records in app_names(WEB, instances(machines, failing)):
        assert name[-2:] == WEB
        short = b".".join(name[:-2]).decode()
        assert short not in found  # no two rows mean one name
        found[short] = records
    return found


def peers_of(records: Records, *, turn: int = 0) -> list[int]:
    """Return the numbers of the peers in an answer."""
    return [int(address) & 0xFFFF for address in aaaa(records, turn=turn)]


def services(records: Records) -> list[tuple[bytes, int]]:
    """Return target, on the wire, and port of each SRV record."""
    entries = records[Qtype.SRV].pick(0) if Qtype.SRV in records else []
    data = [one.record[12:] for one in entries]
    assert all(one[:4] == b"\0\0\0\1" for one in data)
    return [(one[6:], int.from_bytes(one[4:6], "big")) for one in data]


@pytest.mark.parametrize(
    ("name", "peers"),
    [
        ("", [2, 3]),
        ("global", [2, 3]),
        ("ams", [2]),
        ("fra", [3]),
        ("iad", []),
        ("app.process", [2, 3]),
        ("worker.process", [3]),
        ("m1.vm", [2]),
        ("m2.vm", [3]),
        ("m3.vm", [3]),
        ("m4.vm", []),
    ],
)
def test_each_name_has_the_addresses_of_its_started_machines(name: str, peers: list[int]) -> None:
    assert peers_of(names(SAMPLE)[name]) == peers


@pytest.mark.parametrize(
    ("above", "peers"),
    [
        ("primary.role", [2]),
        ("replica.role", [3]),
        ("role", [2, 3]),
        ("2.v", []),
        ("v", []),
        ("other.role", None),
        ("role.primary", None),
        ("nothing", None),
        ("rolÿ", None),
    ],
)
def test_metadata_finds_the_started_machines_that_have_it(
    above: str, peers: list[int] | None
) -> None:
    """A name exists while a machine is so described, started or not."""
    records = described(tuple(above.encode("latin-1").split(b".")), instances(SAMPLE))

    assert (records if records is None else peers_of(records)) == peers


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("regions", "ams,fra"),
        ("all.regions", "ams,fra,iad"),
        ("vms", "m1 ams,m2 fra,m3 fra"),
        ("all.vms", "m1 ams,m2 fra,m3 fra,m4 iad"),
    ],
)
def test_each_list_is_in_fly_s_format(name: str, said: str) -> None:
    assert text(names(SAMPLE)[name]) == said


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("_http._tcp", [("m1", 80), ("m2", 8080)]),
        ("_dns._tcp", [("m3", 53)]),
        ("_dns._udp", [("m1", 53)]),
    ],
)
def test_each_service_has_the_ports_of_its_started_machines(
    name: str, served: list[tuple[str, int]]
) -> None:
    expected = [(encode_name(labels(f"{one}.vm.web.internal")), port) for one, port in served]

    assert services(names(SAMPLE)[name]) == expected


def test_there_are_no_names_but_these() -> None:
    always = {"", "global", "regions", "all.regions", "vms", "all.vms"}

    assert names([]).keys() == always
    assert all(records == {} for records in names([]).values())
    assert names(SAMPLE[:1]).keys() == always | {
        *("ams", "app.process", "m1.vm", "_http._tcp", "_dns._udp"),
    }


@pytest.mark.parametrize(
    ("failing", "name", "peers", "note"),
    [
        ({1}, "", [3], False),
        ({1}, "ams", [2], True),  # for each name by itself
        ({1}, "app.process", [3], False),
        ({1}, "m1.vm", [2], False),
        ({2}, "", [2, 3], False),  # m3 is on the same peer
        ({2, 3}, "", [2], False),
        ({1, 2, 3}, "", [2, 3], True),
        ({1, 2, 3, 4}, "iad", [], False),  # a stopped machine is no reason to fail open
        ({4}, "", [2, 3], False),
    ],
)
def test_a_machine_that_fails_is_left_out_unless_all_do(
    failing: set[int],
    name: str,
    peers: list[int],
    note: bool,  # noqa: FBT001  # a table
) -> None:
    records = names(SAMPLE, frozenset(failing))[name]

    assert peers_of(records) == peers
    assert any(found.note for found in records.values()) == note


def test_a_service_leaves_out_what_fails_unless_all_do() -> None:
    def ports(failing: set[int]) -> list[int]:
        return [port for _, port in services(names(SAMPLE, frozenset(failing))["_http._tcp"])]

    assert ports({1}) == [8080]
    assert ports({1, 2}) == [80, 8080]
    assert names(SAMPLE, frozenset({1, 2}))["_http._tcp"][Qtype.SRV].note


def test_lists_tell_what_is_registered_whether_it_fails_or_not() -> None:
    sick = names(SAMPLE, frozenset({1, 2, 3}))

    assert text(sick["vms"]) == "m1 ams,m2 fra,m3 fra"
    assert text(sick["regions"]) == "ams,fra"


@given(MACHINES, st.frozensets(st.integers(0, 9)))
def test_every_address_is_of_a_started_machine_that_the_name_speaks_of(
    machines: list[Machine], failing: frozenset[int]
) -> None:
    found = names(machines, failing)
    started = [one for one in machines if one.state is MachineState.STARTED]

    def answering(those: list[Machine]) -> list[int]:
        return sorted(
            {one.peer_id for one in those if one.id not in failing}
            or {one.peer_id for one in those}
        )

    assert peers_of(found[""]) == peers_of(found["global"]) == answering(started)
    for region in {one.region for one in machines}:
        there = [one for one in started if one.region == region]
        assert peers_of(found[region]) == answering(there)
    for key, value in {item for one in machines for item in one.metadata.items()}:
        having = [one for one in started if key in one.metadata]
        ours = instances(machines, failing)
        assert peers_of(described((key.encode(),), ours) or {}) == answering(having)
        equal = [one for one in having if one.metadata[key] == value]
        exact = described((value.encode(), key.encode()), ours)
        assert peers_of(exact or {}) == answering(equal)


@given(MACHINES, st.frozensets(st.integers(0, 9)))
def test_every_target_of_a_service_has_the_address_that_stands_beside_it(
    machines: list[Machine], failing: frozenset[int]
) -> None:
    found = names(machines, failing)
    address_at = {
        encode_name((*labels(short), *WEB)): aaaa(records)
        for short, records in found.items()
        if short.endswith(".vm")
    }
    for short, records in found.items():
        if not short.startswith("_"):
            continue
        for one in records[Qtype.SRV].pick(0) if records else []:
            target = one.record[18:]
            assert one.glue.startswith(target)
            assert [address.packed for address in address_at[target]] == [one.glue[-16:]]


def top_peers(machines: Sequence[Machine], label: str, *, turn: int = 0) -> list[int]:
    records = top(label.encode(), nearest(instances(machines), AMS.distance_km))
    assert records is not None
    return peers_of(records, turn=turn)


def test_the_nearest_come_first_and_no_more_than_asked_for() -> None:
    far = [
        machine(1, 1, 2, region="syd"),
        machine(2, 1, 3, region="fra"),
        machine(3, 1, 4, region="nowhere"),
        machine(4, 1, 5, region="ams", started=False),
        machine(5, 1, 6, region="iad"),
    ]

    assert top_peers(far, "top9") == [3, 6, 2, 4]
    assert top_peers(far, "top2") == [3, 6]
    assert top_peers(far, "top1", turn=7) == [3]


def test_among_machines_that_are_equally_near_all_get_their_turn() -> None:
    near = [machine(n, 1, n, region="ams") for n in range(2, 7)]
    far = [machine(n, 1, n, region="syd") for n in range(7, 9)]

    assert {turn: top_peers(near + far, "top1", turn=turn) for turn in range(5)} == {
        0: [2],
        1: [3],
        2: [4],
        3: [5],
        4: [6],
    }
    assert sorted(top_peers(near + far, "top6", turn=1)[:5]) == [2, 3, 4, 5, 6]


def test_a_peer_in_two_regions_is_as_near_as_the_nearer() -> None:
    both = [machine(1, 1, 2, region="syd"), machine(2, 1, 2), machine(3, 1, 3, region="fra")]

    assert top_peers(both, "top9") == [2, 3]


@given(MACHINES, st.integers(1, 40), st.integers(0, 2**32))
def test_no_machine_that_is_left_out_is_nearer_than_one_that_is_not(
    machines: list[Machine], count: int, turn: int
) -> None:
    picked = top_peers(machines, f"top{count}", turn=turn)
    km: dict[int, float] = {}
    for one in machines:
        if one.state is MachineState.STARTED:
            here = AMS.distance_km(one.region)
            km[one.peer_id] = min(here, km.get(one.peer_id, here))

    assert len(picked) == len(set(picked)) == min(count, len(km))
    assert [km[peer] for peer in picked] == sorted(km.values())[: len(picked)]


@pytest.mark.parametrize(
    "label", ["top", "top0", "top01", "top1x", "xtop1", "top-1", "top1 ", "top\u0663", "1", "topx"]
)
def test_what_is_no_top_and_number_is_no_name(label: str) -> None:
    assert top(label.encode(), RecordSet(())) is None


@pytest.mark.parametrize("digits", ["1", "32", "33", "9" * 60])
def test_any_number_may_be_asked_for(digits: str) -> None:
    of = nearest(instances([machine(n, 1, n) for n in range(2, 50)]), AMS.distance_km)
    records = top(f"top{digits}".encode(), of)

    assert records is not None
    assert len(peers_of(records)) == min(int(digits), MOST)
    assert top(f"top{digits}".encode(), RecordSet(())) == {}


def test_the_nearest_machines_fail_open_too() -> None:
    def top1(failing: set[int]) -> tuple[list[int], bool]:
        records = top(b"top1", nearest(instances(SAMPLE, frozenset(failing)), AMS.distance_km))
        assert records is not None
        return peers_of(records), bool(records[Qtype.AAAA].note)

    assert top1(set()) == ([2], False)
    assert top1({1}) == ([3], False)
    assert top1({1, 2, 3}) == ([2], True)
