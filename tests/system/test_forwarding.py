"""Names of others, asked by clients over a real tunnel, of an Unbound on the gateway's host.

The first of two upstreams is nobody, so that each answer comes by failover.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.drivers.upstream.servers import certified
from tests.patience import HANG_S
from tests.system.clients import CLIENTS, Answered, by_dig
from tests.system.hostile import SLUGS, VICTIM
from tests.system.hosts import Host, Lab, Started, eventually
from tests.system.unbound import UNBOUND, write_config, write_loop

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

ROLES = ("controller", "gateway", "resolver")
PORT, TLS_PORT, LOOP_PORT, HOSTILE_PORT = 5302, 5303, 5304, 5305
OVER = {
    "udp": f"127.0.0.1:{PORT}",
    "tcp": f"tcp://127.0.0.1:{PORT}",
    "tls": f"tls://127.0.0.1:{TLS_PORT}#dns.example",
}
NOBODY = "127.0.0.1:5301"


@dataclass
class Scene:
    """A network with a client in it, and what runs."""

    lab: Lab
    alice: Host
    resolver: str
    certificate: Path
    roles: dict[str, Started] = field(default_factory=dict)

    def configure(self, *upstreams: str) -> None:
        quoted = ", ".join(f'"{upstream}"' for upstream in upstreams)
        more = f'upstreams = [{quoted}]\ntls_ca = "{self.certificate}"'
        self.lab.gateway.write_config(more=more)

    def forward_to(self, *upstreams: str) -> None:
        """Start the resolver anew, with these upstreams."""
        self.configure(*upstreams)
        if resolver := self.roles.pop("resolver", None):
            resolver.terminate()
            resolver.wait(HANG_S)
        self.start("resolver")
        eventually(lambda: self.status("_api.internal", "AAAA") == "NOERROR", what="it answers")

    def start(self, *roles: str) -> None:
        for role in roles:
            self.roles[role] = self.lab.gateway.run_role(role)

    def status(self, name: str, type_: str = "A") -> str:
        return self.alice.dig_status(name, type_, at=self.resolver)

    def ask(self, name: str, type_: str = "A", *options: str) -> Answered:
        [reply] = by_dig(self.alice, self.resolver, [(name, type_)], *options)
        return reply

    def start_unbound(self) -> subprocess.Popen[bytes]:
        """Start it, and wait until it answers."""
        folder, host = self.certificate.parent, self.lab.gateway.host
        started = host.start(UNBOUND, "-c", str(folder / "unbound.conf"), log=folder / "log")
        eventually(
            lambda: host.dig("www.example", "-p", str(PORT), at="127.0.0.1"),
            what="Unbound answers",
        )
        return started


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway, folder = lab.gateway, lab.folder / "unbound"
    folder.mkdir()
    certificate = certified(folder, name="dns.example")
    write_config(folder, port=PORT, tls_port=TLS_PORT, certificate=certificate)
    alice, config = lab.client(), lab.config_path("alice")
    made = Scene(lab, alice, "", certificate)
    made.configure(NOBODY)
    gateway.init()
    made.start("controller", "gateway")
    gateway.wait_ready("gateway")
    gateway.wgctl("org", "add", "acme")
    made.resolver = gateway.add_peer("acme", "alice", config=config)["tunnel"]["resolver"]
    alice.tunnel_up(config)
    eventually(lambda: alice.pings(made.resolver), what="the tunnel works")
    yield made
    gateway.wgctl("down", check=False)


def test_the_hosts_that_unbound_knows_are_answered_over_each_transport(scene: Scene) -> None:
    """In one test, since each transport means another resolver, and Unbound is ended last."""
    unbound = scene.start_unbound()
    for over, upstream in OVER.items():
        scene.forward_to(NOBODY, upstream)
        _check_answers(scene, over)
    _check_private_names(scene)
    scene.ask("brief.example")

    unbound.terminate()
    unbound.wait(HANG_S)
    eventually(lambda: _is_stale(scene), what="what is kept goes on (RFC 8767)")
    assert scene.ask("www.example").answers != []
    assert scene.status("other.example") == "SERVFAIL"
    assert scene.status("_api.internal", "AAAA") == "NOERROR"
    eventually(lambda: _is_told(scene), what="the status tells of upstreams")
    _check_that_the_doctor_goes_on(scene)

    scene.start_unbound()
    eventually(lambda: scene.status("other.example") == "NXDOMAIN", what="it is asked again")


def test_a_hostile_upstream_means_an_error_and_poisons_nothing(scene: Scene) -> None:
    """All scripts at once; names of our own are answered meanwhile."""
    log = scene.lab.folder / "hostile.log"
    program = (sys.executable, "-m", "tests.system.hostile", str(HOSTILE_PORT))
    scene.lab.gateway.host.start(*program, log=log)
    scene.forward_to(f"127.0.0.1:{HOSTILE_PORT}")
    eventually(lambda: scene.ask("www.example").answers, what="the upstream is there")

    asked = {slug: _dig_beside(scene, f"{slug}.example") for slug in SLUGS}
    while any(process.poll() is None for process, _ in asked.values()):
        assert scene.status("_api.internal", "AAAA") == "NOERROR"
    for slug, (_, printed) in asked.items():
        assert "status: SERVFAIL" in printed.read_text(), slug
        assert scene.ask(f"{slug}.example").answers == [], slug

    eventually(lambda: len(scene.ask("poison.example").answers) == 1, what="the poisoner answers")
    assert scene.alice.dig(VICTIM, at=scene.resolver) == "192.0.2.1"


def test_a_loop_ends_in_an_error_and_holds_up_no_name_of_ours(scene: Scene) -> None:
    """The upstream is a member of the network, and asks its resolver for what it does not know."""
    folder = scene.lab.folder / "loop"
    folder.mkdir()
    config = write_loop(folder, port=LOOP_PORT, to=scene.resolver)
    scene.alice.start(UNBOUND, "-c", str(config), log=folder / "log")
    scene.forward_to(f"198.18.1.2:{LOOP_PORT}")

    for name in ("a-name-of-many-letters.example", "b.example"):
        process, printed = _dig_beside(scene, name)
        while process.poll() is None:
            assert scene.status("_api.internal", "AAAA") == "NOERROR"
        assert "status: SERVFAIL" in printed.read_text()


def test_members_may_ask_for_everything_here(scene: Scene) -> None:
    config = scene.lab.config_path("bob")
    scene.lab.gateway.add_peer("acme", "bob", config=config, more=["--dns", "full"])

    assert f"DNS = {scene.resolver}\n" in config.read_text()


def _check_answers(scene: Scene, over: str) -> None:
    """Ask for what is there, denied, too long for a datagram, and refused."""
    names = ["www.example", "WWW.example", "nope.example", "many.example"]
    for client, ask in CLIENTS.items():
        questions = [(name, "A") for name in names]
        www, again, nope, many = ask(scene.alice, scene.resolver, questions)
        found = [line.split() for line in (*www.answers, *again.answers)]
        what = f"{client}, {over}"

        assert [(name, data) for name, _, _, _, data in found] == [
            ("www.example.", "192.0.2.1"),
            ("WWW.example.", "192.0.2.1"),
        ], what
        assert all(0 < int(ttl) <= 300 for _, ttl, *_ in found), what
        assert (nope.status, nope.answers) == ("NXDOMAIN", []), what
        assert nope.authority[0].startswith("example. "), what
        assert nope.authority[0].endswith("IN SOA ns.example. root.example. 1 2 3 4 60"), what
        assert len(many.answers) == 200, what
        assert www.flags >= {"qr", "ra"}, what
        assert "aa" not in www.flags, what
    assert scene.status("a.evil") == "SERVFAIL", over


def _check_private_names(scene: Scene) -> None:
    """Unbound would answer these, and must not hear of them."""
    assert scene.alice.dig("localhost", "AAAA", at=scene.resolver) == "::1"
    for name in ("1.0.0.10.in-addr.arpa", "printer.local", "a.onion", "x.home.arpa", "x.flycast"):
        assert scene.status(name, "PTR") == "NXDOMAIN"
    assert scene.ask("www.example", "A", "+norec").status == "REFUSED"


def _dig_beside(scene: Scene, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Ask while other things go on; return the process, and where it prints."""
    printed = scene.lab.folder / f"{name}.dig"
    words = ("dig", f"@{scene.resolver}", name, "+time=20", "+tries=1")
    return scene.alice.start(*words, log=printed), printed


def _is_stale(scene: Scene) -> bool:
    words = ("dig", f"@{scene.resolver}", "brief.example", "+time=5")
    printed = scene.alice.run(*words, check=False).stdout
    return "192.0.2.7" in printed and "; EDE: 3 (Stale Answer)" in printed


def _is_told(scene: Scene) -> bool:
    status = scene.lab.gateway.wgctl("status").stdout
    rows = dict(line.split(None, 1) for line in status.splitlines() if "127.0.0.1" in line)
    failed = {upstream for upstream, reason in rows.items() if "onnect" in reason}
    return failed >= {NOBODY, OVER["tls"]} and "no upstream answers" in status


def _check_that_the_doctor_goes_on(scene: Scene) -> None:
    """Members notice, so it is a fault; names of their own are answered all the same."""
    done = scene.lab.gateway.wgctl("doctor", check=False)

    assert done.returncode == 1
    assert "no upstream answers" in done.stdout
    assert "_api.internal is" in done.stdout
