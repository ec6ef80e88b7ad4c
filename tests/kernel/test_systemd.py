"""A guest that systemd runs, with a disk: what a host keeps over a power cut, and does at boot."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel import guest
from tests.kernel.guest import Boot, Outcome

pytestmark = [pytest.mark.network, pytest.mark.timeout(1000)]

BEFORE = f"""
ps -p 1 -o comm=
systemctl is-system-running --wait
find /etc/systemd/system -mindepth 1
cat > /etc/systemd/system/mine.service <<END
[Service]
Type=oneshot
ExecStart=/bin/echo mine has started
[Install]
WantedBy=multi-user.target
END
systemctl enable mine.service
echo kept > /var/lib/kept
sync
echo lost > /var/lib/lost
{guest.CUT}
"""

AFTER = """
cat /var/lib/kept /var/lib/lost
systemctl is-system-running --wait
echo clean > /var/lib/clean
"""


@dataclass(frozen=True)
class Boots:
    """One machine, before its power was cut and after, and once more after a clean end."""

    before: Outcome
    after: Outcome
    last: Outcome


@pytest.fixture(scope="module")
def boots(boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Boots:
    disk: Path = tmp_path_factory.mktemp("machine") / "disk"
    guest.make_disk(disk)
    return Boots(
        boot(BEFORE, within_s=300, systemd=True, disk=disk),
        boot(AFTER, within_s=300, systemd=True, disk=disk),
        boot("cat /var/lib/clean", within_s=300, disk=disk),
    )


def test_systemd_is_the_first_process_and_starts_all_it_has(boots: Boots) -> None:
    assert boots.before.said.splitlines().count("systemd") == 1
    assert boots.before.said.splitlines().count("running") == 1


def test_nothing_that_the_host_enabled_is_enabled_there(boots: Boots) -> None:
    assert "/etc/systemd/system/" not in boots.before.said.split("Created symlink")[0]


def test_what_was_written_to_the_disk_survives_a_power_cut_and_nothing_else(boots: Boots) -> None:
    assert "kept" in boots.after.said.splitlines()
    assert "lost" not in boots.after.said.splitlines()
    assert boots.after.status == 0


def test_all_that_was_written_survives_a_clean_end(boots: Boots) -> None:
    assert "clean" in boots.last.said.splitlines()


def test_what_was_enabled_is_started_at_boot(boots: Boots) -> None:
    assert "mine has started" in boots.after.journal
    assert "running" in boots.after.said.splitlines()


def test_the_kernel_has_nothing_to_complain_of(boots: Boots) -> None:
    assert "Linux version" in boots.before.log
    assert guest.complaints(boots.before.log + boots.after.log) == []
