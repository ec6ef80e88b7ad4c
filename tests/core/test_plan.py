from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from wgctl.core import firewall
from wgctl.core.allowed_ips import NO_IPS, pack, pack_host, rows, texts
from wgctl.core.firewall import Element
from wgctl.core.model import Network, Peer
from wgctl.core.plan import desired, diff, sparing
from wgctl.core.service import Service
from wgctl.core.tunnel import (
    AddAddress,
    AddPeers,
    AddRoute,
    ChangeFirewall,
    Device,
    GivePeer,
    Host,
    Link,
    MakeLink,
    RemovePeer,
    RemoveRoute,
    ReplaceFirewall,
    Route,
    SetDevice,
    SetLink,
    SetPeer,
    Step,
    Tunnel,
    route_metric,
)
from wgctl.drivers.memory import Kernel, MemoryFirewall, MemoryLinks, MemoryWireGuard
from wgctl.services.reconcile import Parts, read, take

NOW = 1_000_000
KEYS = [PrivateKey.generate().public() for _ in range(6)]
HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
)
NOTHING = Tunnel(None, frozenset(), None, None)


def network(id_: int) -> Network:
    prefix = IPv6Network(((0xFDAA << 112) | id_ << 80, 48))
    return Network(id_, 1, Label(f"n{id_}"), prefix, 0)


def peer(id_: int, *, of: int = 1, key: int = 0, expires_at: int | None = None) -> Peer:
    address = network(of).prefix[(16 << 64) + 2 + id_]
    name = Label(f"p{id_}")
    return Peer(id_, 1, of, 1, name, "operator", KEYS[key], address, 0, expires_at)


def wanted(networks: Sequence[Network], peers: Sequence[Peer] = (), *, now: int = NOW) -> Tunnel:
    return desired(networks, peers, host=HOST, now=now)


def touched(step: Step) -> set[bytes]:
    """The keys of the peers that a step names."""
    match step:
        case AddPeers(peers):
            return set(peers)
        case SetPeer(key) | GivePeer(key) | RemovePeer(key):
            return {key}
        case _:
            return set()


def kernel_of(tunnel: Tunnel) -> Kernel:
    return Kernel(
        firewall=tunnel.firewall,
        routes=set(tunnel.routes),
        link=tunnel.link,
        device=tunnel.device,
    )


def taken(steps: Sequence[Step], tunnel: Tunnel) -> Tunnel:
    """The tunnel after `steps`, in memory, which behaves as the kernel does."""
    kernel = kernel_of(tunnel)
    parts = Parts(MemoryLinks(kernel), MemoryWireGuard(kernel), MemoryFirewall(kernel))
    take(parts, steps)
    return read(parts)


def allowed(device: Device | None) -> dict[bytes, list[str]]:
    assert device is not None
    return {key: texts(ips) for key, ips in device.peers.items()}


def members(tunnel: Tunnel) -> frozenset[Element]:
    return tunnel.firewall.elements if tunnel.firewall else frozenset()


def addresses(tunnel: Tunnel) -> frozenset[IPv6Interface]:
    return tunnel.link.addresses if tunnel.link else frozenset()


ips = st.integers(2, 7).map(lambda n: IPv6Network(network(1).prefix[(16 << 64) + n]))
peer_tables = st.dictionaries(st.sampled_from([key.raw for key in KEYS]), st.frozensets(ips)).map(
    # On a device an allowed IP is one peer's.
    lambda table: {
        key: pack(held - frozenset().union(*list(table.values())[:place]))
        for place, (key, held) in enumerate(table.items())
    }
)
PSKS = [PresharedKey.generate() for _ in range(2)]


@st.composite
def drawn_devices(draw: st.DrawFn, key: PrivateKey | None, port: int) -> Device:
    peers = draw(peer_tables)
    psks = draw(st.dictionaries(st.sampled_from([key.raw for key in KEYS]), st.sampled_from(PSKS)))
    return Device(key, port, peers, {key: psk for key, psk in psks.items() if key in peers})


devices = st.tuples(
    st.sampled_from([None, HOST.private_key, PrivateKey.generate()]),
    st.sampled_from([0, 51820, 9]),
).flatmap(lambda own: drawn_devices(*own))
network_lists = st.lists(st.integers(1, 6).map(network), unique_by=lambda one: one.id)
wishes = st.builds(wanted, network_lists).flatmap(
    lambda tunnel: st.builds(
        lambda device: replace(tunnel, device=device),
        drawn_devices(HOST.private_key, HOST.listen_port),
    )
)
links = st.builds(
    Link,
    st.sampled_from([1280, 1420]),
    st.booleans(),
    st.frozensets(st.integers(1, 6).map(lambda n: IPv6Interface(network(n).resolver))),
)
routes = st.frozensets(
    st.builds(
        Route,
        st.integers(1, 6).map(lambda n: network(n).prefix),
        st.none() | st.just(network(1).prefix),
        st.sampled_from([route_metric("wgctl0"), 9]),
        st.booleans(),
    ),
    max_size=4,
)
rulesets = st.builds(
    lambda networks, uid: (
        desired(networks, (), host=replace(HOST, own_uids=frozenset({uid})), now=NOW).firewall
    ),
    network_lists,
    st.sampled_from([0, 1]),
)
whole_states = st.builds(Tunnel, st.none() | rulesets, routes, links, devices)
bare_states = st.builds(
    Tunnel,
    st.none() | rulesets,
    routes.map(lambda found: frozenset(route for route in found if route.unreachable)),
    st.none(),
    st.none(),
)
states = whole_states | bare_states


@given(wishes)
def test_what_is_as_it_should_be_needs_no_step(tunnel: Tunnel) -> None:
    assert diff(tunnel, tunnel) == ()


@given(wishes, states)
def test_the_steps_lead_from_what_is_to_what_is_to_be(tunnel: Tunnel, found: Tunnel) -> None:
    assert taken(diff(tunnel, found), found) == tunnel


@given(wishes, states)
def test_the_walls_are_up_before_the_link_is(tunnel: Tunnel, found: Tunnel) -> None:
    steps = diff(tunnel, found)

    walls = [
        place
        for place, step in enumerate(steps)
        if isinstance(step, ReplaceFirewall | ChangeFirewall)
        or (isinstance(step, AddRoute) and step.route.unreachable)
    ]
    opened = [
        place
        for place, step in enumerate(steps)
        if isinstance(step, MakeLink | SetLink | AddPeers | SetPeer | AddAddress)
        or (isinstance(step, AddRoute) and not step.route.unreachable)
    ]
    assert max(walls, default=-1) < min(opened, default=len(steps))


@given(wishes, states)
def test_a_wall_that_is_wanted_is_never_taken_away(tunnel: Tunnel, found: Tunnel) -> None:
    removed = {step.route for step in diff(tunnel, found) if isinstance(step, RemoveRoute)}

    assert not removed & tunnel.routes


def owners(device: Device | None) -> dict[bytes, bytes]:
    """Who has each allowed IP."""
    assert device is not None
    return {row: key for key, held in device.peers.items() for row in rows(held)}


@given(wishes, whole_states)
def test_an_allowed_ip_that_moves_is_at_no_moment_nobodys_nor_a_third_ones(
    tunnel: Tunnel, found: Tunnel
) -> None:
    """A packet to it would be lost, or get to somebody whom it is not for."""
    before, after = owners(found.device), owners(tunnel.device)

    steps = diff(tunnel, found)

    state = found
    for step in steps:
        state = taken([step], state)
        held = owners(state.device)
        for row in before.keys() & after.keys():
            assert held.get(row) in {before[row], after[row]}


@given(wishes, whole_states)
def test_a_peer_that_is_made_anew_keeps_what_it_is_to_keep(tunnel: Tunnel, found: Tunnel) -> None:
    assert found.device is not None
    for step in diff(tunnel, found):
        if isinstance(step, SetPeer) and step.anew:
            assert step.key in found.device.peers
            assert tunnel.device is not None
            assert step.allowed_ips == tunnel.device.peers[step.key]


@given(wishes, whole_states)
def test_a_peer_that_is_right_is_not_touched(tunnel: Tunnel, found: Tunnel) -> None:
    assert tunnel.device is not None
    assert found.device is not None
    right = {
        key
        for key, theirs in tunnel.device.peers.items()
        if found.device.peers.get(key) == theirs
        and found.device.preshared_keys.get(key) == tunnel.device.preshared_keys.get(key)
    }

    found_keys = {key for step in diff(tunnel, found) for key in touched(step)}
    assert not found_keys & right


keys_of_peers = st.frozensets(st.sampled_from([key.raw for key in KEYS]), max_size=2)


@settings(max_examples=25)
@given(wishes, states)
def test_a_host_that_is_spared_loses_nothing_but_what_another_peer_gets(
    tunnel: Tunnel, found: Tunnel
) -> None:
    spared = sparing(tunnel, found, expired=frozenset(), locked=frozenset())
    after = taken(diff(spared, found), found)
    assert after == spared
    assert after.device is not None
    assert tunnel.device is not None

    claimed = owners(tunnel.device).keys()
    assert found.routes | tunnel.routes == after.routes
    assert members(found) | members(tunnel) <= members(after)
    assert addresses(found) | addresses(tunnel) <= addresses(after)
    for key, held in found.device.peers.items() if found.device else ():
        if key not in tunnel.device.peers:
            assert rows(after.device.peers.get(key, NO_IPS)) == rows(held) - claimed
    for key, psk in found.device.preshared_keys.items() if found.device else ():
        wanted_psk = tunnel.device.preshared_keys.get(key, psk)
        assert key not in after.device.peers or after.device.preshared_keys[key] == wanted_psk
    assert tunnel.device.peers.items() <= after.device.peers.items()


@settings(max_examples=25)
@given(wishes, states, keys_of_peers, keys_of_peers)
def test_expired_peers_are_not_spared_nor_those_locked_out_that_show_no_preshared_key(
    tunnel: Tunnel, found: Tunnel, expired: frozenset[bytes], locked: frozenset[bytes]
) -> None:
    assert tunnel.device is not None
    spared = sparing(tunnel, found, expired=expired, locked=locked).device

    assert spared is not None
    others = spared.peers.keys() - tunnel.device.peers.keys()
    assert others.isdisjoint(expired)
    assert others & locked <= spared.preshared_keys.keys()


def test_a_live_host_without_its_table_gets_one_that_its_networks_pass() -> None:
    found = replace(wanted([network(1)], [peer(1)]), firewall=None)

    spared = sparing(wanted([]), found, expired=frozenset(), locked=frozenset())

    assert spared == wanted([network(1)], [peer(1)])


def test_a_slot_that_leads_elsewhere_is_not_spared() -> None:
    """A map has one place for a key: of two, nft would refuse both, at every pass."""
    service = IPv6Address("fdaa:0:1:1::2")
    machines = [peer(1).address, peer(2).address]

    def tunnel(*addresses: IPv6Address) -> Tunnel:
        services = [Service(service, addresses)]
        return desired([network(1)], (), host=HOST, now=NOW, services=services)

    found, known = tunnel(*machines), tunnel(machines[0])
    spared = sparing(known, found, expired=frozenset(), locked=frozenset())

    hairpin = Element("hairpins", (str(machines[1]),) * 2, str(network(1).resolver))
    assert members(spared) == members(known) | {hairpin}
    assert taken(diff(spared, found), found) == spared


def test_an_empty_host_gets_everything_in_order() -> None:
    steps = diff(wanted([network(1)], [peer(1)]), NOTHING)

    assert [type(step).__name__ for step in steps] == [
        "ReplaceFirewall",
        "AddRoute",
        "MakeLink",
        "SetLink",
        "SetDevice",
        "AddAddress",
        "AddRoute",
        "AddPeers",
    ]


def test_two_peers_that_swap_addresses_are_given_each_the_others() -> None:
    one, other = peer(1, key=0), peer(2, key=1)
    before = wanted([network(1)], [one, other])
    after = wanted(
        [network(1)],
        [replace(one, address=other.address), replace(other, address=one.address)],
    )

    steps = diff(after, before)

    assert taken(steps, before) == after
    assert [type(step) for step in steps] == [GivePeer, GivePeer]


def test_a_peer_with_another_address_has_both_for_a_moment() -> None:
    before = wanted([network(1)], [peer(1)])
    after = wanted([network(1)], [replace(peer(1), address=peer(4).address)])

    ip = pack_host(peer(4).address)
    assert diff(after, before) == (GivePeer(KEYS[0].raw, ip), SetPeer(KEYS[0].raw, ip))


def test_a_new_key_of_a_peer_takes_the_address_from_the_old_one() -> None:
    before, after = (wanted([network(1)], [peer(1, key=key)]) for key in (0, 1))
    ip = pack_host(peer(1).address)

    assert diff(after, before) == (AddPeers({KEYS[1].raw: ip}), RemovePeer(KEYS[0].raw))


@pytest.mark.parametrize(("was", "wanted_key"), [(None, 0), (0, 1), (0, None)])
def test_a_peer_with_another_preshared_key_is_made_anew(
    was: int | None, wanted_key: int | None
) -> None:
    """Its session, which the last key let in, would live on for up to three minutes."""

    def tunnel(which: int | None) -> Tunnel:
        keys = {} if which is None else {1: PSKS[which]}
        return desired([network(1)], [peer(1)], host=HOST, now=NOW, preshared_keys=keys)

    ip = pack_host(peer(1).address)
    expected = None if wanted_key is None else PSKS[wanted_key]
    assert diff(tunnel(wanted_key), tunnel(was)) == (SetPeer(KEYS[0].raw, ip, expected, anew=True),)


def test_a_preshared_key_of_a_peer_that_is_left_out_is_not_there() -> None:
    gone = peer(1, expires_at=NOW)
    tunnel = desired([network(1)], [gone], host=HOST, now=NOW, preshared_keys={1: PSKS[0]})

    assert tunnel.device is not None
    assert tunnel.device.preshared_keys == {}


def test_a_clamped_key_is_the_same_key() -> None:
    """wireguard-go gives back a key with RFC 7748's bits set."""
    raw = bytearray(HOST.private_key.raw)
    raw[0] |= 7
    loose = PrivateKey.from_bytes(bytes(raw))
    before = wanted([network(1)])
    after = replace(before, device=Device(loose, HOST.listen_port, {}))

    assert diff(after, before) == ()


@pytest.mark.parametrize(
    ("key", "port", "step"),
    [
        (PrivateKey.generate(), 51820, SetDevice(HOST.private_key, None)),
        (HOST.private_key, 9, SetDevice(None, 51820)),
        (None, 0, SetDevice(HOST.private_key, 51820)),
    ],
)
def test_of_key_and_port_only_the_wrong_one_is_set(
    key: PrivateKey | None, port: int, step: Step
) -> None:
    right = wanted([network(1)])

    assert diff(right, replace(right, device=Device(key, port, {}))) == (step,)


def test_a_part_that_is_not_wanted_is_left_alone() -> None:
    found = wanted([network(1)], [peer(1)])

    assert diff(replace(NOTHING, routes=found.routes), found) == ()


def test_a_peer_has_exactly_its_own_address() -> None:
    tunnel = wanted([network(1)], [peer(1), peer(2, key=1)])

    assert allowed(tunnel.device) == {
        KEYS[0].raw: [f"{peer(1).address}/128"],
        KEYS[1].raw: [f"{peer(2).address}/128"],
    }


def test_a_network_has_its_resolvers_address_and_a_route_for_its_own_packets() -> None:
    tunnel = wanted([network(1)])
    metric = route_metric("wgctl0")
    prefix = network(1).prefix

    assert tunnel.link is not None
    assert tunnel.link.addresses == {IPv6Interface(f"{prefix[3]}/128")}
    assert tunnel.routes == {
        Route(HOST.pool, None, metric, unreachable=True),
        Route(prefix, prefix, metric),
    }


def test_initiations_are_heard_at_the_devices_port_where_somebody_hears_them() -> None:
    listening = replace(HOST, log_group=2000)

    made = desired([], [], host=listening, now=0)

    assert made == replace(
        desired([], [], host=HOST, now=0),
        firewall=firewall.ruleset(
            [],
            interface=HOST.interface,
            listen_port=HOST.listen_port,
            own_uids=HOST.own_uids,
            log_group=2000,
        ),
    )


def test_without_networks_the_walls_still_stand() -> None:
    tunnel = wanted([])

    assert tunnel.routes == {Route(HOST.pool, None, route_metric("wgctl0"), unreachable=True)}
    assert tunnel.firewall is not None
    assert tunnel.firewall.elements == frozenset()


@pytest.mark.parametrize(
    "bad",
    [
        peer(1, expires_at=NOW),
        peer(1, of=2),
        replace(peer(1), public_key=HOST.private_key.public()),
        replace(peer(1), address=IPv6Address("fdaa:0:2:10::2")),
        replace(peer(1), address=IPv6Address("2001:db8::1")),
    ],
    ids=["expired", "no network", "the gateway's key", "another network's address", "not ours"],
)
def test_a_peer_that_must_not_be_there_is_left_out_and_the_others_stay(bad: Peer) -> None:
    tunnel = wanted([network(1)], [bad, peer(2, key=1, expires_at=NOW + 1)])

    assert tunnel.device is not None
    assert set(tunnel.device.peers) == {KEYS[1].raw}
