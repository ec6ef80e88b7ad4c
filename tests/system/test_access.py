"""Members and tokens on a real host: what a token opens over https, and how everything ends."""

import base64
import hashlib
import json
import lzma
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from peers.keys import PrivateKey
from tests.patience import HANG_S
from tests.system.hosts import ENDPOINT, WGCTL, Gateway, Host, Lab, eventually
from wgctl.core.bearer import PREFIX, Bearer

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

_URL = f"https://{ENDPOINT}:8443"


@dataclass
class Scene:
    """A served gateway with its API open, one org, and a member's laptop with its tunnel up."""

    lab: Lab
    laptop: Host
    url: str
    alice: str
    tunnel: Any
    secrets: list[str] = field(default_factory=list)

    @property
    def gateway(self) -> Gateway:
        return self.lab.gateway

    def wgctl(self, *argv: str, token: str) -> subprocess.CompletedProcess[str]:
        """Run the command on the laptop, with `token`."""
        environment = {
            "WGCTL_URL": self.url,
            "WGCTL_TOKEN": token,
            "XDG_CONFIG_HOME": str(self.lab.folder / "laptop"),
            "WGCTL_CONFIG": "",
        }
        return self.laptop.run(WGCTL, *argv, env=environment, check=False)

    def mint(self, name: str, *more: str) -> str:
        """Return a new token of acme, which no file of the host may hold."""
        made = self.gateway.json("token", "add", name, "--org", "acme", *more)
        self.secrets.append(made["token"])
        return str(made["token"])


def _private_key(config: Path) -> str:
    lines = config.read_text().splitlines()
    return next(line for line in lines if line.startswith("PrivateKey")).split(" = ")[1]


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway, laptop, config = lab.gateway, lab.client(), lab.config_path("alice")
    gateway.write_config(more='[api]\nlisten = "[::]:8443"\n')
    fingerprint = gateway.json("init")["authority"]
    gateway.serve()
    gateway.wgctl("org", "add", "acme")
    for name, role in (("alice", "member"), ("bob", "admin")):
        gateway.wgctl("member", "add", name, "--role", role, "--org", "acme")
    made = Scene(lab, laptop, f"{_URL}#{fingerprint}", "", None)
    made.alice = made.mint("alice-cli", "--member", "alice")
    done = made.wgctl(
        *("peer", "add", "laptop", "--org", "acme", "-o", str(config), "--psk", "--json"),
        token=made.alice,
    )
    assert done.returncode == 0, done.stderr
    made.tunnel = json.loads(done.stdout)["tunnel"]
    made.secrets.append(_private_key(config))
    laptop.tunnel_up(config)
    eventually(lambda: laptop.pings(made.tunnel["resolver"]), what="the tunnel works")
    yield made
    gateway.wgctl("down", check=False)


def test_a_member_sees_their_org_and_changes_what_is_theirs(scene: Scene) -> None:
    gateway = scene.gateway
    gateway.wgctl("peer", "add", "server", "--org", "acme", "--json")
    listed = json.loads(
        scene.wgctl("peer", "list", "--org", "acme", "--json", token=scene.alice).stdout
    )
    owners = {peer["name"]: peer["owner"] for peer in listed}
    denied = scene.wgctl("peer", "remove", "server", "--org", "acme", "-y", token=scene.alice)

    assert owners == {"laptop": "alice", "server": "operator"}
    assert (denied.returncode, "their own" in denied.stderr) == (3, True)
    assert scene.wgctl("status", token=scene.alice).returncode == 3
    trail = gateway.json("audit", "list", "--org", "acme")
    assert {"denied", "allowed"} == {record["outcome"] for record in trail}


def test_a_narrower_token_ends_with_the_one_that_it_was_made_of(scene: Scene) -> None:
    script = scene.mint("script", "--member", "bob")
    narrow = scene.laptop.run(
        *(WGCTL, "token", "attenuate", "--read-only"), env={"WGCTL_TOKEN": script}
    ).stdout.strip()
    scene.secrets.append(narrow)
    ask = ("member", "list", "--org", "acme")

    assert scene.wgctl(*ask, token=narrow).returncode == 0
    refused = scene.wgctl("network", "add", "lab", "--org", "acme", token=narrow)
    assert refused.returncode == 3
    scene.gateway.wgctl("token", "revoke", "script", "--org", "acme", "-y")
    for token in (narrow, script, f"{script[:-1]}x"):
        gone = scene.wgctl(*ask, token=token)
        assert gone.returncode == 3
        assert "no valid token" in gone.stderr


def test_a_runner_leaves_when_its_time_is_over_also_while_nothing_runs(scene: Scene) -> None:
    """Its tunnel, its name and its row; the trail tells, and its address is not given out again."""
    gateway, runner = scene.gateway, scene.lab.client()
    token, config = scene.lab.folder / "token", scene.lab.config_path("build")
    token.write_text(scene.mint("ci", "--kind", "enrol"))
    environment = {"WGCTL_URL": scene.url, "XDG_CONFIG_HOME": str(scene.lab.folder / "runner")}
    done = runner.run(
        *(WGCTL, "enroll", "build-7", "--token-file", str(token), "--ephemeral", "40s"),
        *("-o", str(config), "--json"),
        env={**environment, "WGCTL_CONFIG": ""},
    )
    tunnel = json.loads(done.stdout)["tunnel"]
    scene.secrets.append(_private_key(config))
    runner.tunnel_up(config)
    eventually(lambda: runner.pings(tunnel["resolver"]), what="its tunnel works")
    gateway.stop()
    ends_at = datetime.fromisoformat(json.loads(done.stdout)["peer"]["expires_at"])
    time.sleep(max(0.0, (ends_at - datetime.now(UTC)).total_seconds()))
    gateway.serve()

    def names() -> set[str]:
        return {peer["name"] for peer in gateway.json("peer", "list", "--org", "acme")}

    eventually(lambda: "build-7" not in names(), what="its row is gone")
    eventually(lambda: tunnel["address"] not in gateway.device(), what="it is in no device")
    assert runner.is_cut_off(tunnel["resolver"])
    found = ("dns", "build-7._peer.internal", "--org", "acme")
    eventually(lambda: tunnel["address"] not in gateway.wgctl(*found, check=False).stdout)
    last = gateway.json("audit", "list", "--org", "acme")[-1]
    assert (last["from"], last["did"]) == ("controller", "peer:remove")
    later = gateway.json("peer", "add", "build-8", "--org", "acme")["tunnel"]["address"]
    assert IPv6Address(later) > IPv6Address(tunnel["address"])


def test_whoever_leaves_is_out_at_once_and_stays_out(scene: Scene) -> None:
    """Their tunnel, their names, their tokens: also after a restart of everything."""
    gateway, laptop = scene.gateway, scene.laptop
    gateway.wgctl("app", "add", "web", "--org", "acme")
    gateway.wgctl("machine", "add", "web", "--peer", "laptop", "--org", "acme")
    ask = ("dns", "web.internal", "--org", "acme")
    eventually(
        lambda: scene.tunnel["address"] in gateway.wgctl(*ask, check=False).stdout, what="the name"
    )
    report = gateway.json("member", "remove", "alice", "--org", "acme", "--yes")

    assert [peer["name"] for peer in report["peers"]] == ["laptop"]
    assert report["tokens"] == ["alice-cli"]
    eventually(lambda: scene.tunnel["address"] not in gateway.wgctl(*ask, check=False).stdout)
    eventually(lambda: laptop.is_cut_off(scene.tunnel["resolver"]), what="the tunnel has ended")
    assert scene.tunnel["address"] not in gateway.host.run("wg", "show", gateway.interface).stdout
    for process in gateway.host.started:
        process.terminate()
        process.wait(HANG_S)
    gateway.serve()
    assert scene.tunnel["address"] not in gateway.host.run("wg", "show", gateway.interface).stdout
    assert laptop.is_cut_off(scene.tunnel["resolver"])
    again = scene.wgctl("peer", "add", "laptop", "--org", "acme", "--json", token=scene.alice)
    assert (again.returncode, "no valid token" in again.stderr) == (3, True)


def _forms(secret: str) -> set[bytes]:
    """Return the ways in which a secret could be written down."""
    if not secret.startswith(PREFIX):
        raw = PrivateKey.parse(secret).raw
        return {secret.encode(), raw, raw.hex().encode()}
    bearer = Bearer.parse(secret)
    inner = _inner(bearer)
    coded = base64.b64encode(inner).rstrip(b"=")
    return {secret.encode(), inner, inner.hex().encode(), coded}


def _inner(bearer: Bearer) -> bytes:
    first = bearer.blocks(bearer.public_key)[0]
    return bytes.fromhex(first.partition("hex:")[2].partition(")")[0])


def test_no_secret_that_was_ever_made_is_anywhere_on_the_host(scene: Scene) -> None:
    """Database, its log, copies, back-ups, logs, processes, the trail, the API's answers."""
    gateway, backup = scene.gateway, scene.lab.folder / "backup.tar.xz"
    scene.mint("left", "--kind", "enrol", "--uses", "3")
    gateway.wgctl("backup", str(backup))
    places = {
        str(path): path.read_bytes()
        for path in gateway.folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    with tarfile.open(fileobj=lzma.open(backup)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            places[f"backup: {member.name}"] = content.read()
    for asked in (["audit", "export"], ["token", "list", "--json"], ["member", "list", "--json"]):
        places[" ".join(asked)] = gateway.wgctl(*asked, "--org", "acme").stdout.encode()
    places["processes"] = subprocess.run(["ps", "axww"], capture_output=True, check=True).stdout
    found = {
        (place, secret[:12])
        for secret in scene.secrets
        for form in _forms(secret)
        for place, content in places.items()
        if form in content
    }

    assert found == set()
    assert len(scene.secrets) >= 5
    # The search finds what is there: of a live token the hash is, in the store or in its log.
    kept = hashlib.sha256(_inner(Bearer.parse(scene.secrets[-1]))).digest()
    assert any("store.sqlite" in place and kept in content for place, content in places.items())
