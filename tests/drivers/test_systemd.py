import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from wgctl.drivers.systemd import SILENT, Service


@contextmanager
def systemd(address: str) -> Iterator[Callable[[], list[str]]]:
    """Listen as systemd does; gives what was told since the last look."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        listener.setblocking(False)

        def told() -> list[str]:
            found: list[str] = []
            while True:
                try:
                    found.append(listener.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield told


@pytest.mark.parametrize("abstract", [True, False])
def test_it_tells_its_life_in_the_words_of_sd_notify(tmp_path: Path, abstract: bool) -> None:  # noqa: FBT001
    address = f"@wgctl-{secrets.token_hex(4)}" if abstract else str(tmp_path / "notify")
    with systemd(address) as told:
        service = Service.of({"NOTIFY_SOCKET": address})
        service.status("waits for wgctl0")
        service.ready()
        service.stopping()

        assert told() == ["STATUS=waits for wgctl0", "READY=1", "STOPPING=1"]


def test_the_same_status_is_told_once_and_on_one_line(tmp_path: Path) -> None:
    with systemd(str(tmp_path / "n")) as told:
        service = Service(str(tmp_path / "n"))
        for line in ("one\nREADY=1", "one\nREADY=1", "two"):
            service.status(line)

        assert told() == ["STATUS=one READY=1", "STATUS=two"]


def test_signs_of_life_are_told_no_oftener_than_the_watchdog_needs(tmp_path: Path) -> None:
    with systemd(str(tmp_path / "n")) as told:
        patient = Service(str(tmp_path / "n"), watchdog_s=3600)
        eager = Service(str(tmp_path / "n"), watchdog_s=0)
        for _ in range(5):
            patient.alive()

        assert told() == ["WATCHDOG=1"]

        for _ in range(5):
            eager.alive()

        assert told() == ["WATCHDOG=1"] * 5


@pytest.mark.parametrize(
    ("environment", "signs"),
    [
        ({"WATCHDOG_USEC": "2000000"}, 1),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, 1),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({}, 0),
    ],
)
def test_only_the_watched_process_gives_signs_of_life(
    tmp_path: Path, environment: dict[str, str], signs: int
) -> None:
    with systemd(str(tmp_path / "n")) as told:
        Service.of({"NOTIFY_SOCKET": str(tmp_path / "n"), **environment}).alive()

        assert len(told()) == signs


def test_what_systemd_is_too_busy_to_hear_is_told_with_the_next_sign_of_life(
    tmp_path: Path,
) -> None:
    """A READY=1 that is lost would end the role when its time to start is over."""
    address = str(tmp_path / "n")
    with systemd(address) as told:
        service = Service(address)
        full = fill(address)
        service.ready()
        service.status("one")
        service.status("two")

        assert len(told()) == full

        service.alive()
        service.alive()

        assert told() == ["READY=1\nSTATUS=two"]


def fill(address: str) -> int:
    """Send until the socket takes no more; return how many datagrams that were."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(address)
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sender.send(b"")
                sent += 1
        return sent


def test_without_systemd_it_is_silent_and_a_socket_that_is_gone_ends_nothing(
    tmp_path: Path,
) -> None:
    for service in (SILENT, Service.of({}), Service(str(tmp_path / "gone"), watchdog_s=0)):
        service.ready()
        service.alive()
        service.status("well")
        service.stopping()
