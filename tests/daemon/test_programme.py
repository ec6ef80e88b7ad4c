from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Network
from pathlib import Path

import pysqlite3
import pytest
from structlog.testing import capture_logs

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from peers.seal import seal
from wgctl.core.allowed_ips import NO_IPS, pack_host
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import App, Machine, MachineState, Network, Peer, Seal
from wgctl.core.plan import desired
from wgctl.core.ports import Seen
from wgctl.core.roster import Roster
from wgctl.core.tunnel import DeviceStep, Host, RemovePeer, SetPeer
from wgctl.daemon.follow import Changes
from wgctl.daemon.programme import Programme
from wgctl.drivers.memory import Kernel, MemoryFirewall, MemoryLinks, MemoryWireGuard
from wgctl.services.reconcile import Parts, read
from wgctl.store.copy import Copy

HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
)
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), 0)
KEYS = [PrivateKey.generate().public() for _ in range(3)]


def peer(id_: int, *, expires_at: int | None = None) -> Peer:
    address = NETWORK.prefix[(16 << 64) + 2 + id_]
    name = Label(f"p{id_}")
    return Peer(id_, 1, 1, 1, name, "operator", KEYS[id_], address, 0, expires_at)


class Faulty(MemoryWireGuard):
    """A device that refuses everything while it is told to."""

    refuses = False

    def apply(self, steps: Sequence[DeviceStep]) -> None:
        if self.refuses:
            raise Unavailable("the device refuses")
        super().apply(steps)


class Deaf(MemoryLinks):
    """A link that cannot be looked at while it is told so."""

    refuses = False

    def index(self) -> int | None:
        if self.refuses:
            raise Unavailable("no buffer space")
        return super().index()


@dataclass
class Scene:
    """A programme over a kernel in memory, with a clock that stands still."""

    copy: Copy
    folder: Path
    kernel: Kernel = field(default_factory=Kernel)
    now: int = 1000
    forwards: bool = False
    ended: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.wireguard = Faulty(self.kernel)
        self.links = Deaf(self.kernel)
        self.parts = Parts(self.links, self.wireguard, MemoryFirewall(self.kernel))
        self.roster = Roster(HOST)
        self.programme = Programme(
            *(self.parts, self.roster, self.copy),
            now=lambda: self.now,
            forward=self.forward,
            ended=lambda machines: self.ended & {machine.id for machine in machines},
        )

    def forward(self) -> tuple[str, ...]:
        switched = () if self.forwards else ("all.forwarding=1",)
        self.forwards = True
        return switched

    def fill(self, *rows: Peer, revision: int = 1) -> None:
        with self.copy.replacing() as replacement:
            replacement.add(Put(Kind.NETWORK, NETWORK))
            for row in rows:
                replacement.add(Put(Kind.PEER, row))
            replacement.commit(epoch="e", revision=revision)

    def damage(self, kind: Kind, id_: int) -> None:
        with closing(pysqlite3.connect(str(self.folder / "copy.sqlite"))) as file, file:
            body = "UPDATE rows SET body = '{' WHERE kind = ? AND id = ?"
            assert file.execute(body, (kind, id_)).rowcount == 1

    def started(self, *rows: Peer) -> Programme:
        self.fill(*rows)
        self.programme.load()
        self.programme.verify()
        return self.programme

    def peers(self) -> set[bytes]:
        device = self.parts.wireguard.read()
        return set() if device is None else set(device.peers)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    copy = Copy(tmp_path / "copy.sqlite")
    yield Scene(copy, tmp_path)
    copy.close()


def again(scene: Scene) -> Scene:
    """The gateway that starts next, over the kernel that the last one left."""
    (scene.folder / "copy.sqlite").unlink()
    return Scene(Copy(scene.folder / "copy.sqlite"), scene.folder, scene.kernel)


def commit(*events: Put | Delete, revision: int = 2) -> Changes:
    return Changes(replaced=False, events=events, revision=revision)


def test_what_the_copy_holds_is_programmed_and_is_no_drift(scene: Scene) -> None:
    programme = scene.started(peer(0))

    assert read(scene.parts) == scene.roster.whole()
    assert (programme.settled, programme.drift, programme.revision) == (True, 0, 1)
    assert scene.forwards


def test_an_empty_copy_takes_nothing_away_from_a_live_tunnel(scene: Scene) -> None:
    """A copy that was damaged, deleted, or made by another version is one that knows nothing."""
    scene.started(peer(0), peer(1))
    scene.programme.take(commit(_seal(0, PresharedKey.generate())))
    before = read(scene.parts)
    second = again(scene)

    second.programme.load()
    second.programme.verify()
    second.programme.tick()

    assert read(second.parts) == before
    assert not second.programme.settled
    assert second.programme.problem == "the copy is empty: waiting for the first snapshot"


def test_the_first_snapshot_says_what_may_go(scene: Scene) -> None:
    scene.started(peer(0), peer(1))
    second = again(scene)
    second.programme.load()
    second.programme.verify()
    second.fill(peer(1), revision=7)

    second.programme.take(Changes(replaced=True, events=(), revision=7))

    assert second.peers() == {KEYS[1].raw}
    assert (second.programme.settled, second.programme.problem) == (True, None)
    assert (second.programme.revision, second.programme.drift) == (7, 0)


def test_a_snapshot_that_is_in_the_copy_but_was_not_taken_yet_takes_nothing_away(
    scene: Scene,
) -> None:
    """A pass may begin just when the feed has filled the copy, and before its rows are here."""
    scene.started(peer(0))
    before = read(scene.parts)
    second = again(scene)
    second.programme.load()
    second.fill(peer(0), revision=7)

    second.programme.verify()

    assert read(second.parts) == before
    second.programme.take(Changes(replaced=True, events=(), revision=7))
    assert read(second.parts) == before
    assert second.programme.settled


def test_a_deployment_without_networks_is_no_empty_copy(scene: Scene) -> None:
    scene.started(peer(0))
    second = again(scene)
    with second.copy.replacing() as replacement:
        replacement.commit(epoch="e", revision=9)

    second.programme.load()
    second.programme.verify()

    assert second.peers() == set()
    assert second.programme.settled
    assert read(second.parts) == desired([], [], host=HOST, now=0)


def test_on_a_host_with_nothing_the_walls_stand_before_the_first_snapshot(scene: Scene) -> None:
    scene.programme.load()
    scene.programme.verify()

    assert read(scene.parts) == desired([], [], host=HOST, now=0)


def test_with_one_row_lost_the_others_are_written_and_nobody_is_thrown_out(scene: Scene) -> None:
    scene.started(peer(0), peer(1))
    scene.copy.write([Put(Kind.PEER, peer(2))], epoch="e", revision=2)
    scene.damage(Kind.PEER, 0)
    second = Scene(scene.copy, scene.folder, scene.kernel)

    second.programme.load()
    second.programme.verify()

    assert second.peers() == {key.raw for key in KEYS}
    assert second.programme.problem == "the copy is not whole: waiting for a snapshot"


def test_a_peer_whose_sealed_key_is_lost_never_comes_in_without_one(scene: Scene) -> None:
    psk = PresharedKey.generate()
    scene.started(peer(0), peer(1))
    scene.copy.write([_seal(0, psk)], epoch="e", revision=2)
    scene.programme.load()
    scene.programme.verify()
    scene.damage(Kind.SEAL, 9)
    second = Scene(scene.copy, scene.folder, scene.kernel)
    rebooted = Scene(scene.copy, scene.folder)

    for one in (second, rebooted):
        one.programme.load()
        one.programme.verify()

    held = second.wireguard.read()
    assert held is not None
    assert held.preshared_keys == {KEYS[0].raw: psk}
    assert rebooted.peers() == {KEYS[1].raw}
    assert "p0" in str(rebooted.programme.problem)


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


def _seal(id_: int, psk: PresharedKey, *, to: PrivateKey = HOST.private_key) -> Put:
    sealed = seal(psk, gateway=to.public(), peer=KEYS[id_], ephemeral=PrivateKey.generate())
    return Put(Kind.SEAL, Seal(9, 1, 1, id_, sealed))


def test_a_preshared_key_is_in_the_copy_sealed_and_in_the_device_open(scene: Scene) -> None:
    psk = PresharedKey.generate()
    programme = scene.started(peer(0))
    scene.copy.write([_seal(0, psk)], epoch="e", revision=2)

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
    programme.take(commit(_seal(0, PresharedKey.generate())))
    scene.wireguard.apply([SetPeer(KEYS[0].raw, pack_host(peer(0).address))])

    programme.verify()

    assert programme.drift == 1
    assert programme.drift_events[0].endswith("with a preshared key")


def test_a_peer_that_is_locked_out_is_told_once(scene: Scene) -> None:
    programme = scene.started(peer(0), peer(1))

    with capture_logs() as logs:
        programme.take(commit(_seal(0, PresharedKey.generate(), to=PrivateKey.generate())))
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
