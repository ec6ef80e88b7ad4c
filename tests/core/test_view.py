"""What names a network has; how they are asked for is `test_responder`."""

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.addresses import prefix_of, reverse_name
from peers.keys import PublicKey
from peers.names import Label
from wgctl.core.model import App, Machine, MachineState, Network, Peer
from wgctl.core.view import TTL_S, Labels, View, build
from wgctl.core.wire import Qtype, encode_name

KEY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:18::/48"), 0)
NOW = 1000
FIXED = {"_api", "_apps", "_peer"}


def peer(number: int, *, expires_at: int | None = None, name: str | None = None) -> Peer:
    label = Label(name or f"peer{number}")
    address = NETWORK.prefix[0x10 << 64 | number]
    return Peer(number, 1, 1, 1, label, "operator", KEY, address, 0, expires_at)


def app(number: int, name: str) -> App:
    return App(number, 1, 1, Label(name), 0)


def machine(number: int, app_id: int, peer_id: int, *, started: bool = True) -> Machine:
    state = MachineState.STARTED if started else MachineState.STOPPED
    names = Label(f"m{number}"), Label("ams"), Label("app")
    return Machine(number, 1, 1, app_id, peer_id, *names, (), {}, state, 0)


def built(peers: list[Peer], apps: list[App], machines: list[Machine]) -> View:
    return build(NETWORK, peers, apps, machines, now=NOW)


def labels(text: str) -> Labels:
    return tuple(text.encode().split(b"."))


def addresses(view: View, name: str) -> list[IPv6Address]:
    records = view.names[labels(name)].records.get(Qtype.AAAA)
    if records is None:
        return []
    size = len(records.octets) // records.total
    starts = range(0, len(records.octets), size)
    return [IPv6Address(records.octets[start + size - 16 : start + size]) for start in starts]


def text(view: View, name: str) -> list[bytes]:
    data = view.names[labels(name)].records[Qtype.TXT].octets[12:]
    strings = []
    while data:
        strings.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return strings


PEERS = st.lists(
    st.builds(peer, st.integers(2, 2**40), expires_at=st.none() | st.integers(NOW - 9, NOW + 9)),
    max_size=8,
    unique_by=lambda one: one.id,
)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[Peer], list[App], list[Machine]]:
    peers = draw(PEERS)
    apps = [app(number, f"app{number}") for number in range(draw(st.integers(0, 4)))]
    ids = st.sampled_from([one.id for one in peers] or [2])
    wishes = draw(st.lists(st.tuples(st.integers(0, 4), ids, st.booleans()), max_size=12))
    machines = [
        machine(number, app_id, peer_id, started=started)
        for number, (app_id, peer_id, started) in enumerate(wishes)
    ]
    return peers, apps, machines


@given(rows())
def test_an_app_has_the_addresses_of_its_started_machines_on_living_peers(
    drawn: tuple[list[Peer], list[App], list[Machine]],
) -> None:
    peers, apps, machines = drawn
    view = built(*drawn)
    living = {one.id: one.address for one in peers if not one.expired(now=NOW)}

    for one in apps:
        hosts = {
            living[each.peer_id]
            for each in machines
            if each.app_id == one.id
            and each.state is MachineState.STARTED
            and each.peer_id in living
        }
        assert addresses(view, f"{one.name}.internal") == sorted(hosts)


@given(rows())
def test_forward_and_reverse_names_of_peers_are_each_others_inverse(
    drawn: tuple[list[Peer], list[App], list[Machine]],
) -> None:
    view = built(*drawn)
    living = {one for one in drawn[0] if not one.expired(now=NOW)}

    pointers = {
        name: node.records[Qtype.PTR].octets[12:]
        for name, node in view.names.items()
        if Qtype.PTR in node.records
    }
    expected = {
        labels(reverse_name(one.address)): encode_name(labels(f"{one.name}._peer.internal"))
        for one in living
    }
    resolver = labels(reverse_name(NETWORK.resolver))
    assert pointers == expected | {resolver: encode_name(labels("_api.internal"))}
    assert all(addresses(view, f"{one.name}._peer.internal") == [one.address] for one in living)


@given(rows())
def test_every_name_between_a_name_and_its_zone_exists(
    drawn: tuple[list[Peer], list[App], list[Machine]],
) -> None:
    """RFC 8020: where a parent did not exist, nobody would ask for the child."""
    view = built(*drawn)

    for name, node in view.names.items():
        if name != node.zone.apex:
            assert name[-len(node.zone.apex) :] == node.zone.apex
            assert name[1:] in view.names or name[1:] == node.zone.apex
            assert view.zone_of(name) == node.zone


@given(rows())
def test_nothing_stands_under_internal_but_what_the_rows_say(
    drawn: tuple[list[Peer], list[App], list[Machine]],
) -> None:
    peers, apps, _ = drawn
    view = built(*drawn)
    names = {b".".join(name).decode() for name in view.names if name[-1] == b"internal"}

    expected = {"internal"} | {f"{word}.internal" for word in FIXED}
    expected |= {f"{one.name}.internal" for one in apps}
    expected |= {f"{one.name}._peer.internal" for one in peers if not one.expired(now=NOW)}
    assert names == expected


@given(PEERS)
def test_a_view_is_right_until_the_next_peer_s_time_is_over(peers: list[Peer]) -> None:
    view = built(peers, [], [])
    ends = [one.expires_at for one in peers if one.expires_at is not None and one.expires_at > NOW]

    assert view.expires_at == (min(ends) if ends else None)
    until = NOW + 9 if view.expires_at is None else view.expires_at - 1
    later = build(NETWORK, peers, [], [], now=until)
    assert later.names.keys() == view.names.keys()


def test_machines_on_one_peer_share_one_record() -> None:
    view = built([peer(2)], [app(1, "web")], [machine(1, 1, 2), machine(2, 1, 2)])

    assert addresses(view, "web.internal") == [peer(2).address]


def test_an_app_with_more_machines_than_a_message_holds_answers_with_the_first() -> None:
    peers = [peer(number) for number in range(2, 2600)]
    machines = [machine(one.id, 1, one.id) for one in reversed(peers)]
    view = built(peers, [app(1, "web")], machines)

    assert addresses(view, "web.internal") == [one.address for one in peers[:2000]]


def test_lists_are_sorted_and_cut_into_strings_of_255_octets() -> None:
    names = [f"{letter}{'x' * 50}" for letter in "hgfedcba"]
    view = built([], [app(number, name) for number, name in enumerate(names)], [])
    strings = text(view, "_apps.internal")

    assert [len(string) for string in strings] == [255, 8 * 51 + 7 - 255]
    assert b"".join(strings).decode() == ",".join(sorted(names))


def test_a_list_longer_than_a_message_ends_with_a_whole_name() -> None:
    peers = [peer(number, name=f"{number:060}") for number in range(2, 1200)]
    listed = b"".join(text(built(peers, [], []), "_peer.internal")).decode().split(",")

    assert len(listed) == 983  # of 60 octets and a comma, in 60,000
    assert listed == [one.name for one in peers[:983]]


def test_an_empty_list_has_no_record() -> None:
    view = built([], [], [])

    assert view.names[labels("_apps.internal")].records == {}
    assert view.names[labels("_peer.internal")].records == {}


@pytest.mark.parametrize(
    ("now", "serial"), [(0, 0), (7, 7), (2**32 - 1, 2**32 - 1), (2**32 + 5, 5)]
)
def test_the_serial_is_the_time_in_32_bits(now: int, serial: int) -> None:
    view = build(NETWORK, [], [], [], now=now)

    for zone in view.zones.values():
        assert int.from_bytes(zone.soa[-20:-16], "big") == serial
        assert int.from_bytes(zone.soa[-4:], "big") == TTL_S


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

    assert built([], [], []).zones.keys() & view.zones.keys() == {labels("internal")}
