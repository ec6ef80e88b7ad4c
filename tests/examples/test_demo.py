"""The demo does what it says, and leaves nothing behind, also when it is interrupted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import HANG_S

pytestmark = [pytest.mark.network, pytest.mark.timeout(180)]

DEMO = Path(__file__).parents[2] / "examples" / "demo"
WGCTL = Path(sys.executable).parent / "wgctl"


def start(output: Path, work: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen(
            [DEMO],
            env={**os.environ, "WGCTL": str(WGCTL), "TMPDIR": str(work)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )


def leftovers(pid: int) -> list[str]:
    """Return what a demo with the process id `pid` left: it names its hosts after that id."""
    hosts = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    folders = Path("/etc/netns")
    sockets = Path("/run/wireguard")
    listed = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True)
    return [
        *(line for line in listed.stdout.splitlines() if f"wireguard-go -f wgctl{pid}" in line),
        *(line for line in hosts.stdout.splitlines() if f"demo-{pid}-" in line),
        *(path.name for path in folders.glob(f"demo-{pid}-*")),
        *(path.name for path in sockets.glob(f"*{pid}.sock")),
    ]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """The demo's own temporary folder, which names its processes."""
    made = tmp_path / "work"
    made.mkdir()
    yield made
    listed = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True)
    assert [line for line in listed.stdout.splitlines() if str(made) in line] == []
    assert list(made.iterdir()) == []


def test_the_demo_shows_a_page_by_name_and_a_wall(tmp_path: Path, work: Path) -> None:
    output = tmp_path / "output"
    demo = start(output, work)

    status = demo.wait(150)

    shown = output.read_text()
    assert status == 0, shown
    assert "Hello from web.internal, over WireGuard." in shown
    assert "status: NXDOMAIN" in shown
    assert "(no answer, though mallory opened AllowedIPs to fd00::/8)" in shown
    assert leftovers(demo.pid) == []


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path, work: Path) -> None:
    output = tmp_path / "output"
    demo = start(output, work)
    deadline = time.monotonic() + HANG_S
    while "wg-quick up" not in output.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)

    demo.send_signal(signal.SIGINT)

    assert demo.wait(60) == 130, output.read_text()
    assert leftovers(demo.pid) == []
