import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.keys import PrivateKey
from peers.noise import Reader
from tests.daemon.visiting import HOST, KEYS, SECRETS, Scene, peer, scene, stamp
from tests.drivers.namespaces import namespaced
from tests.peers.initiating import initiation, signed
from tests.system.hosts import eventually
from wgctl.core import firewall
from wgctl.core.presence import Fate
from wgctl.core.tunnel import ReplaceFirewall, log_group
from wgctl.daemon.hearing import Hearing
from wgctl.drivers.handshakes import Arrival, Handshakes
from wgctl.drivers.nft import Nft

GATEWAY = HOST.private_key.public()
EPHEMERAL = PrivateKey.generate()
STRANGER = PrivateKey.generate()


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Scene]:
    """Peers 0 and 1 are registered."""
    with scene(tmp_path) as made:
        made.fill(peer(0), peer(1))
        made.start()
        yield made


@pytest.fixture
def hearing(begun: Scene) -> Hearing:
    return Hearing(Reader(HOST.private_key), begun.programme, clock=lambda: float(begun.now))


def said(client: PrivateKey, *, at: int = 1, claimed: int | None = None) -> bytes:
    """Return an initiation of `client`, or of one that claims to have that key."""
    return initiation(
        client,
        GATEWAY,
        ephemeral=EPHEMERAL,
        timestamp=stamp(at),
        claimed=None if claimed is None else KEYS[claimed],
    )


def arrived(message: bytes, *, host: bytes = b"\xc0\0\2\1") -> Arrival:
    """Return a packet with `message`, from an IPv4 or IPv6 host."""
    udp = b"\x04\xd2\xca\x6c\0\x9c\0\0"
    if len(host) == 4:
        return Arrival(b"\x45" + bytes(8) + b"\x11\0\0" + host + bytes(4) + udp + message, 1)
    return Arrival(b"\x60" + bytes(5) + b"\x11\x40" + host + bytes(16) + udp + message, 1)


def test_a_peer_that_is_heard_is_let_in(begun: Scene, hearing: Hearing) -> None:
    assert hearing.examine(arrived(said(SECRETS[0]))) is Fate.ADMITTED

    assert begun.there() == {0}


def test_a_peer_is_greeted_a_moment_after_it_was_let_in(begun: Scene) -> None:
    """WireGuard may be about to answer it by itself: see the module."""
    now = 5.0
    hearing = Hearing(Reader(HOST.private_key), begun.programme, clock=lambda: now)
    hearing.examine(arrived(said(SECRETS[0])))

    wait_s = hearing.greet()
    assert 0 < wait_s < 0.1
    assert begun.kernel.seen == {}
    now += wait_s
    assert hearing.greet() > wait_s
    assert begun.kernel.seen[KEYS[0].raw].endpoint == "192.0.2.1:1234"


FORGED = said(SECRETS[0])[:60] + bytes(56)


@pytest.mark.parametrize(
    ("message", "fate"),
    [
        (said(SECRETS[0])[:-17] + bytes(17), Fate.FOREIGN),
        (said(STRANGER), Fate.UNKNOWN),
        (said(STRANGER, claimed=0), Fate.FORGED),
        (signed(FORGED, GATEWAY), Fate.FORGED),
    ],
)
def test_nobody_else_is(begun: Scene, hearing: Hearing, message: bytes, fate: Fate) -> None:
    assert hearing.examine(arrived(message)) is fate

    assert begun.there() == set()


def test_what_was_sent_before_lets_nobody_in_again(begun: Scene, hearing: Hearing) -> None:
    hearing.examine(arrived(said(SECRETS[0], at=5)))
    begun.passes(60)
    assert begun.there() == set()

    fates = [hearing.examine(arrived(said(SECRETS[0], at=at))) for at in (5, 6, 7, 6)]

    assert fates == [Fate.REPLAYED, Fate.ADMITTED, Fate.PRESENT, Fate.REPLAYED]


def test_a_source_that_sends_more_than_any_site_is_not_read(begun: Scene, hearing: Hearing) -> None:
    """And takes nothing from others, nor does what is not for us count."""
    for _ in range(600):
        hearing.examine(arrived(said(STRANGER)[:-17] + bytes(17), host=b"\xc0\0\2\2"))
    fates = [hearing.examine(arrived(said(STRANGER))) for _ in range(501)]

    assert fates == [*[Fate.UNKNOWN] * 500, Fate.HURRIED]
    assert hearing.examine(arrived(said(SECRETS[0]), host=b"\xc0\0\2\2")) is Fate.ADMITTED
    begun.now += 1
    assert hearing.examine(arrived(said(SECRETS[1]))) is Fate.ADMITTED


def test_one_site_has_a_whole_64_of_sources(begun: Scene, hearing: Hearing) -> None:
    site = bytes.fromhex("20010db800000001")
    for number in range(500):
        hearing.examine(arrived(said(STRANGER), host=site + number.to_bytes(8)))

    assert hearing.examine(arrived(said(STRANGER), host=site + bytes(8))) is Fate.HURRIED
    other = bytes.fromhex("20010db800000002")
    assert hearing.examine(arrived(said(STRANGER), host=other + bytes(8))) is Fate.UNKNOWN
    assert begun.there() == set()


@pytest.mark.network
def test_a_log_that_another_has_is_told_and_heard_once_it_is_free(
    begun: Scene, hearing: Hearing
) -> None:
    group, stop = log_group("wgctl0"), threading.Event()
    table = firewall.ruleset(
        [],
        interface="wgctl0",
        listen_port=HOST.listen_port,
        own_uids=frozenset({0}),
        log_group=group,
    )
    with namespaced() as namespace, namespace.beside() as thread:
        namespace.run(Nft("wgctl0").apply, ReplaceFirewall(table))
        other = namespace.run(Handshakes, group)
        running = thread.submit(lambda: hearing.run(group, stop=stop))
        problem = eventually(lambda: hearing.problem)
        other.close()
        eventually(lambda: hearing.problem is None)
        namespace.run(send, said(SECRETS[0]))
        eventually(lambda: hearing.fates)
        stop.set()
        running.result(20)

    assert "end the other program that hears it" in problem
    assert hearing.fates == {Fate.ADMITTED: 1}
    assert begun.there() == {0}


def send(message: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.sendto(message, ("127.0.0.1", HOST.listen_port))
