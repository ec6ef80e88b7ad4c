"""Which interfaces go on taking router advertisements once the host forwards."""

import subprocess
from pathlib import Path

import pytest

UPLINKS = Path(__file__).parents[2] / "systemd/uplinks"

# accept_ra and forwarding of each interface.
LINKS = {
    "always": (2, 0),
    "always-forwards": (2, 1),
    "asks": (1, 0),
    "ignores": (1, 1),
    "never": (0, 1),
    **dict.fromkeys(("all", "default", "lo", "wgctl0"), (1, 0)),
}


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A folder like the kernel's."""
    folder = tmp_path / "conf"
    for name, (accept_ra, forwarding) in LINKS.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "accept_ra").write_text(f"{accept_ra}\n")
        (folder / name / "forwarding").write_text(f"{forwarding}\n")
    return folder


def uplinks(before: Path, kernel: Path) -> set[str]:
    """Return the names for which it writes a line."""
    done = subprocess.run([UPLINKS, before, kernel], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    names = [line.split("/")[3] for line in lines]
    assert lines == [f"-net/ipv6/conf/{name}/accept_ra = 2" for name in names]
    return set(names)


def test_what_takes_none_while_it_forwards_is_not_made_to(kernel: Path, tmp_path: Path) -> None:
    """It has no say in routes today: it would get one by wgctl being installed."""
    assert uplinks(tmp_path / "none", kernel) == {"always", "always-forwards", "asks"}


def test_what_was_written_before_stays_unless_it_was_switched_off(
    kernel: Path, tmp_path: Path
) -> None:
    """By an upgrade everything forwards, because of us; and an uplink may be unplugged."""
    (kernel / "asks/forwarding").write_text("1\n")
    before = tmp_path / "50-wgctl.conf"
    before.write_text(
        "-net/ipv6/conf/asks/accept_ra = 2\n"
        "-net/ipv6/conf/never/accept_ra = 2\n"
        "-net/ipv6/conf/away.100/accept_ra = 2\n"
        "net.ipv6.conf.all.forwarding = 1\n"
    )

    assert uplinks(before, kernel) == {"always", "always-forwards", "asks", "away.100"}
    assert uplinks(tmp_path / "none", kernel) == {"always", "always-forwards"}


def test_the_kernel_here_is_read(tmp_path: Path) -> None:
    done = subprocess.run([UPLINKS, tmp_path / "none"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
