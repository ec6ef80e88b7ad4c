from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.keys import PresharedKey
from tests.daemon.programming import HOST, KEYS, Scene, commit, peer, sealed_key
from wgctl.core.feed import Kind, Put
from wgctl.core.plan import desired
from wgctl.daemon.follow import Changes
from wgctl.services.reconcile import read
from wgctl.store.copy import Copy


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    copy = Copy(tmp_path / "copy.sqlite")
    yield Scene(copy, tmp_path)
    copy.close()


def again(scene: Scene) -> Scene:
    """The gateway that starts next, over the kernel that the last one left."""
    (scene.folder / "copy.sqlite").unlink()
    return Scene(Copy(scene.folder / "copy.sqlite"), scene.folder, scene.kernel)


def test_what_the_copy_holds_is_programmed_and_is_no_drift(scene: Scene) -> None:
    programme = scene.started(peer(0))

    assert read(scene.parts) == scene.roster.whole()
    assert (programme.settled, programme.drift, programme.revision) == (True, 0, 1)
    assert scene.forwards


def test_an_empty_copy_takes_nothing_away_from_a_live_tunnel(scene: Scene) -> None:
    """A copy that was damaged, deleted, or made by another version is one that knows nothing."""
    scene.started(peer(0), peer(1))
    scene.programme.take(commit(sealed_key(0, PresharedKey.generate())))
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
    scene.copy.write([sealed_key(0, psk)], epoch="e", revision=2)
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
