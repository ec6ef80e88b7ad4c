"""systemd-networkd and systemd-resolved with what `wgctl peer add --format networkd` wrote.

The client is the machine itself, whose other names a second DNS server answers; the gateway is a
namespace on it.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.store import samples
from tests.system.hosts import ENDPOINT, Host, Lab, eventually
from wgctl.client.api import Client
from wgctl.core import settings
from wgctl.core.errors import Unavailable
from wgctl.core.schema import NewApp, NewMachine, NewOrg, NewPeer

pytestmark = [
    pytest.mark.network,
    pytest.mark.kernel,
    pytest.mark.guest,
    pytest.mark.timeout(600),
]

# A hang's, in an emulated machine.
SLOW_S = 240.0

NETWORKD = Path("/etc/systemd/network")
ZONE = """
$ORIGIN example.com.
$TTL 60
@ IN A 192.0.2.80
"""


@dataclass
class Scene:
    """The machine's tunnel, the app's address, and the DNS server that is somewhere else."""

    tunnel: str
    uplink: str
    web: str
    resolver: str
    asked_elsewhere: Path


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    elsewhere = Host(f"wgctl-{lab.tag}-dns")
    tunnel, uplink, way = (f"{name}{lab.tag}" for name in ("tun", "up", "way"))
    try:
        elsewhere.make()
        cable(uplink, elsewhere, address="198.18.200.1/30")
        cable(way, lab.gateway.host, address="198.18.100.1/30")
        link(uplink, "Address=198.18.200.2/30\nDNS=198.18.200.1")
        link(
            way,
            f"Address=198.18.100.2/30\n[Route]\nDestination={ENDPOINT}/32\nGateway=198.18.100.1",
        )
        asked = answer_elsewhere(elsewhere, lab.folder)
        web = enrol(lab, tunnel)
        here("systemctl", "start", "systemd-networkd", "systemd-resolved")
        Path("/etc/resolv.conf").unlink()
        Path("/etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
        yield Scene(tunnel, uplink, web, resolver(tunnel), asked)
    finally:
        here("systemctl", "stop", "systemd-networkd", "systemd-resolved", check=False)
        for name in (tunnel, uplink, way):
            here("ip", "link", "delete", name, check=False)
        elsewhere.remove()


def cable(name: str, to: Host, *, address: str) -> None:
    """Lay a cable from this machine's interface `name` to a namespace."""
    here(*("ip", "link", "add", name, "type", "veth"), *("peer", name, "netns", to.name))
    to.run("ip", "address", "add", address, "dev", name)
    to.run("ip", "link", "set", name, "up")


def link(name: str, network: str) -> None:
    """Configure an interface of this machine, as its administrator would."""
    (NETWORKD / f"{name}.network").write_text(
        f"[Match]\nName={name}\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n{network}\n"
    )


def answer_elsewhere(host: Host, folder: Path) -> Path:
    """Answer for example.com in `host`; return the file that has each question."""
    zone, asked = folder / "zone", folder / "asked"
    zone.write_text(ZONE)
    host.start(
        *(sys.executable, "-u", "-m", "dnslib.zoneresolver"),
        *("--zone", str(zone), "--address", "198.18.200.1"),
        log=asked,
    )
    return asked


def enrol(lab: Lab, tunnel: str) -> str:
    """Serve an app on a peer, and enrol this machine by command; return the app's address."""
    gateway = lab.gateway
    gateway.write_config(backend="kernel")
    gateway.init()
    for role in ("controller", "gateway", "resolver"):
        gateway.run_role(role)
    client = Client(settings.parse(gateway.config.read_text(), origin="test").api_socket)
    eventually(lambda: answers(client), within_s=SLOW_S, what="the controller answers")
    client.add_org(NewOrg(slug="acme"))
    server = client.add_peer("acme", NewPeer(name="server", public_key=samples.key(1)))
    client.add_app("acme", NewApp(name="web"))
    client.add_machine("acme", NewMachine(app="web", peer="server"))
    form = ("--format", "networkd", "--interface", tunnel)
    gateway.wgctl("peer", "add", "laptop", "--org", "acme", *form, "-o", f"{NETWORKD}/")
    return str(server.peer.address)


def answers(client: Client) -> bool:
    try:
        return bool(client.gateways())
    except Unavailable:
        return False


def resolver(tunnel: str) -> str:
    """Return the address that the generated file names as the tunnel's DNS server."""
    lines = (NETWORKD / f"{tunnel}.network").read_text().splitlines()
    return next(line.removeprefix("DNS=") for line in lines if line.startswith("DNS="))


def here(*argv: str, check: bool = True) -> str:
    """Return what a command prints on this machine."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def resolved(name: str) -> str:
    """Return what systemd-resolved answers once it does: the gateway's roles may just start."""
    query = ("resolvectl", "query", "--legend=no", name)
    return str(
        eventually(lambda: here(*query, check=False), within_s=SLOW_S, what=f"{name} resolves")
    )


def test_networkd_brings_the_tunnel_up(scene: Scene) -> None:
    ping = ("ping", "-6", "-c1", "-W2", scene.resolver)
    eventually(lambda: here(*ping, check=False).count("1 received"), within_s=SLOW_S)

    assert "configured" in here("networkctl", "list", "--no-legend", scene.tunnel).split()
    assert "wireguard" in here("ip", "-d", "link", "show", scene.tunnel)


def test_networkd_takes_every_line_of_its_files(scene: Scene) -> None:
    said = here("journalctl", "-b", "-u", "systemd-networkd", "-p", "warning", "-o", "cat")

    assert scene.tunnel not in said


def test_names_of_the_network_resolve_through_the_tunnel(scene: Scene) -> None:
    said = resolved("web.internal")

    assert said.split()[:2] == ["web.internal:", scene.web]
    assert f"-- link: {scene.tunnel}" in said


def test_an_address_of_the_network_has_its_name(scene: Scene) -> None:
    said = resolved(scene.web)

    assert said.split()[:2] == [f"{scene.web}:", "server._peer.internal"]
    assert f"-- link: {scene.tunnel}" in said


def test_a_program_that_knows_nothing_of_it_finds_the_name(scene: Scene) -> None:
    assert scene.web in here("getent", "ahosts", "web.internal")


def test_other_names_resolve_elsewhere(scene: Scene) -> None:
    said = resolved("example.com")

    assert said.split()[:2] == ["example.com:", "192.0.2.80"]
    assert f"-- link: {scene.uplink}" in said
    assert "example.com." in scene.asked_elsewhere.read_text()


def test_no_name_of_the_network_is_asked_elsewhere(scene: Scene) -> None:
    for name in ("web.internal", scene.web, "example.com"):
        resolved(name)

    asked = scene.asked_elsewhere.read_text()
    assert "example.com." in asked
    assert "internal" not in asked
    assert "arpa" not in asked
