from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from tests.daemon.programming import HOST, KEYS, NETWORK, Scene, commit, peer, sealed_key
from wgctl.core.allowed_ips import NO_IPS, pack_host
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import App, Machine, MachineState
from wgctl.core.ports import Seen
from wgctl.core.tunnel import DeviceStep, RemovePeer, SetPeer
from wgctl.daemon.follow import Changes
from wgctl.daemon.programme import Programme
from wgctl.services.reconcile import read
from wgctl.store.copy import Copy


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    copy = Copy(tmp_path / "copy.sqlite")
    yield Scene(copy, tmp_path)
    copy.close()


def test_a_change_is_written_at_once(scene: Scene) -> None:
    programme = scene.started(peer(0))

    programme.take(commit(Put(Kind.PEER, peer(1)), Delete(Kind.PEER, 0)))

    assert scene.peers() == {KEYS[1].raw}
    assert programme.revision == 2


def test_a_change_is_no_drift_for_the_pass_after_it(scene: Scene) -> None:
    programme = scene.started(peer(0))

    programme.take(commit(Put(Kind.PEER, peer(1)), Delete(Kind.PEER, 0)))
    programme.verify()

    assert programme.drift == 0


def test_a_snapshot_replaces_everything(scene: Scene) -> None:
    programme = scene.started(peer(0))
    scene.fill(peer(1), revision=9)

    programme.take(Changes(replaced=True, events=(), revision=9))

    assert scene.peers() == {KEYS[1].raw}
    assert (programme.revision, programme.drift) == (9, 0)


def test_a_preshared_key_is_in_the_copy_sealed_and_in_the_device_open(scene: Scene) -> None:
    psk = PresharedKey.generate()
    programme = scene.started(peer(0))
    scene.copy.write([sealed_key(0, psk)], epoch="e", revision=2)

    programme.load()
    programme.verify()

    device = scene.wireguard.read()
    assert device is not None
    assert device.preshared_keys == {KEYS[0].raw: psk}
    kept = b"".join(path.read_bytes() for path in scene.folder.glob("copy*"))
    assert psk.raw not in kept
    assert psk.text().encode() not in kept


def test_a_preshared_key_that_somebody_took_away_is_drift(scene: Scene) -> None:
    programme = scene.started(peer(0))
    programme.take(commit(sealed_key(0, PresharedKey.generate())))
    scene.wireguard.apply([SetPeer(KEYS[0].raw, pack_host(peer(0).address))])

    programme.verify()

    assert programme.drift == 1
    assert programme.drift_events[0].endswith("with a preshared key")


def test_a_peer_that_is_locked_out_is_told_once(scene: Scene) -> None:
    programme = scene.started(peer(0), peer(1))

    with capture_logs() as logs:
        programme.take(commit(sealed_key(0, PresharedKey.generate(), to=PrivateKey.generate())))
        programme.take(commit(revision=3))

    assert scene.peers() == {KEYS[1].raw}
    assert [log["name"] for log in logs if "left out" in log["event"]] == ["p0"]


def test_drift_is_repaired_counted_and_told_in_words(scene: Scene) -> None:
    programme = scene.started(peer(0))
    scene.wireguard.apply([RemovePeer(KEYS[0].raw), SetPeer(KEYS[2].raw, NO_IPS)])

    programme.verify()

    assert scene.peers() == {KEYS[0].raw}
    assert programme.drift == 2
    assert list(programme.drift_events) == [
        f"peer {KEYS[2]}: was nothing, is none",
        f"peer {KEYS[0]}: was none, is {peer(0).address}/128",
    ]


def test_a_pass_says_whether_it_wrote(scene: Scene) -> None:
    programme = scene.started(peer(0))
    assert programme.wrote

    programme.verify()
    assert not programme.wrote


def test_only_the_last_of_much_drift_is_told(scene: Scene) -> None:
    programme = scene.started()
    for _ in range(25):
        scene.wireguard.apply([SetPeer(KEYS[2].raw, NO_IPS)])
        programme.verify()

    assert programme.drift == 25
    assert len(programme.drift_events) == 20


def test_a_device_that_died_is_back_at_the_next_tick_and_counts_once(scene: Scene) -> None:
    programme = scene.started(peer(0), peer(1))
    scene.kernel.lose_link()

    programme.tick()

    assert scene.peers() == {KEYS[0].raw, KEYS[1].raw}
    assert programme.drift == 1


def test_a_look_that_is_refused_ends_nothing_and_the_next_pass_mends(scene: Scene) -> None:
    """The role's own work must outlive a kernel that is out of memory for a moment."""
    programme = scene.started(peer(0))
    scene.links.refuses = True
    with capture_logs() as logs:
        programme.tick()
        programme.tick()
    assert (programme.settled, programme.problem is None) == (False, False)
    assert [log["attempt"] for log in logs] == ["look", "pass"]
    scene.links.refuses = False

    programme.verify()
    programme.tick()

    assert (programme.settled, programme.problem) == (True, None)


def test_a_link_that_was_made_anew_by_others_is_noticed(scene: Scene) -> None:
    programme = scene.started(peer(0))
    scene.wireguard.create()

    programme.tick()

    assert scene.peers() == {KEYS[0].raw}


def test_a_peer_leaves_at_its_second(scene: Scene) -> None:
    programme = scene.started(peer(0, expires_at=1010), peer(1))
    scene.now = 1009
    programme.tick()
    assert scene.peers() == {KEYS[0].raw, KEYS[1].raw}

    scene.now = 1010
    programme.tick()
    programme.verify()

    assert scene.peers() == {KEYS[1].raw}
    assert programme.drift == 0


def test_a_peer_whose_time_comes_during_the_first_pass_leaves_at_the_next_tick(
    scene: Scene,
) -> None:
    scene.fill(peer(0, expires_at=1001), peer(1))
    scene.programme.load()
    original = scene.wireguard.apply

    def apply(steps: Sequence[DeviceStep]) -> None:
        original(steps)
        scene.now = 1001

    scene.wireguard.apply = apply  # type: ignore[method-assign]  # the moment that matters
    scene.programme.verify()
    assert scene.programme.settled
    scene.programme.tick()

    assert scene.peers() == {KEYS[1].raw}
    assert scene.programme.drift == 0


def test_a_look_at_the_table_lets_peers_go_whose_time_has_come(scene: Scene) -> None:
    """As it is due, it comes before a tick."""
    programme = scene.started(peer(0, expires_at=1010), peer(1))
    scene.now = 1010

    programme.mend_firewall()

    assert scene.peers() == {KEYS[1].raw}
    programme.verify()
    assert programme.drift == 0


def test_a_refused_change_is_made_good_by_the_next_pass_and_is_no_drift(scene: Scene) -> None:
    programme = scene.started()
    scene.wireguard.refuses = True
    programme.take(commit(Put(Kind.PEER, peer(0))))
    assert (programme.settled, programme.revision) == (False, 1)

    scene.wireguard.refuses = False
    programme.verify()

    assert scene.peers() == {KEYS[0].raw}
    assert (programme.settled, programme.revision, programme.drift) == (True, 2, 0)


def test_a_lasting_refusal_is_logged_once(scene: Scene) -> None:
    scene.wireguard.refuses = True

    with capture_logs() as logs:
        scene.started(peer(0))
        scene.programme.verify()

    refused = [log for log in logs if log["event"] == "kernel refused"]
    assert [log["reason"] for log in refused] == ["the device refuses"]


def test_a_lease_that_ends_takes_its_machine_from_the_service_and_is_no_drift(
    scene: Scene,
) -> None:
    service = NETWORK.prefix[(1 << 64) + 2]
    words = Label("m"), Label("ams"), Label("app")
    machine = Machine(7, 1, 1, 1, 0, *words, (), {}, MachineState.STARTED, 0, lease_s=15)
    programme = scene.started(peer(0))
    programme.take(
        commit(
            Put(Kind.APP, App(1, 1, 1, Label("web"), 0, service)),
            Put(Kind.MACHINE, machine),
        )
    )

    def served() -> bool:
        firewall = read(scene.parts).firewall
        return firewall is not None and "slots" in {one.set_name for one in firewall.elements}

    assert served()
    scene.ended = frozenset({7})
    programme.tick()
    assert not served()
    scene.ended = frozenset()
    programme.verify()
    assert served()
    assert programme.drift == 0


def test_forwarding_that_cannot_be_switched_does_not_stop_the_rest(scene: Scene) -> None:
    def refuse() -> tuple[str, ...]:
        raise Unavailable("hidden")

    scene.fill(peer(0))
    programme = Programme(
        *(scene.parts, scene.roster, scene.copy),
        now=lambda: 1000,
        forward=refuse,
        ended=lambda _: frozenset(),
    )
    programme.load()
    programme.verify()

    assert programme.settled
    assert scene.peers() == {KEYS[0].raw}


def test_what_was_seen_is_told_by_peer(scene: Scene) -> None:
    programme = scene.started(peer(1), peer(0))
    scene.kernel.seen[KEYS[1].raw] = Seen("192.0.2.1:9", 5, 6, 7)
    scene.wireguard.apply([SetPeer(KEYS[2].raw, NO_IPS)])

    assert programme.observe() == {
        0: Seen(None, None, 0, 0),
        1: Seen("192.0.2.1:9", 5, 6, 7),
    }


def test_without_a_device_nothing_was_seen(scene: Scene) -> None:
    assert scene.programme.observe() == {}


def test_no_key_of_ours_is_logged(scene: Scene) -> None:
    with capture_logs() as logs:
        programme = scene.started(peer(0))
        programme.take(commit(Put(Kind.PEER, replace(peer(0), public_key=KEYS[1]))))
        scene.kernel.lose_link()
        programme.tick()

    assert len(logs) > 3
    assert HOST.private_key.text() not in str(logs)
    assert HOST.private_key.raw.hex() not in str(logs)
