"""What is marked `kernel` or `guest`, run where it may: in a guest with Debian's own kernel."""

import re

import pytest

from tests.kernel import guest
from tests.kernel.guest import Boot, Outcome

pytestmark = [pytest.mark.network, pytest.mark.timeout(2000)]

# By file, since collecting all others takes the guest a minute. The last takes over the machine.
FILES = (
    "tests/drivers/test_handshakes.py",
    "tests/drivers/test_memory.py",
    "tests/drivers/netlink/test_wireguard.py",
    "tests/daemon/test_devices.py",
    "tests/daemon/test_userspace.py",
    "tests/system/test_kernel.py",
    "tests/system/test_killed.py",
    "tests/system/test_power_cut.py",
    "tests/system/test_networkd.py",
    "tests/system/test_wireguard.py",
)


@pytest.fixture(scope="module")
def outcome(boot: Boot) -> Outcome:
    """One boot for all of them: what they load, an emulated machine loads in a minute."""
    return boot(guest.tests(*FILES), within_s=1800, systemd=True)


def test_what_wants_a_guest_passes_there(outcome: Outcome) -> None:
    assert outcome.status == 0
    assert re.search(r"=+ \d+ passed", outcome.said)


def test_nothing_of_it_is_left_out_there(outcome: Outcome) -> None:
    assert "SKIPPED" not in outcome.said
    for file in FILES:
        assert f"{file}::" in outcome.said


def test_every_file_with_such_tests_is_run() -> None:
    marks = ("mark." + "kernel", "mark." + "guest")
    marked = {
        str(path.relative_to(guest.ROOT))
        for path in (guest.ROOT / "tests").rglob("test_*.py")
        if any(mark in path.read_text() for mark in marks)
    }

    assert marked == {*FILES}


def test_the_kernel_has_nothing_to_complain_of(outcome: Outcome) -> None:
    assert "wireguard: WireGuard" in outcome.log, "the log is not the guest's"
    assert guest.complaints(outcome.log) == []


def test_a_script_that_fails_and_a_kernel_that_warns_are_noticed(boot: Boot) -> None:
    script = "echo 'WARNING: CPU: 0 PID: 1 at test' > /dev/kmsg; echo said; exit 3\n"

    outcome = boot(script, within_s=200)

    assert outcome.status == 3
    assert "said" in outcome.said
    assert len(guest.complaints(outcome.log)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "[    1.0] WARNING: CPU: 0 PID: 9 at net/core/dev.c:1 foo",
        "[    1.0] BUG: kernel NULL pointer dereference",
        "[    1.0] Oops: 0000 [#1]",
        "[    1.0] unregister_netdevice: waiting for wg0 to become free",
    ],
)
def test_a_fault_of_the_kernels_is_a_complaint(line: str) -> None:
    assert guest.complaints(f"[    0.5] Booting\n{line}\n") == [line]


def test_a_quiet_log_has_none() -> None:
    assert guest.complaints("[    0.5] wireguard: Could not create IPv4 socket\n") == []
