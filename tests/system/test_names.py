"""Every kind of name, asked with dig over a real tunnel.

Names of others are asked of an Unbound on the gateway's host. The sample app has a started machine
in ams, one in fra and a stopped one in iad; another network has an app and a peer of names that
this one has not.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.drivers.upstream.servers import certified
from tests.system.hosts import Gateway, Host, Lab, eventually
from tests.system.unbound import UNBOUND, write_config

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

MACHINES = [
    ("web-1", "ams", "server-1", ["--port", "http=80", "--metadata", "role=primary"]),
    ("web-2", "fra", "server-2", ["--port", "http=8080", "--process-group", "worker"]),
    ("web-3", "iad", "server-2", ["--port", "dns=53/udp"]),
]


@dataclass
class Scene:
    """A network with an app, and a client in it."""

    gateway: Gateway
    alice: Host
    resolver: str
    addresses: dict[str, str]
    upstream: subprocess.Popen[bytes]

    def dig(self, name: str, type_: str) -> list[str]:
        """Return the answer's records in short form, sorted, peers' addresses as their names."""
        printed = self.alice.dig(name, type_, at=self.resolver)
        for peer, address in self.addresses.items():
            printed = printed.replace(address, peer)
        return sorted(printed.splitlines())

    def status(self, name: str, type_: str) -> str:
        return self.alice.dig_status(name, type_, at=self.resolver)


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway = lab.gateway
    upstream = _start_upstream(lab)
    gateway.write_config(
        more='distances = { iad = 9000 }\nupstreams = ["127.0.0.1:5301", "127.0.0.1:5302"]'
    )
    gateway.init()
    gateway.serve()
    gateway.wgctl("org", "add", "acme")
    alice, config = lab.client(), lab.config_path("alice")
    tunnel = gateway.add_peer("acme", "alice", config=config)["tunnel"]
    addresses = {"alice": tunnel["address"], "resolver": tunnel["resolver"]}
    for server in ("server-1", "server-2"):
        added = gateway.add_peer("acme", server, config=lab.config_path(f"s{server[-1]}"))
        addresses[server] = added["tunnel"]["address"]
    gateway.wgctl("app", "add", "web", "--org", "acme")
    for name, region, peer, more in MACHINES:
        words = ("web", name, "--peer", peer, "--region", region, *more)
        gateway.wgctl("machine", "add", *words, "--org", "acme")
    gateway.wgctl("machine", "stop", "web-3", "--org", "acme")
    gateway.wgctl("network", "add", "other", "--org", "acme")
    gateway.wgctl("app", "add", "shop", "--org", "acme", "--network", "other")
    gateway.wait_ready("resolver")
    alice.tunnel_up(config)
    eventually(lambda: alice.pings(tunnel["resolver"]), what="the tunnel works")
    yield Scene(gateway, alice, tunnel["resolver"], addresses, upstream)
    gateway.wgctl("down", check=False)


def _start_upstream(lab: Lab) -> subprocess.Popen[bytes]:
    """Start the second of two upstreams; where the first should be nobody listens."""
    folder = lab.folder / "unbound"
    folder.mkdir()
    certificate = certified(folder, name="dns.example")
    config = write_config(folder, port=5302, tls_port=5303, certificate=certificate)
    return lab.gateway.host.start(UNBOUND, "-c", str(config), log=folder / "log")


@pytest.mark.parametrize(
    ("name", "type_", "records"),
    [
        ("web.internal", "AAAA", ["server-1", "server-2"]),
        ("global.web.internal", "AAAA", ["server-1", "server-2"]),
        ("FRA.web.internal", "AAAA", ["server-2"]),
        ("worker.process.web.internal", "AAAA", ["server-2"]),
        ("web-1.vm.web.internal", "AAAA", ["server-1"]),
        ("top1.nearest.of.web.internal", "AAAA", ["server-1"]),
        ("top2.nearest.of.web.internal", "AAAA", ["server-1", "server-2"]),
        ("primary.role.kv._metadata.web.internal", "AAAA", ["server-1"]),
        ("role.kv._metadata.web.internal", "AAAA", ["server-1"]),
        (
            "_http._tcp.web.internal",
            "SRV",
            ["0 1 80 web-1.vm.web.internal.", "0 1 8080 web-2.vm.web.internal."],
        ),
        ("regions.web.internal", "TXT", ['"ams,fra"']),
        ("all.regions.web.internal", "TXT", ['"ams,fra,iad"']),
        ("vms.web.internal", "TXT", ['"web-1 ams,web-2 fra"']),
        ("all.vms.web.internal", "TXT", ['"web-1 ams,web-2 fra,web-3 iad"']),
        (
            "_instances.internal",
            "TXT",
            [
                (
                    '"instance=web-1,app=web,ip=server-1,region=ams;'
                    'instance=web-2,app=web,ip=server-2,region=fra"'
                )
            ],
        ),
        ("_apps.internal", "TXT", ['"web"']),
        ("_peer.internal", "TXT", ['"alice,server-1,server-2"']),
        ("alice._peer.internal", "AAAA", ["alice"]),
        ("_api.internal", "AAAA", ["resolver"]),
        ("internal", "NS", ["_api.internal."]),
        # The name exists, and has nothing of this type.
        ("iad.web.internal", "AAAA", []),
        ("web-3.vm.web.internal", "AAAA", []),
        ("_dns._udp.web.internal", "SRV", []),
        ("vm.web.internal", "AAAA", []),
        ("web.internal", "A", []),
    ],
)
def test_each_kind_of_name_has_its_answer(
    scene: Scene, name: str, type_: str, records: list[str]
) -> None:
    assert scene.dig(name, type_) == records
    assert scene.status(name, type_) == "NOERROR"


@pytest.mark.parametrize(
    "name",
    [
        *("nope.internal", "syd.web.internal", "web-4.vm.web.internal", "_ssh._tcp.web.internal"),
        *("top0.nearest.of.web.internal", "replica.role.kv._metadata.web.internal"),
        # Of the other network.
        *("shop.internal", "global.shop.internal", "regions.shop.internal"),
        "web.flycast",
    ],
)
def test_what_is_not_there_or_anothers_is_denied(scene: Scene, name: str) -> None:
    assert scene.status(name, "AAAA") == "NXDOMAIN"


def test_an_address_has_one_name(scene: Scene) -> None:
    printed = scene.alice.dig("-x", scene.addresses["server-1"], at=scene.resolver)

    assert printed == "server-1._peer.internal."


def test_a_service_brings_the_addresses_of_its_targets(scene: Scene) -> None:
    printed = scene.alice.run(
        *("dig", f"@{scene.resolver}", "_http._tcp.web.internal", "SRV"),
        *("+noall", "+additional", "+nocomments"),
    ).stdout
    lines = [line.split() for line in printed.splitlines() if " AAAA" in line.replace("\t", " ")]

    assert sorted((line[0], line[-1]) for line in lines) == [
        ("web-1.vm.web.internal.", scene.addresses["server-1"]),
        ("web-2.vm.web.internal.", scene.addresses["server-2"]),
    ]


def test_each_machine_comes_first_at_times(scene: Scene) -> None:
    """Of 60 answers all begin alike once in 2**59 runs."""
    names = ["web.internal", "AAAA"] * 60
    printed = scene.alice.run(
        "dig", f"@{scene.resolver}", "+short", "+time=2", *names
    ).stdout.split()

    assert len(printed) == 120
    assert set(printed[::2]) == {scene.addresses["server-1"], scene.addresses["server-2"]}


def test_the_command_asks_for_the_same_names(scene: Scene) -> None:
    answers = scene.gateway.json("dns", "_http._tcp.web.internal", "SRV", "--org", "acme")

    assert {answer["data"] for answer in answers["answers"]} == {
        "0 1 80 web-1.vm.web.internal.",
        "0 1 8080 web-2.vm.web.internal.",
    }


def test_names_of_others_are_asked_elsewhere_and_outlive_that(scene: Scene) -> None:
    """In one test, since it ends the upstream."""
    assert scene.dig("www.example", "A") == ["192.0.2.1"]
    assert scene.status("nope.example", "A") == "NXDOMAIN"
    assert len(scene.dig("many.example", "A")) == 200
    assert scene.status("a.evil", "A") == "SERVFAIL"
    assert scene.dig("localhost", "AAAA") == ["::1"]
    for name in ("1.0.0.10.in-addr.arpa", "printer.local", "a.onion", "x.home.arpa"):
        assert scene.status(name, "PTR") == "NXDOMAIN"

    scene.upstream.terminate()
    scene.upstream.wait(15)

    assert scene.dig("www.example", "A") == ["192.0.2.1"]
    assert scene.status("other.example", "A") == "SERVFAIL"
    assert scene.dig("web.internal", "AAAA") == ["server-1", "server-2"]

    def told() -> bool:
        status = scene.gateway.wgctl("status").stdout
        return "127.0.0.1:5302  Connection refused" in status and "no upstream answers" in status

    eventually(told, what="the status tells of upstreams")


def test_then_members_may_ask_for_everything_here(scene: Scene, lab: Lab) -> None:
    config = lab.config_path("bob")
    scene.gateway.add_peer("acme", "bob", config=config, more=["--dns", "full"])

    assert f"DNS = {scene.resolver}\n" in config.read_text()
