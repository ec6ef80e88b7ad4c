"""A server as the README's guide makes it, word by word: its services after a reboot, and killed.

How soon a killed one serves again, a clock tells that counts instructions. What serves meanwhile is
the kernel. The guide's first command finds the release of these sources there, made by the same
command below a folder: what it fetches and compiles, the emulated machine would take two minutes
for, and `tests/systemd/test_killed.py` has it do that in the same guide.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel import guest
from tests.kernel.guest import Boot, Outcome
from tests.systemd.server import (
    FIRST,
    KILLS,
    ROLES,
    SCENE,
    UNINSTALL,
    UPGRADE,
    pings,
    restarts,
)

pytestmark = [pytest.mark.network, pytest.mark.timeout(4000)]

_FIRST = f"""
{FIRST}
systemctl --no-pager --failed
systemctl mask wgctl-controller.service
"""

_SECOND = f"""
{SCENE}
until_active gateway resolver internal-api
systemctl is-active wgctl-controller.service || true
laptop wg-quick up ./alice-laptop.conf
laptop ping -c 3 "$(net)::3"
echo "name $(names)"
systemctl unmask wgctl-controller.service
systemctl start wgctl.target
until_active controller
{KILLS}
begin_pings
(set -x; {UPGRADE}); say upgraded
until_active controller gateway resolver internal-api
end_pings upgrade
ls -d /opt/wgctl/release.*
wgctl status
systemctl --no-pager --failed
(set -x; {UNINSTALL}); say uninstalled
ls /opt/wgctl /usr/local/bin/wgctl /usr/local/lib/systemd/system/wgctl.target || true
ip link show wgctl0 || true
echo "tables: $(nft list tables)"
ls -d /etc/wgctl/wgctl.toml /var/lib/wgctl/gateway.key
"""


@dataclass(frozen=True)
class Server:
    """One machine: from nothing to a peer, and after a reboot by way of the kills to nothing."""

    first: Outcome
    second: Outcome


@pytest.fixture(scope="module")
def server(boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("server")
    disk, layer = folder / "disk", folder / "layer"
    _install_release(layer / "upper")
    guest.make_disk(disk, layer=layer)
    return Server(
        boot(_FIRST, within_s=1800, systemd=True, disk=disk, by_instructions=True),
        boot(_SECOND, within_s=1800, systemd=True, disk=disk, by_instructions=True),
    )


def _install_release(root: Path) -> None:
    """Have the release of these sources in /opt/wgctl below `root`, and nothing else."""
    root.mkdir(parents=True)
    root.chmod(0o755)  # The guest's own root has it, whatever the umask.
    wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(guest.CACHE / "wheels")}
    environment = {**os.environ, **wheels, "DESTDIR": str(root)}
    subprocess.run([guest.ROOT / "systemd/install"], env=environment, check=True)
    shutil.rmtree(root / "usr")


def test_the_guide_holds_word_by_word(server: Server) -> None:
    """Each of its commands ended well, or the shell would have ended there."""
    assert (server.first.status, server.second.status) == (0, 0)


def test_a_peer_reaches_the_network_and_its_names(server: Server) -> None:
    assert re.search(r"^name fdaa:", server.first.said, re.MULTILINE)
    assert '"peer":"alice-laptop"' in server.first.said.replace(" ", "")


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_role_is_back_and_serves_within_five_seconds(
    server: Server, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a machine of 1e9 instructions a second, whatever else this host does."""
    restart = restarts(server.second.said)[role]
    with capsys.disabled():
        sys.stdout.write(f"\n  {role}: {restart}\n")

    assert restart.process_s <= 5
    assert restart.serving_s <= 5


@pytest.mark.parametrize("what", ["kills", "upgrade"])
def test_the_tunnel_drops_no_ping(server: Server, what: str) -> None:
    sent, received = pings(server.first.said + server.second.said, what)

    assert sent == received > 20


def test_after_a_reboot_names_and_tunnels_work_without_the_controller(server: Server) -> None:
    before_unmask = server.second.said.split("Removed", 1)[0]
    assert "3 received, 0% packet loss" in before_unmask
    assert re.search(r"^name fdaa:", before_unmask, re.MULTILINE)
    assert "inactive" in before_unmask.splitlines()


def test_no_unit_has_failed_and_no_role_has_shown_a_traceback(server: Server) -> None:
    for outcome in (server.first, server.second):
        assert "0 loaded units listed" in outcome.said
        assert "Traceback" not in outcome.journal + outcome.said


def test_of_the_same_sources_no_other_release_is_made(server: Server) -> None:
    """Neither by the first command nor by the upgrade: the one that was there is used."""
    found = re.findall(r"^/opt/wgctl/release\.\w+\s*$", server.second.said, re.MULTILINE)

    assert len(found) == 1


def test_what_was_installed_is_gone_and_state_and_settings_stay(server: Server) -> None:
    after = server.second.said.rpartition("uninstalled")[2]
    for gone in ("/opt/wgctl", "/usr/local/bin/wgctl", "wgctl.target"):
        assert re.search(rf"cannot access '\S*{gone}'", after)
    assert 'Device "wgctl0" does not exist' in after
    assert "tables: \n" in after.replace("\r", "")
    assert {"/etc/wgctl/wgctl.toml", "/var/lib/wgctl/gateway.key"} <= {*after.split()}


def test_the_kernel_has_nothing_to_complain_of(server: Server) -> None:
    assert "wireguard: WireGuard" in server.first.log
    assert guest.complaints(server.first.log + server.second.log) == []
