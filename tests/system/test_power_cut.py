"""Power cuts: what the controller acknowledged is on the disk, at whatever instant the power goes.

The disk is a device of the kernel's that drops every write from an instant on, as a disk without
power does; answers count that were read before it. The controller starts as a fork of this process,
since an emulated machine takes half a minute to load it.
"""

import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from tests.daemon.running import host, listening
from tests.store import samples
from tests.system.hosts import eventually
from wgctl.client.api import Client
from wgctl.core import shape
from wgctl.core.errors import Unavailable
from wgctl.core.model import Role
from wgctl.core.schema import NewPeer, Peer
from wgctl.core.settings import STORE_NAME, Settings
from wgctl.daemon import controller

pytestmark = [pytest.mark.network, pytest.mark.guest, pytest.mark.timeout(600)]

CUTS = 20
ASKERS = 4
SIZE_BYTES = 64 << 20

# An emulated machine that shares its processor may take 10 s to start a fork.
SLOW_S = 120.0


class Disk:
    """An ext4 file system in memory, on a device that can lose its power."""

    def __init__(self, folder: Path) -> None:
        self.name = f"wgctl-{os.getpid()}"
        self.folder = folder / "disk"
        self.folder.mkdir()
        self.unsynced = self.folder / "unsynced"
        for module in ("loop", "dm-flakey"):
            _run("modprobe", module)
        image = folder / "image"
        with image.open("xb") as file:
            file.truncate(SIZE_BYTES)
        _run("mkfs.ext4", "-q", str(image))
        self.loop = _run("losetup", "--find", "--show", str(image)).strip()

    def switch_on(self) -> None:
        """Mount what is there, as at boot."""
        _run("dmsetup", "create", self.name, "--table", self._table("linear"))
        _run("mount", f"/dev/mapper/{self.name}", str(self.folder))

    def cut(self) -> None:
        """Drop every write from here on; what is on its way to the disk is dropped too."""
        # A new file: ext4 syncs one that is written anew (auto_da_alloc).
        self.unsynced.unlink(missing_ok=True)
        self.unsynced.write_text("unsynced")
        _run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)
        flakey = self._table("flakey", "0 3600 1 drop_writes")
        _run("dmsetup", "load", self.name, "--table", flakey)
        _run("dmsetup", "resume", self.name)

    def switch_off(self) -> None:
        """Forget all that is in memory alone."""
        _run("umount", str(self.folder))
        _run("dmsetup", "remove", "--retry", self.name)

    def has_lost(self) -> bool:
        """Whether what nobody synced before the cut is gone, as it has to be."""
        return not self.unsynced.exists() or not self.unsynced.read_text()

    def remove(self) -> None:
        """Take the devices away, in whatever state they are."""
        for left in (
            ("umount", str(self.folder)),
            ("dmsetup", "remove", self.name),
            ("losetup", "--detach", self.loop),
        ):
            subprocess.run(left, check=False, capture_output=True)

    def _table(self, target: str, more: str = "") -> str:
        return f"0 {SIZE_BYTES // 512} {target} {self.loop} 0 {more}"


@dataclass
class Asked:
    """What was asked for and answered in one life of the controller; each list grows only."""

    sent: list[str] = field(default_factory=list)
    added: list[Peer] = field(default_factory=list)
    removing: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Life:
    """One life of the controller: what it found at its start, and answered until the power went."""

    found: dict[str, Peer]
    integrity: str
    added: list[Peer]
    removed: set[str]
    removing: set[str]
    """Asked for, even if the answer came too late: what became of these is open."""
    in_flight: int

    def must_leave(self) -> dict[str, Peer]:
        """Return the peers that the next life has to find."""
        there = {**self.found, **{peer.name: peer for peer in self.added}}
        return {name: peer for name, peer in there.items() if name not in self.removing}


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="wgctl-") as name:
        made = Disk(Path(name))
        try:
            yield made
        finally:
            made.remove()


@pytest.fixture(scope="module")
def lives(disk: Disk, pytestconfig: pytest.Config) -> list[Life]:
    """Live once more than there are cuts, to see what the last one left."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    # Every fork has it then; each would take seconds for it.
    shape.finish()
    disk.switch_on()
    settings = host(disk.folder)
    # What `init` makes is no part of this.
    os.sync()
    numbers = itertools.count(1)
    lived: list[Life] = []
    for _ in range(CUTS + 1):
        lived.append(life := _live(disk, settings, numbers))
        disk.switch_off()
        disk.switch_on()
        assert disk.has_lost(), "the power was not cut"
        with capture.global_and_fixture_disabled():
            sys.stdout.write(
                f"\n{len(life.found)} peers found, {len(life.added)} acknowledged and "
                f"{life.in_flight} in flight at the cut"
            )
    return lived


def _live(disk: Disk, settings: Settings, numbers: Iterator[int]) -> Life:
    """Start the controller, and ask it for peers until the power goes."""
    asked = Asked()
    with ThreadPoolExecutor(ASKERS) as askers:
        with _controller(settings):
            found = {peer.name: peer for peer in Client(settings.api_socket).peers("acme")}
            integrity = _integrity(settings)
            asking = [askers.submit(_ask, settings, numbers, asked) for _ in range(ASKERS)]
            wanted = random.randint(3, 20)
            eventually(
                lambda: len(asked.added) >= wanted or any(one.done() for one in asking),
                within_s=SLOW_S,
            )
            time.sleep(random.random() / 10)
            added, removed = list(asked.added), set(asked.removed)
            in_flight = len(asked.sent) - len(added)
            disk.cut()
        for one in asking:
            one.result()
    return Life(found, integrity, added, removed, set(asked.removing), in_flight)


@contextmanager
def _controller(settings: Settings) -> Iterator[None]:
    """Run the controller for the block, and kill it."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=controller.run, args=(settings,))
    process.start()
    try:
        eventually(lambda: listening(settings.api_socket), within_s=SLOW_S)
        yield
    finally:
        process.kill()
        process.join()


def _ask(settings: Settings, numbers: Iterator[int], asked: Asked) -> None:
    """Add peers, and remove every fourth of them, until nobody answers."""
    client = Client(settings.api_socket, patience_s=60, on_wait=_give_up)
    try:
        for number in numbers:
            name = f"peer-{number}"
            asked.sent.append(name)
            new = NewPeer(name=name, public_key=samples.key(number))
            asked.added.append(client.add_peer("acme", new).peer)
            if number % 4 == 0:
                asked.removing.append(name)
                client.remove_peer("acme", "default", name)
                asked.removed.append(name)
    except Unavailable:
        return


def _give_up(reason: str) -> None:
    raise Unavailable(reason)


def _integrity(settings: Settings) -> str:
    engine = samples.engine(settings.role_dir(Role.CONTROLLER) / STORE_NAME)
    with engine.connect() as connection:
        said = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    engine.dispose()
    return str(said)


def _run(*argv: str) -> str:
    # There is no udev in the guest to make the nodes of a device.
    env = {**os.environ, "DM_DISABLE_UDEV": "1"}
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def test_every_cut_falls_among_answers(lives: list[Life]) -> None:
    """Without answers before it and requests on their way a cut would prove nothing."""
    cut = lives[:CUTS]

    assert len(cut) == CUTS
    assert min(len(life.added) for life in cut) >= 3
    assert sum(life.in_flight for life in cut) > CUTS
    assert sum(len(life.removed) for life in cut) > 0


def test_what_was_acknowledged_is_there_after_a_power_cut(lives: list[Life]) -> None:
    for number, (life, after) in enumerate(itertools.pairwise(lives), 1):
        due = life.must_leave()
        assert due == {name: after.found.get(name) for name in due}, f"cut {number}"


def test_what_was_removed_stays_removed_after_a_power_cut(lives: list[Life]) -> None:
    for number, (life, after) in enumerate(itertools.pairwise(lives), 1):
        assert life.removed & set(after.found) == set(), f"cut {number}"


def test_no_address_is_given_out_twice(lives: list[Life]) -> None:
    owners: dict[IPv6Address, str] = {}
    for life in lives:
        for peer in (*life.found.values(), *life.added):
            assert owners.setdefault(peer.address, peer.name) == peer.name
    assert len(owners) > 3 * CUTS


def test_the_store_is_whole_after_every_cut(lives: list[Life]) -> None:
    assert {life.integrity for life in lives} == {"ok"}
