"""A server as the README's guide makes it, and each of its roles killed: the script, and its times.

A laptop elsewhere reaches it through a tunnel, and pings all the while.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.systemd import guide

__all__ = [
    "CA",
    "FIRST",
    "INSTALL",
    "KILLS",
    "ROLES",
    "SCENE",
    "UNINSTALL",
    "UPGRADE",
    "Restart",
    "pings",
    "restarts",
]

ROOT = Path(__file__).parents[2]
ROLES = ("controller", "gateway", "resolver", "internal-api")

INSTALL, FIRST_PEER, LOOK, UPGRADE, UNINSTALL = guide.blocks()

# systemd's own: since the boot in microseconds, and of the processor in nanoseconds.
_ENDED, _STARTED = "ActiveExitTimestampMonotonic", "ExecMainStartTimestampMonotonic"
_SERVES, _USED = "ActiveEnterTimestampMonotonic", "CPUUsageNSec"
_TIMES = (_ENDED, _STARTED, _SERVES, _USED)

SCENE = f"""
set -eu
cd {ROOT}
# The host has no way out.
export PIP_NO_INDEX=1 PIP_FIND_LINKS={ROOT}/.cache/kernel/wheels
ip netns add laptop
ip link add uplink type veth peer name eth0 netns laptop
ip addr add 203.0.113.7/24 dev uplink
ip link set uplink up
ip -n laptop addr add 203.0.113.9/24 dev eth0
ip -n laptop link set eth0 up
ip -n laptop link set lo up
laptop() {{ ip netns exec laptop "$@"; }}
net() {{ sed -n 's|^AllowedIPs = \\(.*\\)::/48|\\1|p' alice-laptop.conf; }}
say() {{ echo "at $(cut -d ' ' -f 1 /proc/uptime) s: $*"; }}
# What is starting is waited for; what is not would be hidden by a start.
until_active() {{
	for role; do
		case $(systemctl is-active "wgctl-$role") in
		active) ;;
		activating | deactivating) systemctl start "wgctl-$role" ;;
		*) systemctl status "wgctl-$role"; exit 1 ;;
		esac
		systemctl is-active "wgctl-$role"
	done
}}
main_pid() {{ systemctl show --property MainPID --value "wgctl-$1"; }}
kill_each() {{
	for role in {" ".join(ROLES)}; do
		pid=$(main_pid "$role")
		kill -9 "$pid"
		while [ "$(main_pid "$role")" = "$pid" ]; do sleep 0.2; done
		until_active "$role"
		systemctl show --property {",".join(_TIMES)} "wgctl-$role" | sed "s/^/after kill: $role /"
	done
}}
begin_pings() {{
	ip netns exec laptop ping -i 0.2 "$(net)::3" > /run/pings &
	pings=$!
}}
# What is on its way at the end is not lost: told is how many were sent up to the last that was
# answered, and that is one which was sent after all else was done.
end_pings() {{
	before=$(grep -c ttl= /run/pings)
	for _ in $(seq 300); do
		[ "$(grep -c ttl= /run/pings)" -gt $((before + 1)) ] || sleep 0.2
	done
	[ "$(grep -c ttl= /run/pings)" -gt $((before + 1)) ]
	kill -INT $pings
	wait $pings || true
	echo "pings $1: $(sed -n 's/.*icmp_seq=\\([0-9]*\\) ttl=.*/\\1/p' /run/pings |
		sort -nu | awk '{{ last = $1 }} END {{ print last, "packets,", NR, "received" }}')"
}}
names() {{
	laptop dig +short +tries=8 alice-laptop._peer.internal AAAA "@$(net)::3"
}}
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
"""

KILLS = f"""
begin_pings
kill_each
end_pings kills
say "all serve"
resolver=$(main_pid resolver)
answering=$(pgrep -P "$resolver" | head -n 1)
for process in "$resolver" "$answering"; do
	turn=$(sed -n 's/^se.slice *: *//p' "/proc/$process/sched")
	echo "scheduled $(ps -o cls=,ni= -p "$process") $turn"
done
echo "name $(names)"
(set -x; {LOOK})
systemctl --no-pager --failed
"""

_PEBBLE = """{"pebble": {
"listenAddress": "203.0.113.9:14000", "managementListenAddress": "203.0.113.9:15000",
"certificate": "/run/ca.pem", "privateKey": "/run/ca.key", "httpPort": 80, "tlsPort": 443}}"""

CA = f"""
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \\
	-addext subjectAltName=IP:203.0.113.9 -keyout /run/ca.key -out /run/ca.pem 2>/dev/null
install -m 644 /run/ca.pem /etc/ssl/own-ca.pem
cat >/run/pebble.json <<'END'
{_PEBBLE}
END
cat >>/etc/wgctl/wgctl.toml <<'END'
[api]
listen = "[::]:443"
names = ["vpn.example.org"]
acme = "https://203.0.113.9:14000/dir"
acme_ca = "/etc/ssl/own-ca.pem"
END
systemctl restart wgctl-controller
until wgctl status | grep 'no certificate issued: 203.0.113.9:14000: not reached'; do
	sleep 0.2
done
wgctl doctor | grep 'API from elsewhere' | sed 's/^/before: /'
laptop pebble-challtestsrv -dns01 203.0.113.9:53 -management 203.0.113.9:8055 -http01 "" \\
	-https01 "" -tlsalpn01 "" -defaultIPv4 203.0.113.7 -defaultIPv6 "" >/run/names.log 2>&1 &
names=$!
laptop env PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 \\
	pebble -config /run/pebble.json -dnsserver 203.0.113.9:53 >/run/pebble.log 2>&1 &
pebble=$!
until laptop curl -fsk https://203.0.113.9:15000/roots/0 >/run/roots.pem; do sleep 0.2; done
# What the README says for those who do not want to wait.
kept=/var/lib/wgctl/controller/acme
rm $kept/standing.json
systemctl restart wgctl-controller
until [ -e $kept/certificate.pem ] || grep -q '"problem": "203' $kept/standing.json; do
	sleep 0.2
done
ask() {{ laptop curl -sS --cacert /run/roots.pem -o /dev/null -w '%{{http_code}}\n' "$@"; }}
until [ "$(ask --connect-to ::203.0.113.7: https://vpn.example.org/v1/orgs)" = 401 ]; do
	sleep 0.2
done
say "a CA vouches for vpn.example.org"
wgctl doctor | grep 'API from elsewhere' | sed 's/^/after: /'
stat -c 'kept %n %U %a' $kept $kept/*
kill $pebble $names
"""


@dataclass(frozen=True, slots=True)
class Restart:
    """How a killed role came back: seconds from its end to the next process, and to READY=1."""

    process_s: float
    serving_s: float
    processor_s: float
    """What that took of the processor, whatever else ran."""

    def __str__(self) -> str:
        return (
            f"the next process after {self.process_s:.2f} s, serving after {self.serving_s:.2f} s,"
            f" {self.processor_s:.2f} s of them the processor's"
        )


def restarts(said: str) -> Mapping[str, Restart]:
    """Return how each role came back in what `kill_each` said, by systemd's own times."""
    found: dict[str, dict[str, int]] = {}
    told = re.findall(r"^after kill: (\S+) (\w+)=(\d+)\s*$", said, re.MULTILINE)
    for role, name, number in told:
        found.setdefault(role, {})[name] = int(number)
    return {role: _restart(times) for role, times in found.items()}


def _restart(times: Mapping[str, int]) -> Restart:
    ended = times[_ENDED]
    return Restart(
        (times[_STARTED] - ended) / 1e6, (times[_SERVES] - ended) / 1e6, times[_USED] / 1e9
    )


def pings(said: str, what: str) -> tuple[int, int]:
    """Return how many pings were sent and answered while `what` was done."""
    (told,) = re.findall(rf"^pings {what}: (.*)$", said, re.MULTILINE)
    sent, received = map(int, re.findall(r"(\d+) (?:packets|received)", told))
    return sent, received
