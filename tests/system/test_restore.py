"""A restore on a whole host: tunnels go on, what is undone is named, old configs stay good."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.patience import HANG_S
from tests.system.hosts import Gateway, Host, Lab, Started, eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

FOLLOWERS = ("gateway", "resolver", "internal-api")


@dataclass
class Scene:
    """A host with a back-up, from when alice and the leaver were its only peers."""

    gateway: Gateway
    alice: Host
    tunnel: Any
    leaver: Any
    backup: Path
    roles: dict[str, Started]

    def start(self, *roles: str) -> None:
        for role in roles:
            self.roles[role] = self.gateway.run_role(role)

    def stop(self, *roles: str) -> None:
        for role in roles:
            self.roles[role].terminate()
        for role in roles:
            self.roles.pop(role).wait(HANG_S)

    def works(self) -> bool:
        resolver = self.tunnel["resolver"]
        return bool(self.alice.dig("_api.internal", "AAAA", at=resolver) == resolver)


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway, alice, config = lab.gateway, lab.client(), lab.config_path("alice")
    gateway.write_config()
    gateway.init()
    roles = {role: gateway.run_role(role) for role in ("controller", *FOLLOWERS)}
    gateway.wait_ready(*FOLLOWERS)
    gateway.wgctl("org", "add", "acme")
    tunnel = gateway.add_peer("acme", "alice", config=config, more=["--dns", "none"])["tunnel"]
    leaver = gateway.add_peer("acme", "leaver", config=lab.config_path("leaver"))["peer"]
    backup = lab.folder / "backup.tar.xz"
    gateway.wgctl("backup", str(backup))
    alice.tunnel_up(config)
    made = Scene(gateway, alice, tunnel, leaver, backup, roles)
    eventually(made.works, what="the first answer")
    yield made
    gateway.wgctl("down", check=False)


def test_roles_follow_a_restored_controller_and_name_what_is_undone(scene: Scene) -> None:
    gateway = scene.gateway
    late = gateway.add_peer("acme", "late", config=gateway.folder / "late.conf")["peer"]
    gateway.wgctl("peer", "remove", "leaver", "--org", "acme", "--yes")
    eventually(lambda: late["public_key"] in gateway.device(), what="late is in the device")
    eventually(lambda: scene.leaver["public_key"] not in gateway.device(), what="the leaver is not")
    gateway.wait_ready(*FOLLOWERS)

    scene.stop("controller")
    restored = gateway.json("restore", "--yes", str(scene.backup))
    assert scene.works()
    scene.start("controller")
    gateway.wait_ready(*FOLLOWERS)

    eventually(lambda: late["public_key"] not in gateway.device(), what="late is undone")
    eventually(lambda: scene.leaver["public_key"] in gateway.device(), what="the leaver is back")
    assert scene.works()
    assert [(d["gone"], d["back"]) for d in restored["differences"]] == [
        (["acme/default/late"], ["acme/default/leaver"])
    ]
    told = {role["role"]: role["setback"] for role in gateway.json("status")["roles"]}
    for role in FOLLOWERS:
        assert f"gone: late {late['address']}; back: leaver {scene.leaver['address']}" in told[role]
    assert told["controller"] is None
    assert "set back within the last week" in gateway.wgctl("status").stdout
    warned = [check for check in gateway.json("doctor") if "was set back" in check["name"]]
    assert [check["ok"] for check in warned] == [None] * 3
    again = gateway.add_peer("acme", "later", config=gateway.folder / "later.conf")["peer"]
    assert again["address"] not in {late["address"], scene.leaver["address"]}


def test_on_a_new_machine_the_old_configs_connect(scene: Scene) -> None:
    """It has nothing but the file: not the config, not the key."""
    gateway = scene.gateway
    scene.stop(*scene.roles)
    gateway.wgctl("down")
    (gateway.folder / "state").rename(gateway.folder / "lost")
    gateway.config.rename(gateway.folder / "lost.toml")
    assert not scene.works()

    gateway.wgctl("restore", str(scene.backup))
    scene.start("controller", *FOLLOWERS)
    gateway.wait_ready(*FOLLOWERS)

    eventually(scene.works, what="alice's tunnel on the new machine")
    assert {role["setback"] for role in gateway.json("status")["roles"]} == {None}
    names = {peer["name"] for peer in gateway.json("peer", "list", "--org", "acme")}
    assert names == {"alice", "leaver"}
