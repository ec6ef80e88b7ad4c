"""A gateway's host that is itself a peer of another deployment, of the same pool, keeps both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.forks import ForkedGateway
from tests.system.hosts import ENDPOINT, PORT, Gateway, Host, Lab, eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

THERE = "198.18.1.2"


@dataclass
class Scene:
    """The host with both and its own clients `laptop` and `second`; `far` is the other's client."""

    here: Gateway
    hosts: dict[str, Host]
    configs: dict[str, Path]
    tunnels: dict[str, Any]

    def here_works(self) -> bool:
        """Whether a client of this host's own network reaches it, by name too."""
        return _reaches(self.laptop, self.tunnels["laptop"], "second", self.tunnels["second"])

    def there_works(self) -> bool:
        """Whether this host, as a peer, reaches the other network, by name too."""
        return _reaches(self.here.host, self.tunnels["here"], "far", self.tunnels["far"])

    def both_work(self) -> bool:
        return self.here_works() and self.there_works()

    def bounce(self, *labels: str) -> None:
        """Take tunnels down and up again, as their users do."""
        for label in labels:
            config = self.configs[label]
            self.hosts[label].tunnel_down(config)
            self.hosts[label].tunnel_up(config)

    def device(self) -> str:
        """Return the index of the other deployment's tunnel on this host."""
        folder = f"/sys/class/net/{self.configs['here'].stem}"
        return self.here.host.run("cat", f"{folder}/ifindex").stdout

    @property
    def laptop(self) -> Host:
        return self.hosts["laptop"]


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    here, other = lab.gateway, lab.client()
    there = ForkedGateway(host=other, folder=lab.folder / "there", interface=f"t{lab.tag}")
    here.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for gateway in (here, there):
        gateway.write_config()
    there.config.write_text(there.config.read_text().replace(ENDPOINT, THERE))
    other.run("ip", "route", "add", "198.18.0.0/16", "via", "198.18.1.1")
    for gateway in (here, there):
        gateway.init()
        gateway.serve()
        gateway.wgctl("org", "add", "acme")
    made = Scene(here, {}, {}, {})
    for label, gateway in (("laptop", here), ("second", here), ("here", there), ("far", there)):
        made.hosts[label] = here.host if label == "here" else lab.client()
        made.configs[label] = config = lab.config_path(label)
        enrolment = gateway.add_peer("acme", label, config=config, more=["--dns", "none"])
        made.tunnels[label] = enrolment["tunnel"]
        if label == "far":
            via = f"198.18.{len(lab.clients)}.1"
            made.hosts[label].run("ip", "route", "add", f"{THERE}/32", "via", via)
        made.hosts[label].tunnel_up(config)
    eventually(made.both_work, what="both tunnels")
    yield made
    for gateway in (here, there):
        gateway.wgctl("down", check=False)


def test_both_deployments_give_the_same_numbers(scene: Scene) -> None:
    """They never met: only the networks' ids keep them apart."""
    mine, theirs = (scene.tunnels[label]["address"] for label in ("laptop", "here"))

    assert mine.split(":")[0] == theirs.split(":")[0] == "fdaa"
    assert mine.split(":")[3:] == theirs.split(":")[3:]
    assert f":{PORT}" in scene.tunnels["here"]["endpoint"]


def test_neither_leads_into_the_other(scene: Scene) -> None:
    """Not with our firewall, and not without it, whatever a client's own routes say."""
    target, resolver = scene.tunnels["far"]["address"], scene.tunnels["far"]["resolver"]
    tunnel = scene.laptop.tunnels[0].stem
    key = scene.tunnels["laptop"]["gateway_key"]
    scene.laptop.run("wg", "set", tunnel, "peer", key, "allowed-ips", "fdaa::/16")
    scene.laptop.run("ip", "-6", "route", "add", "fdaa::/16", "dev", tunnel)

    for address in (target, resolver):
        assert scene.laptop.is_cut_off(address)
        scene.here.host.run("nft", "flush", "ruleset")
        assert scene.laptop.is_cut_off(address)
        eventually(lambda: scene.here.host.run("nft", "list", "tables").stdout)
    assert scene.both_work()


def test_both_outlive_a_restart_of_either(scene: Scene) -> None:
    scene.here.stop()
    assert scene.there_works()
    scene.here.serve()
    eventually(scene.both_work)

    scene.bounce("here")

    assert scene.here_works()
    eventually(scene.there_works)


def test_our_own_tunnel_made_anew_leaves_the_other_alone(scene: Scene) -> None:
    """Link, routes and table go, and come again beside a tunnel that was there first."""
    scene.here.stop()
    scene.here.wgctl("down")
    assert scene.there_works()
    scene.bounce("here")
    eventually(scene.there_works)
    before = scene.device()

    scene.here.serve()

    assert scene.there_works()
    scene.bounce("laptop", "second")  # A client would wait 15 s for its lost session.
    eventually(scene.both_work)
    assert scene.device() == before


def test_a_pass_finds_nothing_to_repair_in_what_the_other_made(scene: Scene) -> None:
    """A pass comes a second after a change."""
    scene.bounce("here")
    extra = scene.here.add_peer("acme", "extra", config=scene.here.folder / "extra.conf")["peer"]
    eventually(lambda: extra["public_key"] in scene.here.device())
    scene.here.wait_ready("gateway")
    eventually(scene.both_work)

    assert [role["drift_events"] for role in scene.here.json("status")["roles"]] == [[]] * 4
    assert scene.here.wgctl("doctor", check=False).returncode == 0


def _reaches(host: Host, tunnel: Any, name: str, target: Any) -> bool:
    """Whether `host` resolves a peer's name in the tunnel's network, and reaches it."""
    found = host.dig(f"{name}._peer.internal", "AAAA", at=tunnel["resolver"])
    return found == str(target["address"]) and host.pings(target["address"])
