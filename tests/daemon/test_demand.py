"""Peers on demand, through the programme that writes them: who is in the device, and when."""

from pathlib import Path

import pysqlite3
import pytest

from peers.keys import PresharedKey, PrivateKey
from tests.daemon.visiting import IDLE_S, KEYS, SOURCE, Scene, machine, peer, scene, seal_of
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.ports import Seen
from wgctl.core.presence import Fate
from wgctl.core.schema import ObservedPeer


def test_nobody_is_there_who_has_not_come(begun: Scene) -> None:
    assert begun.there() == set()
    assert (begun.programme.settled, begun.demand.in_use) == (True, 0)


def test_who_knocks_is_let_in_and_can_be_greeted(begun: Scene) -> None:
    assert begun.knocks(0) is Fate.ADMITTED
    begun.programme.greet(KEYS[0], SOURCE)

    assert begun.there() == {0}
    assert begun.kernel.seen[KEYS[0].raw].endpoint == str(SOURCE)
    begun.programme.verify()
    assert (begun.there(), begun.programme.drift) == ({0}, 0)


@pytest.mark.parametrize(
    ("at", "fate"), [(2, Fate.PRESENT), (1, Fate.REPLAYED), (0, Fate.REPLAYED)]
)
def test_who_is_there_is_answered_by_the_device(begun: Scene, at: int, fate: Fate) -> None:
    begun.knocks(0)

    assert begun.knocks(0, at=at) is fate
    assert begun.there() == {0}


def test_who_is_not_registered_stays_out(begun: Scene) -> None:
    assert begun.knocks(3) is Fate.UNKNOWN
    assert begun.programme.is_stranger(KEYS[3])
    assert not begun.programme.is_stranger(KEYS[0])
    assert begun.there() == set()


@pytest.mark.parametrize("how", ["change", "snapshot"])
def test_who_is_registered_a_moment_after_a_knock_is_no_stranger(begun: Scene, how: str) -> None:
    assert begun.programme.is_stranger(KEYS[3])
    if how == "change":
        begun.commit(Put(Kind.PEER, peer(3)))
    else:
        begun.fill(peer(3))
        begun.start()

    assert not begun.programme.is_stranger(KEYS[3])
    assert begun.there() == set()
    assert begun.knocks(3) is Fate.ADMITTED


def test_whose_time_is_over_stays_out_until_it_gets_a_new_one(begun: Scene) -> None:
    begun.commit(Put(Kind.PEER, peer(0, expires_at=begun.now)))
    assert begun.knocks(0) is Fate.REFUSED

    begun.commit(Put(Kind.PEER, peer(0, expires_at=begun.now + 100)))
    assert begun.knocks(0) is Fate.ADMITTED

    begun.passes(100)
    assert begun.there() == set()


@pytest.mark.parametrize("fate", [Fate.ADMITTED, Fate.REFUSED])
def test_who_knocks_does_not_keep_another_there_whose_time_has_come(
    begun: Scene, fate: Fate
) -> None:
    """Nor is it for the thread that hears to write what else there is to write."""
    begun.commit(Put(Kind.PEER, peer(0, expires_at=begun.now + 10)))
    begun.knocks(0)
    if fate is Fate.REFUSED:
        begun.commit(Put(Kind.SEAL, seal_of(1, PresharedKey.generate(), to=PrivateKey.generate())))
    begun.now += 10

    assert begun.knocks(1) is fate
    there = {0, 1} if fate is Fate.ADMITTED else {0}
    assert begun.there() == there
    begun.passes(0)
    assert begun.there() == there - {0}
    begun.programme.verify()
    assert begun.programme.drift == 0


def test_who_has_no_network_stays_out(begun: Scene) -> None:
    begun.copy.write([Delete(Kind.NETWORK, 1)], epoch="e", revision=2)

    assert begun.knocks(0) is Fate.REFUSED


def test_who_is_removed_leaves_at_once_and_is_forgotten(begun: Scene) -> None:
    begun.knocks(0)
    begun.commit(Delete(Kind.PEER, 0))

    assert begun.there() == set()
    assert begun.knocks(0, at=2) is Fate.UNKNOWN
    assert begun.visits.find(0) is None


def test_who_gets_another_key_is_there_with_that_one_alone(begun: Scene) -> None:
    begun.knocks(0, at=5)
    begun.commit(Put(Kind.PEER, peer(0, key=3)))

    assert begun.there() == {3}
    assert begun.knocks(3, at=1) is Fate.PRESENT, "its timestamps begin anew"
    assert begun.knocks(0, at=6) is Fate.UNKNOWN


def test_who_is_idle_leaves_and_comes_again_but_not_with_what_it_once_sent(begun: Scene) -> None:
    begun.knocks(0, at=5)
    begun.sees(0, handshake=begun.now)
    begun.passes(IDLE_S - 1)
    assert begun.there() == {0}

    begun.passes(11)
    assert begun.there() == set()
    assert begun.demand.left == 1
    assert [begun.knocks(0, at=at) for at in (4, 5, 6)] == [
        Fate.REPLAYED,
        Fate.REPLAYED,
        Fate.ADMITTED,
    ]


def test_who_never_finished_a_handshake_leaves_soon(begun: Scene) -> None:
    begun.knocks(0)
    begun.passes(29)
    assert begun.there() == {0}

    begun.passes(10)
    assert begun.there() == set()


def test_who_has_an_open_session_stays(begun: Scene) -> None:
    begun.knocks(0)
    for _ in range(20):
        begun.sees(0, handshake=begun.now)
        begun.passes(120)

    assert begun.there() == {0}


def test_a_clock_that_goes_back_keeps_nobody_who_is_idle(begun: Scene) -> None:
    begun.knocks(0)
    begun.sees(0, handshake=begun.now)
    begun.passes(10)
    begun.now -= 900
    begun.passes(0)
    assert begun.there() == {0}

    begun.passes(IDLE_S)
    assert begun.there() == set()


def test_what_was_seen_of_a_peer_is_of_all_its_visits(begun: Scene) -> None:
    begun.knocks(0)
    begun.sees(0, handshake=1000, received=10, sent=20)
    begun.passes(IDLE_S)
    gone = begun.programme.absent()
    assert begun.there() == set()
    begun.knocks(0, at=2)
    begun.kernel.seen[KEYS[0].raw] = Seen(None, None, 1, 2)
    back = begun.programme.observe()

    (first,) = gone
    assert first == ObservedPeer(
        peer_id=0,
        endpoint=str(SOURCE),
        last_handshake=1000,
        received_bytes=10,
        sent_bytes=20,
    )
    assert back == {0: Seen(first.endpoint, first.last_handshake, 11, 22)}
    assert begun.programme.absent() == []


def test_those_who_are_gone_are_told_again_in_turn(begun: Scene) -> None:
    for key in (0, 1):
        begun.knocks(key)
    begun.passes(IDLE_S)

    told = [{one.peer_id for one in begun.programme.absent()} for _ in range(3)]
    assert told == [{0, 1}, {0, 1}, {0, 1}]


def test_peers_come_and_go_also_where_nothing_can_be_remembered(
    begun: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which is told once: thousands may come in a minute."""
    begun.visits.close()
    assert begun.knocks(0) is Fate.ADMITTED
    begun.passes(IDLE_S)

    assert begun.there() == set()
    assert [one.peer_id for one in begun.programme.absent()] == [0]
    assert begun.knocks(0, at=2) is Fate.ADMITTED
    assert capsys.readouterr().out.count("visits not kept") == 1


def test_what_is_kept_of_peers_is_begun_anew_when_it_is_damaged(tmp_path: Path) -> None:
    with scene(tmp_path) as first:
        first.fill(peer(0), peer(1))
        first.start()
        first.knocks(0, at=5)
    path = tmp_path / "visits.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)

    with scene(tmp_path) as second:
        second.start()
        assert second.knocks(0, at=6) is Fate.ADMITTED
        second.knocks(1, at=6)
    with scene(tmp_path) as third:
        third.start()
        assert [third.knocks(key, at=6) for key in (0, 1)] == [Fate.REPLAYED] * 2


def test_a_gateway_that_starts_again_keeps_who_is_there_and_knows_who_was(tmp_path: Path) -> None:
    with scene(tmp_path) as first:
        first.fill(peer(0), peer(1), peer(2))
        first.start()
        first.knocks(0, at=5)
        first.knocks(1, at=5)
        first.sees(1, handshake=1000, received=7)
        first.commit(Delete(Kind.PEER, 2))
        kernel = first.kernel
    before = kernel.device

    with scene(tmp_path, kernel) as second:
        second.start()

        assert kernel.device == before
        assert second.demand.in_use == 2
        assert second.knocks(0, at=5) is Fate.REPLAYED
        assert second.knocks(0, at=6) is Fate.PRESENT
        second.passes(40)
        assert second.there() == {1}


def test_a_device_keeps_nobody_who_is_not_registered(tmp_path: Path) -> None:
    with scene(tmp_path) as first:
        first.fill(peer(0), peer(1))
        first.start()
        first.knocks(0)
        first.knocks(1)
        first.fill(peer(1))
        kernel = first.kernel

    with scene(tmp_path, kernel) as second:
        second.start()

        assert second.there() == {1}


def test_who_carries_a_machine_is_there_from_the_start_and_stays(begun: Scene) -> None:
    begun.fill(peer(0), peer(1), machine(7, 1))
    begun.start()
    begun.passes(10 * IDLE_S)

    assert begun.there() == {1}


def test_who_gets_a_machine_is_there_with_its_preshared_key_and_leaves_without_it(
    begun: Scene,
) -> None:
    key = PresharedKey.generate()
    begun.commit(Put(Kind.SEAL, seal_of(0, key)))
    begun.commit(Put(Kind.MACHINE, machine(7, 0)))

    assert begun.kernel.device is not None
    assert begun.kernel.device.preshared_keys == {KEYS[0].raw: key}
    begun.commit(Delete(Kind.MACHINE, 7))
    begun.passes(IDLE_S)
    assert begun.there() == set()


def test_a_preshared_key_that_changes_meanwhile_is_the_one_it_has(begun: Scene) -> None:
    first, second = PresharedKey.generate(), PresharedKey.generate()
    begun.commit(Put(Kind.SEAL, seal_of(0, first)))
    begun.knocks(0)
    begun.commit(Put(Kind.SEAL, seal_of(0, second)))

    assert begun.kernel.device is not None
    assert begun.kernel.device.preshared_keys == {KEYS[0].raw: second}


def test_whose_preshared_key_cannot_be_read_stays_out(begun: Scene, tmp_path: Path) -> None:
    """Without it, whoever has the peer's private key alone would come in."""
    begun.commit(Put(Kind.SEAL, seal_of(0, PresharedKey.generate())))
    with pysqlite3.connect(str(tmp_path / "copy.sqlite")) as file:
        assert file.execute("UPDATE rows SET body = '{' WHERE kind = 'seal'").rowcount == 1

    assert begun.knocks(0) is Fate.REFUSED
    assert begun.there() == set()


def test_a_snapshot_keeps_who_is_there_and_takes_who_is_not_in_it(begun: Scene) -> None:
    begun.knocks(0)
    begun.knocks(1)
    begun.fill(peer(1), peer(2))
    begun.start()

    assert begun.there() == {1}
    assert begun.demand.in_use == 1


def test_a_device_keeps_nobody_whose_time_was_over_before_the_gateway_started_again(
    tmp_path: Path,
) -> None:
    with scene(tmp_path) as first:
        first.fill(peer(0, expires_at=first.now + 10), peer(1))
        first.start()
        first.knocks(0)
        first.knocks(1)
        kernel = first.kernel

    with scene(tmp_path, kernel) as second:
        second.now += 10
        second.start()

        assert second.there() == {1}
        assert (second.programme.settled, second.programme.drift) == (True, 0)
