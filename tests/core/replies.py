"""A sample network, and the reply to each kind of question in it.

It has one app with two started machines on two peers, one without any, a peer whose time is over,
and a list too long for a datagram. In another view of it every machine of the first app fails its
checks.
"""

from ipaddress import IPv6Address, IPv6Network

import dns.reversename

from peers.keys import PublicKey
from peers.names import Label
from wgctl.core.model import App, Machine, MachineState, Network, Peer, Port, Protocol
from wgctl.core.view import build

__all__ = [
    "CROWD",
    "NAMES",
    "NETWORK",
    "NO",
    "NOW",
    "NX",
    "OK",
    "SICK",
    "VIEW",
    "WEB",
    "machine",
    "peer",
    "reverse",
]

KEY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
NOW = 1_000_000


def peer(number: int, name: str, *, expires_at: int | None = None) -> Peer:
    address = IPv6Address(f"fdaa:0:18:10::{number:x}")
    return Peer(number, 1, 1, 1, Label(name), "operator", KEY, address, 0, expires_at)


def machine(number: int, app_id: int, peer_id: int, state: MachineState) -> Machine:
    names = Label(f"m{number}"), Label("ams"), Label("app")
    ports = (Port(Label("http"), 8000 + number, Protocol.TCP),)
    return Machine(number, 1, 1, app_id, peer_id, *names, ports, {"role": "a"}, state, 0)


NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:18::/48"), 0)
PEERS = [peer(2, "alice"), peer(3, "bob"), peer(4, "gone", expires_at=NOW)]
SERVED = IPv6Address("fdaa:0:18:1::2")
APPS = [App(1, 1, 1, Label("web"), 0, SERVED), App(2, 1, 1, Label("idle"), 0)]
MACHINES = [
    machine(1, 1, 3, MachineState.STARTED),
    machine(2, 1, 2, MachineState.STARTED),
    machine(3, 1, 4, MachineState.STARTED),
    machine(4, 2, 2, MachineState.STOPPED),
]
VIEW = build(NETWORK, PEERS, APPS, MACHINES, now=NOW)
SICK = build(NETWORK, PEERS, APPS, MACHINES, now=NOW, failing=frozenset({1, 2}))
CROWD = build(
    NETWORK,
    [peer(number, f"peer{number:03}") for number in range(2, 402)],
    [App(1, 1, 1, Label("web"), 0)],
    [machine(number, 1, number, MachineState.STARTED) for number in range(2, 102)],
    now=NOW,
)

NET = "8.1.0.0.0.0.0.0.a.a.d.f.ip6.arpa"
NUMBERS = f"_api.internal. hostmaster.internal. {NOW} 3600 600 86400 5"
ELSEWHERE = "_api.internal. hostmaster.internal. 1 3600 600 86400 5"
FLYCAST_SOA = f"flycast. 5 IN SOA {NUMBERS}"
INTERNAL_SOA = f"internal. 5 IN SOA {NUMBERS}"
REVERSE_SOA = f"{NET}. 5 IN SOA {NUMBERS}"
ULA_SOA = f"d.f.ip6.arpa. 5 IN SOA {ELSEWHERE}"


def reverse(address: str) -> str:
    return dns.reversename.from_address(address).to_text(omit_final_dot=True)


SERVICE = reverse("fdaa:0:18:1::2")
ALICE, API = reverse("fdaa:0:18:10::2"), reverse("fdaa:0:18::3")
GONE, FOREIGN = reverse("fdaa:0:18:10::4"), reverse("fdaa:0:19:10::2")
WEB = ["web.internal. 5 IN AAAA fdaa:0:18:10::2", "web.internal. 5 IN AAAA fdaa:0:18:10::3"]
OK, NX, NO = "NOERROR", "NXDOMAIN", "REFUSED"

# name, type, rcode, answer section, SOA in the authority section
NAMES: list[tuple[str, str, str, list[str], str]] = [
    # What exists.
    ("web.internal", "AAAA", OK, WEB, ""),
    ("alice._peer.internal", "AAAA", OK, ["alice._peer.internal. 5 IN AAAA fdaa:0:18:10::2"], ""),
    ("_api.internal", "AAAA", OK, ["_api.internal. 5 IN AAAA fdaa:0:18::3"], ""),
    ("_apps.internal", "TXT", OK, ['_apps.internal. 5 IN TXT "idle,web"'], ""),
    ("_peer.internal", "TXT", OK, ['_peer.internal. 5 IN TXT "alice,bob"'], ""),
    (ALICE, "PTR", OK, [f"{ALICE}. 5 IN PTR alice._peer.internal."], ""),
    (API, "PTR", OK, [f"{API}. 5 IN PTR _api.internal."], ""),
    ("internal", "SOA", OK, [INTERNAL_SOA], ""),
    ("internal", "NS", OK, ["internal. 5 IN NS _api.internal."], ""),
    (NET, "SOA", OK, [REVERSE_SOA], ""),
    (NET, "NS", OK, [f"{NET}. 5 IN NS _api.internal."], ""),
    # Below an app.
    ("global.web.internal", "AAAA", OK, [f"global.{line}" for line in WEB], ""),
    ("ams.web.internal", "AAAA", OK, [f"ams.{line}" for line in WEB], ""),
    ("app.process.web.internal", "AAAA", OK, [f"app.process.{line}" for line in WEB], ""),
    ("m1.vm.web.internal", "AAAA", OK, [f"m1.vm.{WEB[1]}"], ""),
    ("top9.nearest.of.web.internal", "AAAA", OK, [f"top9.nearest.of.{line}" for line in WEB], ""),
    ("top1.nearest.of.web.internal", "AAAA", OK, [f"top1.nearest.of.{WEB[0]}"], ""),
    (
        "A.role.kv._METADATA.web.internal",
        "AAAA",
        OK,
        [f"A.role.kv._METADATA.{line}" for line in WEB],
        "",
    ),
    (
        "role.kv._metadata.web.internal",
        "AAAA",
        OK,
        [f"role.kv._metadata.{line}" for line in WEB],
        "",
    ),
    (
        "_http._tcp.web.internal",
        "SRV",
        OK,
        [
            "_http._tcp.web.internal. 5 IN SRV 0 1 8001 m1.vm.web.internal.",
            "_http._tcp.web.internal. 5 IN SRV 0 1 8002 m2.vm.web.internal.",
        ],
        "",
    ),
    ("regions.web.internal", "TXT", OK, ['regions.web.internal. 5 IN TXT "ams"'], ""),
    ("all.regions.idle.internal", "TXT", OK, ['all.regions.idle.internal. 5 IN TXT "ams"'], ""),
    ("vms.web.internal", "TXT", OK, ['vms.web.internal. 5 IN TXT "m1 ams,m2 ams"'], ""),
    ("all.vms.idle.internal", "TXT", OK, ['all.vms.idle.internal. 5 IN TXT "m4 ams"'], ""),
    (
        "_instances.internal",
        "TXT",
        OK,
        [
            (
                '_instances.internal. 5 IN TXT "instance=m1,app=web,ip=fdaa:0:18:10::3,region=ams;'
                'instance=m2,app=web,ip=fdaa:0:18:10::2,region=ams"'
            )
        ],
        "",
    ),
    # The case of the question comes back, the case of the records' own names is ours.
    (
        "WeB.iNtErNaL",
        "AAAA",
        OK,
        [line.replace("web.internal", "WeB.iNtErNaL") for line in WEB],
        "",
    ),
    (ALICE.upper(), "PTR", OK, [f"{ALICE.upper()}. 5 IN PTR alice._peer.internal."], ""),
    # The app's service address: for what it leads to, see `wgctl.core.firewall`.
    ("web.flycast", "AAAA", OK, ["web.flycast. 5 IN AAAA fdaa:0:18:1::2"], ""),
    (SERVICE, "PTR", OK, [f"{SERVICE}. 5 IN PTR web.flycast."], ""),
    ("flycast", "SOA", OK, [f"flycast. 5 IN SOA {NUMBERS}"], ""),
    ("web.flycast", "A", OK, [], FLYCAST_SOA),
    ("flycast", "AAAA", OK, [], FLYCAST_SOA),
    ("idle.flycast", "AAAA", NX, [], FLYCAST_SOA),
    ("x.web.flycast", "AAAA", NX, [], FLYCAST_SOA),
    # The name exists, the type does not (RFC 4074: an A query must not hide the AAAA).
    ("web.internal", "A", OK, [], INTERNAL_SOA),
    ("web.internal", "TXT", OK, [], INTERNAL_SOA),
    ("web.internal", "HTTPS", OK, [], INTERNAL_SOA),
    ("web.internal", "TYPE1000", OK, [], INTERNAL_SOA),
    ("web.internal", "CNAME", OK, [], INTERNAL_SOA),
    ("web.internal", "DS", OK, [], INTERNAL_SOA),
    ("idle.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("ams.idle.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("m4.vm.idle.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("top1.nearest.of.idle.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("_http._tcp.idle.internal", "SRV", OK, [], INTERNAL_SOA),
    ("_http._tcp.web.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("regions.idle.internal", "TXT", OK, [], INTERNAL_SOA),
    ("vms.idle.internal", "TXT", OK, [], INTERNAL_SOA),
    ("vms.web.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("_peer.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("_apps.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("internal", "AAAA", OK, [], INTERNAL_SOA),
    (ALICE, "AAAA", OK, [], REVERSE_SOA),
    # Nothing at the name, something below it.
    ("vm.web.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("process.web.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("nearest.of.web.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("of.web.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("kv._metadata.web.internal", "AAAA", OK, [], INTERNAL_SOA),
    ("_metadata.web.internal", "TXT", OK, [], INTERNAL_SOA),
    ("_tcp.web.internal", "SRV", OK, [], INTERNAL_SOA),
    ("all._instances.internal", "AAAA", OK, [], INTERNAL_SOA),
    (ALICE.split(".", 1)[1], "PTR", OK, [], REVERSE_SOA),
    (f"0.1.0.0.{NET}", "NS", OK, [], REVERSE_SOA),
    ("a.a.d.f.ip6.arpa", "PTR", OK, [], ULA_SOA),
    ("d.f.ip6.arpa", "PTR", OK, [], ULA_SOA),
    # One set of records is enough for ANY (RFC 8482).
    ("web.internal", "ANY", OK, WEB, ""),
    ("internal", "ANY", OK, [INTERNAL_SOA], ""),
    ("idle.internal", "ANY", OK, [], INTERNAL_SOA),
    # No such name, and nothing below what holds no names (RFC 8020).
    ("nope.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("x.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("_udp.web.internal", "SRV", NX, [], INTERNAL_SOA),
    ("_ssh._tcp.web.internal", "SRV", NX, [], INTERNAL_SOA),
    ("fra.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("worker.process.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("m4.vm.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("m3.vm.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("b.role.kv._metadata.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("top0.nearest.of.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("all.internal", "TXT", NX, [], INTERNAL_SOA),
    ("all.web.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("all._apps.internal", "TXT", NX, [], INTERNAL_SOA),
    ("nope._peer.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("gone._peer.internal", "AAAA", NX, [], INTERNAL_SOA),
    ("alice.internal", "AAAA", NX, [], INTERNAL_SOA),
    (GONE, "PTR", NX, [], REVERSE_SOA),
    (f"x.{NET}", "PTR", NX, [], REVERSE_SOA),
    # One label with a dot in it is not three labels.
    (r"web\.internal", "AAAA", NO, [], ""),
    (r"alice\._peer.internal", "AAAA", NX, [], INTERNAL_SOA),
    (r"\000.internal", "AAAA", NX, [], INTERNAL_SOA),
    # Another network's reverse zone, an unused one, and names that must not leave.
    (FOREIGN, "PTR", NX, [], ULA_SOA),
    (reverse("fdaa:0:19::3"), "PTR", NX, [], ULA_SOA),
    (reverse("fd12:3456:789a::1"), "PTR", NX, [], ULA_SOA),
    ("shop.flycast", "AAAA", NX, [], FLYCAST_SOA),
    ("flycast", "NS", OK, ["flycast. 5 IN NS _api.internal."], ""),
    ("printer.local", "AAAA", NX, [], f"local. 5 IN SOA {ELSEWHERE}"),
    ("localhost", "A", OK, ["localhost. 5 IN A 127.0.0.1"], ""),
    ("x.LOCALHOST", "AAAA", OK, ["x.LOCALHOST. 5 IN AAAA ::1"], ""),
    ("localhost", "MX", OK, [], f"localhost. 5 IN SOA {ELSEWHERE}"),
    ("a.b.onion", "A", NX, [], f"onion. 5 IN SOA {ELSEWHERE}"),
    ("x.home.arpa", "A", NX, [], f"home.arpa. 5 IN SOA {ELSEWHERE}"),
    (reverse("10.1.2.3"), "PTR", NX, [], f"10.in-addr.arpa. 5 IN SOA {ELSEWHERE}"),
    (reverse("172.31.0.1"), "PTR", NX, [], f"31.172.in-addr.arpa. 5 IN SOA {ELSEWHERE}"),
    (reverse("100.64.0.1"), "PTR", NX, [], f"64.100.in-addr.arpa. 5 IN SOA {ELSEWHERE}"),
    (reverse("fe80::1"), "PTR", NX, [], f"8.e.f.ip6.arpa. 5 IN SOA {ELSEWHERE}"),
    # Names of others, without upstreams.
    ("example.com", "A", NO, [], ""),
    (".", "NS", NO, [], ""),
    ("arpa", "SOA", NO, [], ""),
    ("internal.example.com", "AAAA", NO, [], ""),
    ("xinternal", "AAAA", NO, [], ""),
    (reverse("172.32.0.1"), "PTR", NO, [], ""),
    # Whole zones are nobody's.
    ("internal", "AXFR", NO, [], ""),
    (NET, "IXFR", NO, [], ""),
    ("example.com", "AXFR", NO, [], ""),
    # No questions about names.
    ("internal", "MAILB", "NOTIMP", [], ""),
    ("internal", "TKEY", "NOTIMP", [], ""),
    ("internal", "TSIG", "FORMERR", [], ""),
    ("internal", "OPT", "FORMERR", [], ""),
]
