from dataclasses import replace
from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from peers.seal import SealedKey, seal
from wgctl.core.allowed_ips import pack_host
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import App, LostSeal, Machine, MachineState, Network, Peer, Seal
from wgctl.core.plan import diff
from wgctl.core.roster import Change, Roster
from wgctl.core.tunnel import AddPeers, Host, RemovePeer, SetPeer, Step, Tunnel
from wgctl.drivers.memory import Kernel, MemoryFirewall, MemoryLinks, MemoryWireGuard
from wgctl.services.reconcile import Parts, read, take

KEYS = [PrivateKey.generate().public() for _ in range(4)]
HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
)


PSKS = [PresharedKey.generate() for _ in range(4)]
SEALS = [
    seal(psk, gateway=HOST.private_key.public(), peer=key, ephemeral=PrivateKey.generate())
    for psk, key in zip(PSKS, KEYS, strict=True)
]


def network(id_: int) -> Network:
    prefix = IPv6Network(((0xFDAA << 112) | id_ << 80, 48))
    return Network(id_, 1, Label(f"n{id_}"), prefix, 0)


def peer(id_: int, *, of: int = 1, expires_at: int | None = None) -> Peer:
    address = network(of).prefix[(16 << 64) + 2 + id_]
    name = Label(f"p{id_}")
    return Peer(id_, 1, of, 1, name, "operator", KEYS[id_], address, 0, expires_at)


def steps(change: Change | None) -> tuple[Step, ...]:
    assert change is not None
    return diff(change.after, change.before)


def seal_of(id_: int, *, of: int, sealed: SealedKey | None = None) -> Seal:
    return Seal(id_, 1, 1, of, sealed or SEALS[of])


def app(id_: int, *, of: int = 1, served: bool = True) -> App:
    address = network(of).prefix[(1 << 64) + 2 + id_] if served else None
    return App(id_, 1, of, Label(f"a{id_}"), 0, address)


def machine(id_: int, *, of: int = 1, on: int = 0, started: bool = True) -> Machine:
    """Return a machine of app `of`, on peer `on`."""
    state = MachineState.STARTED if started else MachineState.STOPPED
    words = Label(f"m{id_}"), Label("ams"), Label("app")
    return Machine(id_, 1, 1, of, on, *words, (), {}, state, 0)


_KINDS = {
    Network: Kind.NETWORK,
    Peer: Kind.PEER,
    Seal: Kind.SEAL,
    App: Kind.APP,
    Machine: Kind.MACHINE,
}


def put(row: Network | Peer | Seal | App | Machine) -> Put:
    return Put(_KINDS[type(row)], row)


def settled(tunnel: Tunnel) -> Parts:
    """A kernel that holds `tunnel`."""
    kernel = Kernel(tunnel.firewall, set(tunnel.routes), tunnel.link, tunnel.device)
    return Parts(MemoryLinks(kernel), MemoryWireGuard(kernel), MemoryFirewall(kernel))


network_ids, peer_ids = st.integers(1, 3), st.integers(0, 3)
expiries = st.none() | st.integers(0, 30)
events = st.one_of(
    network_ids.map(lambda id_: put(network(id_))),
    st.builds(
        lambda id_, of, at: put(peer(id_, of=of, expires_at=at)), peer_ids, network_ids, expiries
    ),
    network_ids.map(lambda id_: Delete(Kind.NETWORK, id_)),
    peer_ids.map(lambda id_: Delete(Kind.PEER, id_)),
    # Also seals that were made for another peer, which cannot be opened.
    st.builds(
        lambda id_, of, made_for: put(seal_of(id_, of=of, sealed=SEALS[made_for])),
        *(st.integers(0, 5), peer_ids, peer_ids),
    ),
    st.integers(0, 5).map(lambda id_: Delete(Kind.SEAL, id_)),
    st.just(Delete(Kind.ORG, 1)),
    st.builds(
        lambda id_, of, served: put(app(id_, of=of, served=served)),
        *(st.integers(1, 2), network_ids, st.booleans()),
    ),
    st.builds(
        lambda id_, of, on, started: put(machine(id_, of=of, on=on, started=started)),
        *(st.integers(1, 3), st.integers(1, 2), peer_ids, st.booleans()),
    ),
    st.integers(1, 2).map(lambda id_: Delete(Kind.APP, id_)),
    st.integers(1, 3).map(lambda id_: Delete(Kind.MACHINE, id_)),
)


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(events, max_size=4)), max_size=8))
def test_changes_one_by_one_lead_to_the_whole(
    commits: list[tuple[int, list[Put | Delete]]],
) -> None:
    """Also while time goes on: peers expire between commits."""
    roster = Roster(HOST)
    parts, now = settled(roster.whole()), 0

    for passed, commit in commits:
        now += passed
        take(parts, steps(roster.change(commit, now=now)))

    assert read(parts) == roster.whole()


@given(st.lists(st.tuples(st.integers(-5, 5), st.lists(events, max_size=4)), max_size=8))
def test_the_whole_is_what_all_rows_make_also_when_the_clock_goes_back(
    commits: list[tuple[int, list[Put | Delete]]],
) -> None:
    roster, now = Roster(HOST), 10
    seen: list[list[Put | Delete]] = []
    for passed, commit in commits:
        now += passed
        roster.whole()
        roster.change(commit, now=now)
        seen.append(commit)
    afresh = Roster(HOST)
    for commit in seen:
        afresh.change(commit, now=0)
    afresh.expire(now=now)

    assert roster.whole() == afresh.whole()


def test_a_change_names_nothing_that_it_does_not_touch() -> None:
    roster = Roster(HOST)
    roster.replace([network(1), network(2)], [peer(0), peer(1), peer(2, of=2)])
    roster.whole()

    change = roster.change([put(replace(peer(0), public_key=KEYS[3]))], now=0)

    assert [type(step) for step in steps(change)] == [AddPeers, RemovePeer]


def test_peers_that_come_and_go_leave_their_network_alone() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0)])
    roster.whole()

    gone = steps(roster.change([Delete(Kind.PEER, 0)], now=0))
    come = steps(roster.change([put(peer(1))], now=0))

    assert [type(step) for step in (*gone, *come)] == [RemovePeer, AddPeers]


def test_a_row_that_is_written_again_as_it_was_needs_no_step() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0)])
    roster.whole()

    change = roster.change([put(network(1)), put(replace(peer(0), name=Label("other")))], now=0)

    assert steps(change) == ()


def test_a_network_takes_its_peers_along_and_brings_them_back() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0), peer(1)])
    roster.whole()

    gone = steps(roster.change([Delete(Kind.NETWORK, 1)], now=0))
    back = steps(roster.change([put(network(1))], now=0))

    assert {step.key for step in gone if isinstance(step, RemovePeer)} == {k.raw for k in KEYS[:2]}
    assert [set(step.peers) for step in back if isinstance(step, AddPeers)] == [
        {k.raw for k in KEYS[:2]}
    ]


def test_a_peer_expires_once_and_at_its_second() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0, expires_at=10), peer(1)])
    roster.whole()

    assert roster.expire(now=9) is None
    assert steps(roster.expire(now=10)) == (RemovePeer(KEYS[0].raw),)
    assert roster.expire(now=11) is None


def test_what_is_over_is_told_once_by_whoever_moves_the_time_and_by_nothing_else() -> None:
    """Or it is told to somebody who does not write it, and nobody else hears of it."""
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0, expires_at=10)])
    roster.expire(now=5)
    roster.whole()

    come = steps(roster.change([put(peer(1))], now=roster.now))

    assert [type(step) for step in come] == [AddPeers]
    assert _peers(roster.whole()) == {KEYS[0].raw, KEYS[1].raw}
    assert steps(roster.expire(now=10)) == (RemovePeer(KEYS[0].raw),)


def test_a_clock_that_goes_back_brings_peers_back_until_their_time_comes_again() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0, expires_at=10), peer(1, expires_at=5)])
    roster.expire(now=10)
    assert _peers(roster.whole()) == set()

    assert roster.expire(now=9) is None
    assert _peers(roster.whole()) == {KEYS[0].raw}
    assert steps(roster.expire(now=10)) == (RemovePeer(KEYS[0].raw),)


def test_a_peer_that_got_more_time_stays() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0, expires_at=10)])
    roster.whole()
    roster.change([put(peer(0, expires_at=20))], now=5)

    at_first = roster.expire(now=10)

    assert at_first is None or steps(at_first) == ()
    assert steps(roster.expire(now=20)) == (RemovePeer(KEYS[0].raw),)


def _keys(tunnel: Tunnel) -> dict[bytes, PresharedKey]:
    assert tunnel.device is not None
    return dict(tunnel.device.preshared_keys)


def _peers(tunnel: Tunnel) -> set[bytes]:
    assert tunnel.device is not None
    return set(tunnel.device.peers)


def test_a_preshared_key_is_opened_for_its_peer() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0), peer(1)], [seal_of(7, of=1)])

    whole = roster.whole()

    assert _keys(whole) == {KEYS[1].raw: PSKS[1]}
    assert _peers(whole) == {KEYS[0].raw, KEYS[1].raw}
    assert roster.locked() == []


def test_a_preshared_key_that_comes_and_goes_touches_its_peer_alone() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0), peer(1)])
    roster.whole()
    ip = pack_host(peer(1).address)

    come = steps(roster.change([put(seal_of(7, of=1))], now=0))
    gone = steps(roster.change([Delete(Kind.SEAL, 7)], now=0))

    assert come == (SetPeer(KEYS[1].raw, ip, PSKS[1], anew=True),)
    assert gone == (SetPeer(KEYS[1].raw, ip, None, anew=True),)


def test_a_new_seal_in_the_place_of_the_last_is_one_change() -> None:
    """As the store writes it: the old row goes, a new one comes."""
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(1)], [seal_of(7, of=1)])
    roster.whole()
    other = PresharedKey.generate()
    gateway = HOST.private_key.public()
    sealed = seal(other, gateway=gateway, peer=KEYS[1], ephemeral=PrivateKey.generate())

    done = steps(roster.change([Delete(Kind.SEAL, 7), put(seal_of(8, of=1, sealed=sealed))], now=0))

    assert done == (SetPeer(KEYS[1].raw, pack_host(peer(1).address), other, anew=True),)


@pytest.mark.parametrize("made_for", ["another peer", "another gateway"])
def test_a_peer_whose_preshared_key_cannot_be_opened_is_not_let_in(made_for: str) -> None:
    """Without the key, whoever has the peer's private key alone would come in."""
    elsewhere = PrivateKey.generate().public()
    sealed = (
        SEALS[2]
        if made_for == "another peer"
        else seal(PSKS[1], gateway=elsewhere, peer=KEYS[1], ephemeral=PrivateKey.generate())
    )
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0), peer(1)])
    roster.whole()

    done = steps(roster.change([put(seal_of(7, of=1, sealed=sealed))], now=0))

    assert done == (RemovePeer(KEYS[1].raw),)
    assert _peers(roster.whole()) == {KEYS[0].raw}
    assert [peer.name for peer in roster.locked()] == ["p1"]


def test_a_peer_whose_sealed_key_is_lost_stays_out_until_it_has_another() -> None:
    """What a peer's row alone says is less than what there was: its preshared key is not in it."""
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0), peer(1)], [LostSeal(7, 1)])

    assert _peers(roster.whole()) == {KEYS[0].raw}
    assert [peer.name for peer in roster.locked()] == ["p1"]
    roster.change([Delete(Kind.SEAL, 7), put(seal_of(8, of=1))], now=0)
    assert _keys(roster.whole()) == {KEYS[1].raw: PSKS[1]}
    assert roster.locked() == []


def test_of_peers_whose_time_is_over_the_keys_are_told() -> None:
    roster = Roster(HOST)
    assert roster.is_empty()
    roster.replace([network(1)], [peer(0, expires_at=10), peer(1, expires_at=11), peer(2)])

    assert not roster.is_empty()
    assert roster.expired_keys(now=10) == {KEYS[0].raw}


def _served(tunnel: Tunnel) -> dict[str, set[str]]:
    """Return the machines that each service address leads to."""
    assert tunnel.firewall is not None
    found: dict[str, set[str]] = {}
    for element in tunnel.firewall.elements:
        if element.set_name == "slots":
            found.setdefault(element.values[0], set()).add(element.data)
    return found


def _at(*ids: int) -> set[str]:
    return {str(peer(id_).address) for id_ in ids}


def test_a_service_leads_to_the_started_machines_on_peers_that_are_let_in() -> None:
    here = network(1)
    roster, address = Roster(HOST), str(app(1).service_address)
    peers = [peer(0), peer(1), peer(2, expires_at=10), peer(3, of=2)]
    machines = [
        *(machine(id_, on=id_) for id_ in range(4)),
        machine(5, on=1, started=False),
        machine(6, of=9),
    ]
    roster.replace([here, network(2)], peers, [], [app(1), app(2, served=False)], machines)

    assert _served(roster.whole()) == {address: _at(0, 1, 2)}
    roster.expire(now=10)
    assert _served(roster.whole()) == {address: _at(0, 1)}
    roster.change([put(machine(1, on=1, started=False))], now=10)
    assert _served(roster.whole()) == {address: _at(0)}
    roster.change([put(seal_of(7, of=0, sealed=SEALS[2]))], now=10)
    assert _served(roster.whole()) == {}


def test_a_service_leads_to_no_machine_whose_lease_has_ended_until_it_is_renewed() -> None:
    leased = replace(machine(2, on=1), lease_s=15)
    roster, address = Roster(HOST), str(app(1).service_address)
    unserved = replace(machine(3, of=2, on=1), lease_s=15)
    rows = [machine(1), leased, unserved]
    roster.replace([network(1)], [peer(0), peer(1)], [], [app(1), app(2, served=False)], rows)
    parts = settled(roster.whole())

    assert roster.leased() == [leased]
    for ended, reached in (({2}, _at(0)), (set[int](), _at(0, 1))):
        take(parts, steps(roster.end(frozenset(ended), now=0)))
        assert _served(read(parts)) == {address: reached}
        assert read(parts) == roster.whole()
        assert roster.end(frozenset(ended), now=0) is None


def test_a_service_that_goes_leaves_what_another_needs_of_the_same_machine() -> None:
    apps, machines = [app(1), app(2)], [machine(1, of=1), machine(2, of=2)]
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0)], [], apps, machines)
    parts = settled(roster.whole())

    take(parts, steps(roster.change([Delete(Kind.APP, 1), Delete(Kind.MACHINE, 1)], now=0)))

    assert read(parts) == roster.whole()
    assert _served(read(parts)) == {str(app(2).service_address): _at(0)}


def test_a_replacement_forgets_what_was_there() -> None:
    roster = Roster(HOST)
    roster.replace([network(1)], [peer(0, expires_at=10)])

    roster.replace([network(2)], [peer(1, of=2)])

    assert roster.peer_ids() == {KEYS[1].raw: 1}
    assert roster.expire(now=100) is None
