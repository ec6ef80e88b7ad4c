"""The installed command, from `init` to `down`, read back with wg, ip, nft, dig and curl."""

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.patience import HANG_S
from tests.system.hosts import ENDPOINT, PORT, Gateway, Host, Lab, eventually, made_lab
from wgctl.client.api import Client
from wgctl.client.node import Node
from wgctl.core.model import Role
from wgctl.core.schema import RoleReport

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]


@dataclass
class Scene:
    """A served gateway, one org, and a client with its tunnel up."""

    lab: Lab
    alice: Host
    tunnel: Any
    peer: Any

    @property
    def gateway(self) -> Gateway:
        return self.lab.gateway


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Each command, and `wgctl serve`, as it is installed."""
    with made_lab() as made:
        yield made


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway = lab.gateway
    gateway.write_config()
    gateway.init()
    gateway.serve()
    gateway.wgctl("org", "add", "acme")
    alice, config = lab.client(), lab.config_path("alice")
    enrolment = gateway.add_peer("acme", "alice-laptop", config=config)
    alice.tunnel_up(config)
    made = Scene(lab, alice, enrolment["tunnel"], enrolment["peer"])
    eventually(lambda: alice.pings(made.tunnel["resolver"]), what="the tunnel works")
    yield made
    gateway.wgctl("down", check=False)


def test_init_refuses_an_initialised_folder_and_keeps_the_config(scene: Scene) -> None:
    before = scene.gateway.config.read_bytes()

    done = scene.gateway.wgctl("init", check=False)

    assert done.returncode == 5
    assert "initialised already" in done.stderr
    assert scene.gateway.config.read_bytes() == before


def test_a_config_holds_what_the_client_needs_and_no_one_else_may_read_it(scene: Scene) -> None:
    config = scene.lab.config_path("alice")
    text = config.read_text()

    assert config.stat().st_mode & 0o777 == 0o600
    assert f"Address = {scene.tunnel['address']}/128" in text
    assert f"AllowedIPs = {scene.tunnel['prefix']}" in text
    assert f"Endpoint = {ENDPOINT}:{PORT}" in text
    assert "PersistentKeepalive = 15" in text
    assert "MTU = 1420" in text
    assert scene.alice.run("wg-quick", "strip", str(config)).returncode == 0


def test_the_device_holds_the_peer_with_its_own_address_alone(scene: Scene) -> None:
    gateway = scene.gateway
    allowed = gateway.host.run("wg", "show", gateway.interface, "allowed-ips").stdout

    assert f"{scene.peer['public_key']}\t{scene.tunnel['address']}/128" in allowed.splitlines()
    assert f"listening port: {PORT}" in gateway.device()


def test_addresses_and_routes_are_the_networks_own(scene: Scene) -> None:
    gateway = scene.gateway
    addresses = gateway.host.run("ip", "-6", "addr", "show", "dev", gateway.interface).stdout
    routes = gateway.host.run("ip", "-6", "route", "show").stdout
    prefix = scene.tunnel["prefix"]

    assert f"{scene.tunnel['resolver']}/128" in addresses
    assert f"{prefix} from {prefix} dev {gateway.interface}" in routes
    assert "unreachable fdaa::/16" in routes
    assert "mtu 1420" in gateway.host.run("ip", "link", "show", gateway.interface).stdout


def test_the_firewall_is_a_table_named_after_the_interface(scene: Scene) -> None:
    gateway = scene.gateway
    ruleset = gateway.host.run("nft", "list", "table", "inet", gateway.interface).stdout

    assert "hook prerouting priority raw" in ruleset
    assert scene.tunnel["prefix"].removesuffix("/48") in ruleset


def test_forwarding_is_on(scene: Scene) -> None:
    found = scene.gateway.host.run("cat", "/proc/sys/net/ipv6/conf/all/forwarding").stdout
    assert found.strip() == "1"


def test_peers_are_listed_with_what_the_gateway_saw(scene: Scene) -> None:
    def seen() -> Any:
        listed = scene.gateway.json("peer", "list", "--org", "acme")
        return next((p for p in listed if p["name"] == "alice-laptop" and p["online"]), None)

    peer = eventually(seen, what="alice-laptop is online")

    assert peer["address"] == scene.tunnel["address"]
    assert peer["network"] == "default"
    assert peer["received_bytes"] > 0
    assert peer["sent_bytes"] > 0
    assert peer["last_handshake"]
    assert peer["endpoint"].startswith("198.18.")
    assert scene.gateway.json("peer", "show", "alice-laptop", "--org", "acme")["online"]


def test_an_app_is_found_by_name_and_its_page_fetched(scene: Scene) -> None:
    gateway, lab = scene.gateway, scene.lab
    server, config = lab.client(), lab.config_path("web")
    tunnel = gateway.add_peer("acme", "web-1", config=config)["tunnel"]
    server.tunnel_up(config)
    folder = lab.folder / "www"
    folder.mkdir()
    (folder / "index.html").write_text("hello from web\n")
    server.start(
        *(sys.executable, "-m", "http.server", "8080", "--bind", "::", "-d", str(folder)),
        log=lab.folder / "www.log",
    )
    gateway.wgctl("app", "add", "web", "--org", "acme")
    gateway.wgctl(
        *("machine", "add", "web", "m1", "--peer", "web-1", "--org", "acme"),
        *("--port", "http=8080/tcp", "--metadata", "tier=front"),
    )
    at = scene.tunnel["resolver"]
    eventually(lambda: scene.alice.dig("web.internal", "AAAA", at=at) == tunnel["address"])

    page = eventually(
        lambda: (
            scene.alice.run(
                *("curl", "-s", "--max-time", "10"),
                *("--resolve", f"web.internal:8080:[{tunnel['address']}]"),
                "http://web.internal:8080/",
                check=False,
            ).stdout
        ),
        what="the page",
    )

    assert page == "hello from web\n"
    machine = gateway.json("machine", "show", "m1", "--org", "acme")
    assert machine["ports"] == [{"name": "http", "number": 8080, "protocol": "tcp"}]
    assert machine["metadata"] == {"tier": "front"}
    gateway.wgctl("machine", "stop", "m1", "--org", "acme")
    eventually(lambda: scene.alice.dig("web.internal", "AAAA", at=at) == "")
    gateway.wgctl("machine", "start", "m1", "--org", "acme")
    eventually(lambda: scene.alice.dig("web.internal", "AAAA", at=at) != "")


def test_the_resolver_answers_its_networks_names(scene: Scene) -> None:
    at, address = scene.tunnel["resolver"], scene.tunnel["address"]
    dig = scene.alice.dig

    assert dig("alice-laptop._peer.internal", "AAAA", at=at) == address
    assert dig("_api.internal", "AAAA", at=at) == at
    assert "alice-laptop" in dig("_peer.internal", "TXT", at=at)
    assert "web" in dig("_apps.internal", "TXT", at=at)
    assert dig("-x", address, at=at) == "alice-laptop._peer.internal."
    assert dig("alice-laptop._peer.internal", "AAAA", "+tcp", at=at) == address
    assert scene.alice.dig_status("web.internal", "A", at=at) == "NOERROR"
    assert scene.alice.dig_status("nothing.internal", "AAAA", at=at) == "NXDOMAIN"
    assert scene.alice.dig_status("example.com", "A", at=at) == "REFUSED"


def test_wgctl_dns_shows_what_the_resolver_answers(scene: Scene) -> None:
    found = scene.gateway.wgctl("dns", "alice-laptop._peer.internal", "--org", "acme")
    missing = scene.gateway.wgctl("dns", "nothing.internal", "--org", "acme", check=False)

    assert scene.tunnel["address"] in found.stdout
    assert missing.returncode == 4


def test_the_internal_api_tells_a_peer_who_it_is(scene: Scene) -> None:
    url = f"http://[{scene.tunnel['resolver']}]:4280/v1/self"
    headers = ["-H", "Host: _api.internal", "-H", "Wgctl-Request: 1"]

    answer = scene.alice.run("curl", "-s", "--max-time", "60", *headers, url).stdout
    bare = scene.alice.run(
        "curl", "-s", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}", url
    ).stdout

    assert json.loads(answer) == {
        "org": "acme",
        "network": "default",
        "peer": "alice-laptop",
        "address": scene.tunnel["address"],
    }
    assert bare == "403"


def test_a_rekeyed_peer_keeps_its_address_and_its_old_key_is_dead(scene: Scene) -> None:
    gateway, lab = scene.gateway, scene.lab
    old, new = lab.config_path("oldkey"), lab.config_path("newkey")
    before = gateway.add_peer("acme", "bob", config=old)["peer"]

    after = gateway.json("peer", "rekey", "bob", "--org", "acme", "-o", str(new))["peer"]

    assert after["address"] == before["address"]
    assert after["public_key"] != before["public_key"]
    eventually(lambda: after["public_key"] in gateway.device())
    eventually(lambda: before["public_key"] not in gateway.device())


def test_a_preshared_key_is_in_the_device_and_the_tunnel_needs_it(scene: Scene) -> None:
    gateway, lab = scene.gateway, scene.lab
    client, config = lab.client(), lab.config_path("psk")
    peer = gateway.add_peer("acme", "bastion", config=config, more=["--psk"])["peer"]
    (psk,) = re.findall(r"^PresharedKey = (\S+)$", config.read_text(), re.MULTILINE)

    def held() -> str | None:
        listed = gateway.host.run("wg", "show", gateway.interface, "preshared-keys").stdout
        return dict(line.split("\t") for line in listed.splitlines()).get(peer["public_key"])

    eventually(lambda: held() == psk, what="the device has the key")
    client.tunnel_up(config)
    eventually(lambda: client.pings(scene.tunnel["resolver"]), what="the tunnel works")
    client.tunnel_down(config)

    # Who has the private key alone does not come in.
    config.write_text(config.read_text().replace(f"PresharedKey = {psk}\n", ""))
    client.tunnel_up(config)
    assert client.is_cut_off(scene.tunnel["resolver"])

    copies = [*gateway.folder.glob("state/*/*.sqlite*")]
    assert len(copies) >= 4
    assert not [path for path in copies if psk.encode() in path.read_bytes()]
    own = ("--public-key", peer["public_key"])
    gateway.wgctl("peer", "rekey", "bastion", "--org", "acme", "--no-psk", *own)
    eventually(lambda: held() == "(none)", what="the device has no key for it")
    eventually(lambda: client.pings(scene.tunnel["resolver"]), what="the tunnel works again")


def test_an_imported_config_comes_up_with_its_own_key(scene: Scene) -> None:
    gateway, lab = scene.gateway, scene.lab
    elsewhere, config = lab.folder / "elsewhere.conf", lab.config_path("own")
    key = scene.alice.run("wg", "genkey").stdout.strip()
    elsewhere.write_text(f"[Interface]\nPrivateKey = {key}\nAddress = 10.9.9.9/32\n")

    gateway.wgctl("peer", "import", str(elsewhere), "--org", "acme", "-o", str(config))

    client = lab.client()
    client.tunnel_up(config)
    eventually(lambda: client.pings(scene.tunnel["resolver"]), what="the tunnel works")
    assert key in config.read_text()


def test_a_client_of_two_orgs_resolves_and_reaches_both(scene: Scene) -> None:
    gateway, lab = scene.gateway, scene.lab
    gateway.wgctl("org", "add", "globex")
    both, there = lab.client(), lab.client()
    configs = {name: lab.config_path(name) for name in ("both-a", "both-g", "there")}
    in_acme = gateway.add_peer("acme", "both", config=configs["both-a"])["tunnel"]
    in_globex = gateway.add_peer("globex", "both", config=configs["both-g"])["tunnel"]
    target = gateway.add_peer("globex", "there", config=configs["there"])["tunnel"]
    both.tunnel_up(configs["both-a"])
    both.tunnel_up(configs["both-g"])
    there.tunnel_up(configs["there"])

    def name(label: str, tunnel: Any) -> str:
        return both.dig(f"{label}._peer.internal", "AAAA", at=tunnel["resolver"])

    eventually(lambda: name("alice-laptop", in_acme) == scene.tunnel["address"])
    eventually(lambda: name("there", in_globex) == target["address"])
    assert name("there", in_acme) == ""
    assert name("alice-laptop", in_globex) == ""
    assert both.pings(scene.tunnel["address"])
    assert both.pings(target["address"])


def test_status_and_doctor_find_a_healthy_host(scene: Scene) -> None:
    status = scene.gateway.json("status")
    roles = {role["role"] for role in status["roles"] if role["alive"]}
    doctor = scene.gateway.wgctl("doctor", check=False)

    assert roles == {"controller", "gateway", "resolver", "internal-api"}
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_doctor_waits_for_what_a_role_says_after_its_first_word(scene: Scene) -> None:
    """A role that has just started may have told that it waits, and works before it tells so."""
    run, now = scene.gateway.folder / "run", int(time.time())
    word = RoleReport(role=Role.RESOLVER, revision=0, started_at=now, problem="waits for a copy")

    def is_told() -> bool:
        asyncio.run(Node(run / "node.sock").report(word))
        return any(role.problem == word.problem for role in Client(run / "api.sock").status().roles)

    eventually(is_told, what="it is told")

    doctor = scene.gateway.wgctl("doctor", check=False)

    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_doctor_warns_of_a_firewall_that_would_win_over_ours(scene: Scene) -> None:
    """As ufw and Docker make one: a forward chain of their own whose policy is drop."""
    host = scene.gateway.host
    host.run("nft", "add table ip6 filter")
    host.run(
        "nft", "add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }"
    )

    checks = scene.gateway.json("doctor")

    host.run("nft", "delete table ip6 filter")
    (found,) = [check for check in checks if check["name"] == "other firewalls"]
    assert found["ok"] is None
    assert "ip6 filter FORWARD" in found["found"]
    assert scene.gateway.interface in found["cure"]


def test_every_noun_lists_shows_and_removes(scene: Scene) -> None:
    gateway = scene.gateway
    gateway.wgctl("org", "add", "initech")
    gateway.wgctl("network", "add", "staging", "--org", "initech")
    gateway.wgctl("app", "add", "db", "--org", "initech", "--network", "staging")
    gateway.wgctl("peer", "add", "host", "--org", "initech", "--network", "staging")
    machine = gateway.json(
        *("machine", "add", "db", "--org", "initech", "--network", "staging", "--peer", "host")
    )
    scope = ("--org", "initech", "--network", "staging")

    assert [n["name"] for n in gateway.json("network", "list", "--org", "initech")] == [
        "default",
        "staging",
    ]
    assert re.fullmatch("[0-9a-f]{14}", machine["name"])
    assert gateway.json("app", "show", "db", *scope)["started"] == 1
    assert gateway.json("gateway", "list")[0]["region"] == "ams"
    busy = gateway.wgctl("network", "remove", "staging", "--org", "initech", "-y", check=False)
    assert busy.returncode == 5
    for noun, name in (("machine", machine["name"]), ("app", "db"), ("peer", "host")):
        gateway.wgctl(noun, "remove", name, *scope, "--yes")
        assert gateway.wgctl(noun, "show", name, *scope, check=False).returncode == 4
    gateway.wgctl("network", "remove", "staging", "--org", "initech", "--yes")
    gateway.wgctl("org", "remove", "initech", "--yes")
    assert gateway.wgctl("org", "show", "initech", check=False).returncode == 4


def test_down_takes_everything_away(scene: Scene) -> None:
    """Last: it ends what the others stand on."""
    gateway = scene.gateway
    for process in gateway.host.started:
        process.terminate()
        process.wait(HANG_S)
    assert gateway.interface in gateway.host.run("ip", "link").stdout

    gateway.wgctl("down")

    assert gateway.interface not in gateway.host.run("ip", "link").stdout
    assert gateway.interface not in gateway.host.run("nft", "list", "tables").stdout
    assert "fdaa" not in gateway.host.run("ip", "-6", "route").stdout
    assert gateway.wgctl("down").returncode == 0
    unreachable = gateway.wgctl("peer", "list", "--org", "acme", check=False)
    assert unreachable.returncode == 7
    assert f"start it with wgctl --config {gateway.config} serve" in unreachable.stderr
