"""What is marked `kernel` or `guest`, run where it may: in a guest with Debian's own kernel."""

import re
from dataclasses import dataclass

import pytest

from tests.kernel import guest
from tests.kernel.guest import Boot, Outcome

pytestmark = [pytest.mark.network, pytest.mark.timeout(1300)]

# By file, since collecting all others takes the guest a minute.
ALONE = (
    "tests/drivers/test_memory.py",
    "tests/drivers/netlink/test_wireguard.py",
    "tests/daemon/test_devices.py",
    "tests/daemon/test_userspace.py",
    "tests/system/test_kernel.py",
    "tests/system/test_power_cut.py",
)
UNDER_SYSTEMD = ("tests/system/test_networkd.py",)


@dataclass(frozen=True)
class Run:
    """One boot, and the test files that it ran."""

    files: tuple[str, ...]
    outcome: Outcome


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "systemd"])
def run(boot: Boot, request: pytest.FixtureRequest) -> Run:
    files = UNDER_SYSTEMD if request.param else ALONE
    return Run(files, boot(guest.tests(*files), within_s=1200, systemd=request.param))


def test_what_wants_a_guest_passes_there(run: Run) -> None:
    assert run.outcome.status == 0
    assert re.search(r"=+ \d+ passed", run.outcome.said)


def test_nothing_of_it_is_left_out_there(run: Run) -> None:
    assert "SKIPPED" not in run.outcome.said
    for file in run.files:
        assert f"{file}::" in run.outcome.said


def test_every_file_with_such_tests_is_run() -> None:
    marks = ("mark." + "kernel", "mark." + "guest")
    marked = {
        str(path.relative_to(guest.ROOT))
        for path in (guest.ROOT / "tests").rglob("test_*.py")
        if any(mark in path.read_text() for mark in marks)
    }

    assert marked == {*ALONE, *UNDER_SYSTEMD}


def test_the_kernel_has_nothing_to_complain_of(run: Run) -> None:
    assert "wireguard: WireGuard" in run.outcome.log, "the log is not the guest's"
    assert guest.complaints(run.outcome.log) == []


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
