"""Two deployments on one host, of the same pool: neither touches what is the other's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.system.forks import ForkedGateway
from tests.system.hosts import PORT, Gateway, Host, Lab, eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]


@dataclass
class Scene:
    """A client of two deployments that run on one host."""

    one: Gateway
    two: Gateway
    client: Host
    tunnels: dict[str, Any]

    def works(self, deployment: str) -> bool:
        resolver = self.tunnels[deployment]["resolver"]
        return self.client.dig("_api.internal", "AAAA", at=resolver) == str(resolver)


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    one = lab.gateway
    two = ForkedGateway(host=one.host, folder=lab.folder / "second", interface=f"h{lab.tag}")
    client = lab.client()
    tunnels = {}
    for name, gateway, port in (("one", one, PORT), ("two", two, PORT + 1)):
        gateway.write_config()
        text = gateway.config.read_text()
        gateway.config.write_text(re.sub(rf"\b{PORT}\b", str(port), text))
        gateway.init()
        gateway.serve()
        gateway.wgctl("org", "add", "acme")
        config = lab.config_path(f"to-{name}")
        tunnels[name] = gateway.add_peer("acme", "laptop", config=config)["tunnel"]
        client.tunnel_up(config)
    made = Scene(one, two, client, tunnels)
    for name in tunnels:
        eventually(lambda name=name: made.works(name), what=f"the tunnel to {name}")  # type: ignore[misc]
    yield made
    one.wgctl("down", check=False)
    two.wgctl("down", check=False)


def test_two_fresh_installs_share_neither_secret_nor_network(scene: Scene) -> None:
    keys = {tunnel["gateway_key"] for tunnel in scene.tunnels.values()}
    prefixes = {tunnel["prefix"] for tunnel in scene.tunnels.values()}

    assert len(keys) == len(prefixes) == 2


def test_each_has_a_wall_of_its_own(scene: Scene) -> None:
    host = scene.one.host
    walls = [
        line
        for line in host.run("ip", "-6", "route").stdout.splitlines()
        if line.startswith("unreachable fdaa::/16")
    ]
    tables = host.run("nft", "list", "tables").stdout

    assert len(walls) == 2
    assert f"table inet {scene.one.interface}" in tables
    assert f"table inet {scene.two.interface}" in tables


def test_taking_one_down_leaves_the_other_whole(scene: Scene) -> None:
    host = scene.one.host
    scene.one.stop()

    scene.one.wgctl("down")

    assert not scene.works("one")
    assert scene.works("two")
    assert scene.two.interface in host.run("ip", "link").stdout
    assert "unreachable fdaa::/16" in host.run("ip", "-6", "route").stdout
    assert scene.two.wgctl("doctor", check=False).returncode == 0
