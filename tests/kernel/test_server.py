"""A server as the README's guide makes it, word by word: its services, killed, and after a reboot.

An emulated processor starts a program in some ten seconds, and asking systemd takes it one: what is
timed is when systemd has the next process, and what serves meanwhile is the kernel.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel import guest
from tests.kernel.guest import ROOT, Boot, Outcome
from tests.systemd import guide

pytestmark = [pytest.mark.network, pytest.mark.timeout(4000)]

ROLES = ("controller", "gateway", "resolver", "internal-api")
WHEELS = guest.CACHE / "wheels"

INSTALL, FIRST_PEER, LOOK, UPGRADE, UNINSTALL = guide.blocks()

# A laptop elsewhere, and pip's packages, since a guest has no way out.
SCENE = f"""
set -eu
cd {ROOT}
export PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}
ip netns add laptop
ip link add uplink type veth peer name eth0 netns laptop
ip addr add 203.0.113.7/24 dev uplink
ip link set uplink up
ip -n laptop addr add 203.0.113.9/24 dev eth0
ip -n laptop link set eth0 up
ip -n laptop link set lo up
laptop() {{ ip netns exec laptop "$@"; }}
net() {{ sed -n 's|^AllowedIPs = \\(.*\\)::/48|\\1|p' alice-laptop.conf; }}
uptime() {{ cut -d ' ' -f 1 /proc/uptime; }}
say() {{ echo "at $(uptime) s: $*"; }}
until_active() {{
	for unit; do
		for _ in $(seq 150); do
			systemctl is-active --quiet "wgctl-$unit" && break
			sleep 3
		done
		systemctl is-active "wgctl-$unit"
	done
}}
begin_pings() {{
	ip netns exec laptop ping -i 0.2 "$(net)::3" > /run/pings &
	pings=$!
}}
end_pings() {{
	kill -INT $pings
	wait $pings || true
	echo "pings $1: $(grep transmitted /run/pings)"
}}
names() {{
	laptop dig +short +tries=8 alice-laptop._peer.internal AAAA "@$(net)::3"
}}
"""

KILLS = """
for role in controller gateway resolver internal-api; do
	unit=wgctl-$role.service
	old=$(systemctl show --property MainPID --value $unit)
	began=$(uptime)
	kill -9 "$old"
	new=$old
	while [ "$new" = "$old" ] || [ "$new" = 0 ]; do
		sleep 0.5
		new=$(systemctl show --property MainPID --value $unit)
	done
	echo "back $role $began $(uptime)"
done
until_active controller gateway resolver internal-api
say "all serve"
"""

FIRST = f"""
{SCENE}
(set -x; {INSTALL}); say installed
systemctl is-active wgctl.target
(set -x; {FIRST_PEER}); say enrolled
laptop wg-quick up ./alice-laptop.conf
laptop ping -c 3 "$(net)::3"
echo "name $(names)"
laptop curl -sS --resolve "_api.internal:4280:[$(net)::3]" -H "Wgctl-Request: 1" \\
	http://_api.internal:4280/v1/self
echo
begin_pings
{KILLS}
end_pings kills
echo "name $(names)"
(set -x; {LOOK})
systemctl --no-pager --failed
systemctl mask wgctl-controller.service
say done
"""

SECOND = f"""
{SCENE}
until_active gateway resolver internal-api
systemctl is-active wgctl-controller.service || true
laptop wg-quick up ./alice-laptop.conf
laptop ping -c 3 "$(net)::3"
echo "name $(names)"
begin_pings
systemctl unmask wgctl-controller.service
(set -x; {UPGRADE}); say upgraded
until_active controller gateway resolver internal-api
end_pings upgrade
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
    """One machine: from nothing to the kills, and after a reboot to nothing."""

    first: Outcome
    second: Outcome


@pytest.fixture(scope="module")
def server(boot: Boot, tmp_path_factory: pytest.TempPathFactory) -> Server:
    disk: Path = tmp_path_factory.mktemp("server") / "disk"
    guest.make_disk(disk)
    return Server(
        boot(FIRST, within_s=1800, systemd=True, disk=disk),
        boot(SECOND, within_s=1800, systemd=True, disk=disk),
    )


def test_the_guide_holds_word_by_word(server: Server) -> None:
    """Each of its commands ended well, or the shell would have ended there."""
    assert (server.first.status, server.second.status) == (0, 0)


def test_a_peer_reaches_the_network_and_its_names(server: Server) -> None:
    assert re.search(r"^name fdaa:", server.first.said, re.MULTILINE)
    assert '"peer":"alice-laptop"' in server.first.said.replace(" ", "")


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_role_is_back_at_once(server: Server, role: str) -> None:
    (began, back) = re.findall(rf"^back {role} (\S+) (\S+)$", server.first.said, re.MULTILINE)[0]
    assert float(back) - float(began) < 60


@pytest.mark.parametrize("what", ["kills", "upgrade"])
def test_the_tunnel_drops_no_ping(server: Server, what: str) -> None:
    said = server.first.said + server.second.said
    (told,) = re.findall(rf"^pings {what}: (.*)$", said, re.MULTILINE)
    sent, received = map(int, re.findall(r"(\d+) (?:packets|received)", told))
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
