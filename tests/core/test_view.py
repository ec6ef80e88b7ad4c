"""What names a network has; how they are asked for is `test_responder`."""

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.addresses import prefix_of, reverse_name
from peers.names import Label
from tests.core.names.samples import (
    NETWORK,
    NOW,
    aaaa,
    address_of,
    app,
    labels,
    machine,
    peer,
    rows,
    text,
)
from wgctl.core.model import App, Machine, MachineState, Network, Peer
from wgctl.core.names.app import METADATA, NEAREST, Home
from wgctl.core.names.zone import Node
from wgctl.core.region import Vantage
from wgctl.core.view import View, build, prolonged
from wgctl.core.wire import Labels, Qtype, encode_name

FIXED = {"_api", "_apps", "_peer", "_instances", "all._instances"}
Rows = tuple[list[Peer], list[App], list[Machine], frozenset[int]]
_Row = TypeVar("_Row", Peer, App, Machine)


def built(
    peers: list[Peer],
    apps: list[App],
    machines: list[Machine],
    failing: frozenset[int] = frozenset(),
) -> View:
    return build(NETWORK, peers, apps, machines, now=NOW, failing=failing)


def found(view: View, name: str) -> Node:
    node = view.find(labels(name))
    assert node is not None, name
    return node


def living(peers: list[Peer]) -> list[Peer]:
    return [one for one in peers if not one.expired(now=NOW)]


def pointers(view: View) -> Iterator[tuple[IPv6Address, bytes]]:
    """Yield each address that has a name, and the name on the wire."""
    for digits in view.reverse.addresses:
        address = IPv6Address(int(digits, 16))
        records = found(view, reverse_name(address)).records
        [one] = records[Qtype.PTR].pick(0)
        yield address, one.record[12:]


@given(rows())
def test_an_app_has_the_addresses_of_its_started_machines_on_living_peers(drawn: Rows) -> None:
    peers, apps, machines, _ = drawn
    view = built(peers, apps, machines)
    address_at = {one.id: one.address for one in living(peers)}

    for one in apps:
        hosts = {
            address_at[each.peer_id]
            for each in machines
            if each.app_id == one.id
            and each.state is MachineState.STARTED
            and each.peer_id in address_at
        }
        assert aaaa(found(view, f"{one.name}.internal").records) == sorted(hosts)


@given(rows())
def test_forward_and_reverse_names_of_peers_are_each_others_inverse(drawn: Rows) -> None:
    view = built(*drawn)
    expected = {
        one.address: encode_name(labels(f"{one.name}._peer.internal")) for one in living(drawn[0])
    }

    resolver = {NETWORK.resolver: encode_name(labels("_api.internal"))}
    assert dict(pointers(view)) == expected | resolver
    for one in living(drawn[0]):
        records = found(view, f"{one.name}._peer.internal").records
        assert aaaa(records) == [one.address]


@given(rows(), st.integers(1, 40))
def test_every_name_between_a_name_and_its_zone_exists(drawn: Rows, count: int) -> None:
    """RFC 8020: where a parent did not exist, nobody would ask for the child."""
    view = built(*drawn)
    homes = [branch.of for branch in view.branches.values() if isinstance(branch.of, Home)]
    tops = [(b"top%d" % count, *NEAREST, *home.name) for home in homes]
    reverse = [labels(reverse_name(address)) for address, _ in pointers(view)]

    facts = [
        (*above, *METADATA, *home.name)
        for home in homes
        for one in home.instances
        for key, value in one.machine.metadata.items()
        for above in ((key.encode(),), (value.encode(), key.encode()))
    ]

    for name in [*view.names(), *tops, *facts, *reverse]:
        node = view.find(name)
        assert node is not None
        assert node.zone == view.zone_of(name)
        for start in range(1, len(name) - len(node.zone.apex) + 1):
            assert view.find(name[start:]) is not None


@given(rows(), st.lists(st.sampled_from(["app1", "ams", "vm", "m1", "of", "peer2"]), max_size=4))
def test_what_does_not_exist_has_nothing_below_it(drawn: Rows, words: list[str]) -> None:
    view = built(*drawn)
    name: Labels = (*(word.encode() for word in words), b"internal")
    if view.find(name) is None:
        assert not [longer for longer in view.names() if longer[-len(name) :] == name]


@given(rows())
def test_every_address_in_an_answer_is_of_a_living_peer_or_the_resolver(drawn: Rows) -> None:
    view = built(*drawn)
    own = {one.address for one in living(drawn[0])} | {NETWORK.resolver}

    for node in view.names().values():
        for turn in range(3):
            assert own.issuperset(aaaa(node.records, turn=turn))


@given(rows())
def test_every_target_of_a_service_resolves_to_what_stands_beside_it(drawn: Rows) -> None:
    view = built(*drawn)
    for name, node in view.names().items():
        assert (Qtype.SRV in node.records) <= name[0].startswith(b"_")
        for one in node.records[Qtype.SRV].pick(0) if Qtype.SRV in node.records else []:
            packed, target = one.record[18:], []
            while packed[0]:
                target.append(packed[1 : 1 + packed[0]])
                packed = packed[1 + packed[0] :]
            resolved = view.find(tuple(target))
            assert resolved is not None
            assert [each.packed for each in aaaa(resolved.records)] == [one.glue[-16:]]


@given(rows())
def test_the_only_names_above_apps_and_peers_are_fixed(drawn: Rows) -> None:
    peers, apps, machines, failing = drawn
    view = built(peers, apps, machines, failing)
    own = {(*labels(one.name), b"internal") for one in apps}
    names = {
        b".".join(name[:-1]).decode()
        for name in view.names()
        if name[-2:] not in own and len(name) > 1
    }

    assert names == FIXED | {f"{one.name}._peer" for one in living(peers)}
    assert {name[-2:] for name in view.names()} >= own


@given(rows(), st.sampled_from(["ams", "fra", "nowhere"]))
def test_where_one_is_changes_no_name_but_the_nearest(drawn: Rows, region: str) -> None:
    peers, apps, machines, failing = drawn
    here = Vantage(Label(region))
    there = build(NETWORK, peers, apps, machines, now=NOW, failing=failing, here=here)

    assert there.names() == built(peers, apps, machines, failing).names()


def test_the_nearest_are_near_to_where_one_is() -> None:
    machines = [machine(1, 1, 2, region="fra"), machine(2, 1, 3, region="iad")]
    nearest = {}
    for region in ("ams", "ord"):
        view = build(
            NETWORK,
            [peer(2), peer(3)],
            [app(1, "web")],
            machines,
            now=NOW,
            here=Vantage(Label(region)),
        )
        nearest[region] = aaaa(found(view, "top1.nearest.of.web.internal").records)

    assert nearest == {"ams": [address_of(2)], "ord": [address_of(3)]}


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("_metadata.web.internal", True),
        ("kv._metadata.web.internal", True),
        ("kv.kv._metadata.web.internal", True),
        ("role.kv.kv._metadata.web.internal", True),
        ("kv.role.kv._metadata.web.internal", False),
        ("x.role.kv.kv._metadata.web.internal", False),
        ("kv.kv._metadata.db.internal", False),
        ("_metadata.db.internal", False),
    ],
)
def test_metadata_is_found_above_its_app_alone(name: str, *, exists: bool) -> None:
    described = machine(1, 1, 2, metadata={"kv": "role"})
    view = built([peer(2)], [app(1, "web"), app(2, "db")], [described, machine(2, 2, 2)])

    assert (view.find(labels(name)) is not None) is exists


def test_what_describes_machines_makes_a_view_no_larger() -> None:
    """A machine may have 64 facts, each of which is found by two names."""
    facts = {f"key-{number}": f"value-{number}" for number in range(64)}
    peers = [peer(number) for number in range(2, 12)]
    plain, described = (
        built(peers, [app(1, "web")], [machine(one.id, 1, one.id, metadata=m) for one in peers])
        for m in ({}, facts)
    )

    assert len(described.names()) == len(plain.names()) + 2


@pytest.mark.parametrize(
    "name",
    [
        "top0.nearest.of.web.internal",
        "top1.nearest.of.db.internal",
        "top1.of.web.internal",
        "top1.nearest.web.internal",
        "x.top1.nearest.of.web.internal",
        "nearest.of.internal",
    ],
)
def test_what_only_looks_like_the_nearest_is_no_name(name: str) -> None:
    assert built([peer(2)], [app(1, "web")], [machine(1, 1, 2)]).find(labels(name)) is None


@given(
    st.lists(
        st.builds(peer, st.integers(2, 99), expires_at=st.integers(NOW - 9, NOW + 9)),
        max_size=8,
        unique_by=lambda one: one.id,
    )
)
def test_a_view_is_right_until_the_next_peer_s_time_is_over(peers: list[Peer]) -> None:
    view = built(peers, [], [])
    ends = [one.expires_at for one in peers if one.expires_at is not None and one.expires_at > NOW]

    assert view.expires_at == (min(ends) if ends else None)
    until = NOW + 9 if view.expires_at is None else view.expires_at - 1
    later = build(NETWORK, peers, [], [], now=until)
    assert later.names().keys() == view.names().keys()


def test_machines_on_one_peer_share_one_record() -> None:
    view = built([peer(2)], [app(1, "web")], [machine(1, 1, 2), machine(2, 1, 2)])

    assert aaaa(found(view, "web.internal").records) == [address_of(2)]


def test_a_machine_of_an_unknown_app_or_peer_is_nowhere() -> None:
    view = built([peer(2)], [app(1, "web")], [machine(1, 9, 2), machine(2, 1, 9)])

    assert text(found(view, "all._instances.internal").records) is None
    assert aaaa(found(view, "web.internal").records) == []


def test_of_thousands_of_machines_each_asker_gets_32_and_each_machine_its_turn() -> None:
    peers = [peer(number) for number in range(2, 2602)]
    machines = [machine(one.id, 1, one.id) for one in reversed(peers)]
    records = found(built(peers, [app(1, "web")], machines), "web.internal").records
    given = [aaaa(records, turn=turn) for turn in range(82)]

    assert {len(addresses) for addresses in given} == {32}
    assert len({address for addresses in given for address in addresses}) == 2600


def test_lists_name_apps_peers_and_machines() -> None:
    view = built(
        [peer(2, name="bob"), peer(3, name="alice"), peer(4, name="gone", expires_at=NOW)],
        [app(1, "web"), app(2, "db")],
        [
            machine(2, 1, 2, region="fra"),
            machine(1, 2, 3, started=False),
            machine(3, 1, 4),
            machine(4, 1, 3),
        ],
    )

    def said(name: str) -> str | None:
        return text(found(view, name).records)

    assert said("_apps.internal") == "db,web"
    assert said("_peer.internal") == "alice,bob"
    assert said("_instances.internal") == (
        "instance=m2,app=web,ip=fdaa:0:18:10::2,region=fra;"
        "instance=m4,app=web,ip=fdaa:0:18:10::3,region=ams"
    )
    assert said("all._instances.internal") == (
        "instance=m1,app=db,ip=fdaa:0:18:10::3,region=ams;"
        "instance=m2,app=web,ip=fdaa:0:18:10::2,region=fra;"
        "instance=m4,app=web,ip=fdaa:0:18:10::3,region=ams"
    )


def test_an_empty_list_has_no_record() -> None:
    view = built([], [], [])

    for name in ("_apps", "_peer", "_instances", "all._instances"):
        assert found(view, f"{name}.internal").records == {}


@pytest.mark.parametrize(
    ("name", "apex"),
    [
        ("internal", "internal"),
        ("a.b.internal", "internal"),
        (reverse_name(IPv6Address("fdaa:0:18::9")), "8.1.0.0.0.0.0.0.a.a.d.f.ip6.arpa"),
        (reverse_name(IPv6Address("fdaa:0:19::9")), "d.f.ip6.arpa"),
        (reverse_name(IPv6Address("::1")), reverse_name(IPv6Address("::1"))),
        ("web.flycast", "flycast"),
        ("ip6.arpa", None),
        ("e.f.ip6.arpa", None),
        ("internal.org", None),
    ],
)
def test_a_name_is_in_the_innermost_zone(name: str, apex: str | None) -> None:
    zone = built([], [], []).zone_of(labels(name))

    assert (zone and zone.apex) == (apex and labels(apex))


def test_the_names_of_two_networks_share_no_reverse_zone() -> None:
    other = Network(2, 1, Label("other"), prefix_of(IPv6Address("fdaa:0:19::")), 0)
    view = build(other, [], [], [], now=NOW)

    assert built([], [], []).reverse.zone.apex != view.reverse.zone.apex
    assert view.find(built([], [], []).reverse.zone.apex) is None


def leased(*left: int) -> View:
    """Return a view of `web` with a machine on each peer; these seconds of its lease are left."""
    peers = [peer(2 + at, name=f"p{at}") for at in range(len(left))]
    machines = [machine(1 + at, 1, 2 + at, ports=["http=80/tcp"]) for at in range(len(left))]
    leases = {1 + at: left_s for at, left_s in enumerate(left)}
    apps = [app(1, "web"), app(2, "db")]
    return build(NETWORK, peers, apps, machines, now=NOW, leases=leases)


def ttls(view: View, name: str) -> set[int]:
    """Return the TTLs of the records at `name`, and of those that come along."""
    entries = [one for of in found(view, name).records.values() for one in of.pick(0)]
    plain = {int.from_bytes(one.record[6:10], "big") for one in entries}
    # Before the 16 octets of an address stand its length and its TTL.
    return plain | {int.from_bytes(one.glue[-22:-18], "big") for one in entries if one.glue}


def test_a_machine_is_gone_when_its_lease_has_ended() -> None:
    view = leased(0, 30)

    assert aaaa(found(view, "web.internal").records) == [address_of(3)]
    assert view.find(labels("m1.vm.web.internal")) is None


@pytest.mark.parametrize(
    ("left", "ttl_s", "expires_in_s"),
    [([30], 5, 23), ([30, 8], 5, 1), ([7], 5, 1), ([6, 30], 4, 1), ([2], 0, 1), ([1], 0, 1)],
)
def test_no_answer_may_be_kept_longer_than_its_machines_are_there(
    left: list[int], ttl_s: int, expires_in_s: int
) -> None:
    """Of n begun seconds n - 1 are sure to be left, and a view serves for up to one more."""
    view = leased(*left)
    names = ["web", "ams.web", "app.process.web", "m1.vm.web", "_http._tcp.web", "vms.web"]
    nearest = view.find(labels("top1.nearest.of.web.internal"))

    assert view.expires_at == NOW + expires_in_s
    assert {ttl for name in names for ttl in ttls(view, f"{name}.internal")} == {ttl_s}
    assert ttls(view, "_instances.internal") == {ttl_s}
    assert ttls(view, "p0._peer.internal") == {5}
    assert nearest is not None


@pytest.mark.parametrize(
    ("left", "now", "expires_in_s"),
    [({1: 30, 2: 30}, 5, 28), ({1: 8, 2: 30}, 5, 6), ({1: 7, 2: 30}, 9, 10)],
)
def test_a_view_goes_on_when_its_leases_were_renewed(
    left: dict[int, int], now: int, expires_in_s: int
) -> None:
    view = leased(20, 20)
    longer = prolonged(view, left, now=NOW + now)

    assert longer is not None
    assert longer.expires_at == NOW + expires_in_s
    assert longer.branches is view.branches


@pytest.mark.parametrize(
    "left",
    [{1: 0, 2: 30}, {1: 6, 2: 30}, {2: 30}, {1: 30, 2: 30, 3: 30}],
    ids=["one ended", "one is short", "one has none", "one more"],
)
def test_a_view_does_not_go_on_when_other_machines_are_there(left: dict[int, int]) -> None:
    assert prolonged(leased(20, 20), left, now=NOW + 5) is None


def test_a_view_with_short_ttls_or_a_peer_that_has_expired_does_not_go_on() -> None:
    expiring = build(NETWORK, [peer(2, expires_at=NOW + 9)], [], [], now=NOW)

    assert prolonged(leased(5), {1: 30}, now=NOW + 1) is None
    assert prolonged(expiring, {}, now=NOW + 9) is None
    assert prolonged(expiring, {}, now=NOW + 8) == expiring


@given(rows(), rows())
def test_what_is_taken_from_the_view_before_is_as_if_made_anew(one: Rows, other: Rows) -> None:
    before = build(NETWORK, *one[:3], now=NOW, failing=one[3])
    assert before.names()
    after = build(NETWORK, *other[:3], now=NOW, failing=other[3], before=before)

    assert after.names() == build(NETWORK, *other[:3], now=NOW, failing=other[3]).names()


def _with(rows: list[_Row], new: list[_Row]) -> list[_Row]:
    by_id: dict[int, _Row] = {row.id: row for row in rows}
    by_id.update((row.id, row) for row in new)
    return [by_id[id_] for id_ in by_id]


@given(rows(), rows(), st.sets(st.integers(0, 40)))
def test_rows_that_stay_and_rows_that_change_make_what_is_made_anew(
    one: Rows, other: Rows, changed: set[int]
) -> None:
    """As a change comes: a few rows are others, and the rest the very same."""
    before = build(NETWORK, *one[:3], now=NOW, failing=one[3])
    peers = _with(one[0], [row for row in other[0] if row.id in changed])
    apps = _with(one[1], [row for row in other[1] if row.id in changed])
    machines = _with(one[2], [row for row in other[2] if row.id in changed])
    failing = frozenset(changed)
    anew = build(NETWORK, peers, apps, machines, now=NOW, failing=failing)
    after = build(NETWORK, peers, apps, machines, now=NOW, failing=failing, before=before)

    assert after.names() == anew.names()
    assert {at: one.of for at, one in after.branches.items()} == {
        at: one.of for at, one in anew.branches.items()
    }


def test_a_change_leaves_the_names_of_other_apps_as_they_were_made() -> None:
    apps, peers = [app(1, "web"), app(2, "db")], [peer(2), peer(3)]
    machines = [machine(1, 1, 2), machine(2, 2, 3)]
    before = built(peers, apps, machines)
    after = build(
        NETWORK, peers, apps, machines, now=NOW + 1, failing=frozenset({1}), before=before
    )
    web, db = (b"web", b"internal"), (b"db", b"internal")

    assert after.branches[db] is before.branches[db]
    assert after.branches[web] is not before.branches[web]
    assert found(after, "db.internal").zone is after.zone
