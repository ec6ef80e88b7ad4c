import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from peers.keys import PrivateKey
from peers.names import Label
from tests.api.asking import context_of, served
from tests.drivers.namespaces import Namespace, namespaced
from tests.patience import HANG_S
from tests.store.samples import create
from wgctl.api.nodes import nodes_app
from wgctl.core import settings as core_settings
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Network, Peer
from wgctl.core.settings import KEY_NAME, Settings
from wgctl.daemon import gateway
from wgctl.drivers import uapi
from wgctl.services import gateway as gateways
from wgctl.store.copy import Copy
from wgctl.store.store import Store

NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), 0)
PEER = Peer(
    1,
    1,
    1,
    1,
    Label("laptop"),
    "operator",
    PrivateKey.generate().public(),
    NETWORK.prefix[(16 << 64) + 2],
    0,
    None,
)

BEGINS = """
import subprocess, sys
from pathlib import Path
from wgctl.core import settings
from wgctl.daemon import agenda, gateway
"""
RUNS = """
gateway.run(settings.parse(Path(sys.argv[1]).read_text(), origin=sys.argv[1]))
"""
ROLE = BEGINS + RUNS

# Passes are hours apart, and whenever the role begins to hear the kernel, somebody was faster.
LATE = "somebody was here"
DEEDS = (("nft", "flush", "ruleset"), ("ip", "-6", "route", "del", "unreachable", "fdaa::/16"))
LATE_ROLE = f"""{BEGINS}
agenda._PASS_S *= 1_000
agenda._SHORTEST_REST_S *= 10_000

class Late(gateway.Watch):
    def __init__(self, interface):
        for deed in {DEEDS}:
            subprocess.run(deed, check=True)
        print("{LATE}", flush=True)
        super().__init__(interface)

gateway.Watch = Late
{RUNS}"""


COLLECTS = "garbage is looked for"
BEGINS_WITHOUT_PROGRAMS = f"""{BEGINS}
import gc, os, threading, time

def tell():
    for is_enabled in (False, True):
        while gc.isenabled() is not is_enabled:
            time.sleep(0.001)
    print("{COLLECTS}", flush=True)

threading.Thread(target=tell, daemon=True).start()
os.environ["PATH"] = "/nonexistent"
{RUNS}"""


def eventually(check: Callable[[], bool], *, within_s: float = HANG_S) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.05)


@dataclass
class Scene:
    """A host that was initialised, whose controller never answers."""

    namespace: Namespace
    config: Path
    settings: Settings
    roles: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, role: str = ROLE, **environment: str) -> subprocess.Popen[bytes]:
        process = self.begin(role, **environment)
        eventually(self.holds_peer)
        return process

    def begin(self, role: str, **environment: str) -> subprocess.Popen[bytes]:
        command = ["ip", "netns", "exec", self.namespace.name, sys.executable, "-c", role]
        with (self.config.parent / "role.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )
        self.roles.append(process)
        return process

    def holds_peer(self) -> bool:
        try:
            device = uapi.read(uapi.socket_path(self.namespace.interface))
        except Unavailable:
            return False
        return PEER.public_key.raw in device.peers

    def links(self) -> str:
        return self.namespace.shell("ip", "-6", "addr")

    def routes(self) -> str:
        return self.namespace.shell("ip", "-6", "route")

    def log(self) -> str:
        said = (self.config.parent / "role.log").read_text()
        return re.sub(r"\x1b\[[0-9;]*m|'", "", said)

    def close(self) -> None:
        for role in self.roles:
            role.kill()
            role.wait(HANG_S)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with namespaced() as namespace:
        config = tmp_path / "wgctl.toml"
        config.write_text(
            f'state_dir = "{tmp_path}/state"\nruntime_dir = "{tmp_path}/run"\n[gateway]\n'
            f'region = "ams"\nendpoint = "192.0.2.1:51820"\ninterface = "{namespace.interface}"\n'
            'backend = "userspace"\n'
        )
        settings = core_settings.parse(config.read_text(), origin="test")
        folder = settings.role_dir("gateway")
        folder.mkdir(parents=True)
        settings.key_file.write_text(PrivateKey.generate().text() + "\n")
        (folder / "pool").write_text("fdaa::/16\n")
        copy = Copy(folder / "copy.sqlite")
        with copy.replacing() as replacement:
            replacement.add(Put(Kind.NETWORK, NETWORK))
            replacement.add(Put(Kind.PEER, PEER))
            replacement.commit(epoch="e", revision=1)
        copy.close()
        made = Scene(namespace, config, settings)
        try:
            yield made
        finally:
            made.close()


async def controls(scene: Scene, folder: Path, enough: Callable[[Store], bool]) -> None:
    """Be its controller, with a store that is made in `folder`, until that is enough."""
    with closing(create(folder, epoch=folder.name)) as store:
        async with (
            served(nodes_app(context_of(store)), scene.settings.node_socket),
            asyncio.timeout(HANG_S),
        ):
            while not enough(store):  # noqa: ASYNC110  # a store has no event
                await asyncio.sleep(0.05)


@pytest.mark.network
def test_it_programs_what_its_copy_holds_without_a_controller(scene: Scene) -> None:
    scene.start()

    assert f"{NETWORK.resolver}/128" in scene.links()
    assert "unreachable fdaa::/16" in scene.namespace.shell("ip", "-6", "route")
    assert scene.namespace.interface in scene.namespace.shell("nft", "list", "tables")
    eventually(
        lambda: scene.namespace.shell("sysctl", "-n", "net.ipv6.conf.all.forwarding") == "1\n"
    )


@pytest.mark.network
def test_systemd_hands_it_the_key_and_hears_when_the_tunnel_is_up(
    scene: Scene, tmp_path: Path
) -> None:
    handed = tmp_path / "handed"
    handed.mkdir()
    scene.settings.key_file.rename(handed / KEY_NAME)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(HANG_S)
        scene.start(
            CREDENTIALS_DIRECTORY=str(handed),
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            WATCHDOG_USEC="400000",
        )
        told: list[str] = []
        while "READY=1" not in told or told[-1] != "WATCHDOG=1":
            told.append(listener.recv(1000).decode())

    assert f"STATUS={scene.namespace.interface} in userspace, revision 1" in told
    assert not any(line.startswith("STATUS=not well") for line in told)


@pytest.mark.network
def test_a_device_that_a_unit_makes_anew_is_programmed_again(scene: Scene) -> None:
    interface = scene.namespace.interface
    command = ["ip", "netns", "exec", scene.namespace.name, sys.executable]
    unit = [*command, "-m", "wgctl.daemon.userspace", interface]
    path = uapi.socket_path(interface)

    def started() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(unit, env={**os.environ, "WGCTL_CONFIG": str(scene.config)})
        scene.roles.append(process)
        return process

    first = started()
    scene.start(WGCTL_WIREGUARD_UNIT="wgctl-wireguard@")
    first.kill()
    first.wait()
    eventually(lambda: interface not in scene.namespace.shell("ip", "link"))
    started()
    eventually(lambda: uapi.owner(path) is not None)
    eventually(lambda: interface in scene.namespace.shell("ip", "link"))

    eventually(scene.holds_peer)


@pytest.mark.network
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_tears_nothing_down_when_it_stops_and_goes_on_when_it_starts(
    scene: Scene, how: signal.Signals
) -> None:
    role = scene.start()
    process = uapi.owner(uapi.socket_path(scene.namespace.interface))

    role.send_signal(how)

    assert role.wait(HANG_S) == (-how if how is signal.SIGKILL else 0)
    assert scene.holds_peer()
    scene.start()
    assert uapi.owner(uapi.socket_path(scene.namespace.interface)) == process


@pytest.mark.network
def test_with_its_copy_gone_it_leaves_a_live_tunnel_as_it_is(scene: Scene) -> None:
    role = scene.start()
    role.kill()
    role.wait(HANG_S)
    links, routes = scene.links(), scene.routes()
    (scene.settings.role_dir("gateway") / "copy.sqlite").unlink()

    second = scene.start()
    eventually(lambda: "waiting for the first snapshot" in scene.log())
    second.terminate()
    second.wait(HANG_S)  # It ends once the pass that it is in has ended.

    assert scene.holds_peer()
    assert (scene.links(), scene.routes()) == (links, routes)


@pytest.mark.network
def test_a_device_that_dies_is_back(scene: Scene) -> None:
    scene.start()
    process = uapi.owner(uapi.socket_path(scene.namespace.interface))
    assert process is not None

    os.kill(process, signal.SIGKILL)

    path = uapi.socket_path(scene.namespace.interface)
    eventually(lambda: uapi.owner(path) not in {None, process})
    eventually(scene.holds_peer)


@pytest.mark.network
def test_a_deleted_link_is_back(scene: Scene) -> None:
    scene.start()

    scene.namespace.shell("ip", "link", "delete", scene.namespace.interface)

    eventually(lambda: f"{NETWORK.resolver}/128" in scene.links())


@pytest.mark.network
def test_what_others_do_to_the_tunnel_is_undone_and_told_before_and_after(scene: Scene) -> None:
    scene.start()
    shell, interface = scene.namespace.shell, scene.namespace.interface
    own = PrivateKey.parse(scene.settings.key_file.read_text().strip()).public()
    other, other_file = PrivateKey.generate(), scene.config.parent / "other.key"
    other_file.write_text(other.text() + "\n")
    inside = (f"{NETWORK.prefix}", "from", f"{NETWORK.prefix}", "dev", interface)

    def has_table() -> bool:
        return f"table inet {interface}" in shell("nft", "list", "tables")

    def has_key() -> bool:
        return shell("wg", "show", interface, "public-key").strip() == str(own)

    eventually(has_table)
    for deed, undone, told in (
        (("nft", "flush", "ruleset"), has_table, f"what=table {interface}"),
        (
            ("ip", "-6", "route", "del", *inside),
            lambda: str(NETWORK.prefix) in scene.routes(),
            f"after=there before=none what=route to {NETWORK.prefix}",
        ),
        (
            ("ip", "-6", "addr", "del", f"{NETWORK.resolver}/128", "dev", interface),
            lambda: str(NETWORK.resolver) in scene.links(),
            f"after=there before=none what=address {NETWORK.resolver}/128",
        ),
        (
            ("wg", "set", interface, "peer", str(PEER.public_key), "remove"),
            scene.holds_peer,
            f"after={PEER.address}/128 before=none what=peer {PEER.public_key}",
        ),
        (
            ("wg", "set", interface, "private-key", str(other_file)),
            has_key,
            f"after={own} before={other.public()} what=public key of the device",
        ),
    ):
        shell(*deed)
        eventually(undone)
        eventually(lambda told=told: told in scene.log())  # type: ignore[misc]

    assert other.text() not in scene.log()


@pytest.mark.network
def test_what_others_do_is_undone_long_before_a_pass_is_due_whenever_they_do_it(
    scene: Scene, tmp_path: Path
) -> None:
    """Before the role hears it, while it does, and as it begins again after a snapshot."""
    shell, interface = scene.namespace.shell, scene.namespace.interface

    def undone(times: int) -> bool:
        """Whether both deeds are repaired, by passes that have ended."""
        told = (f"what=table {interface}", "what=route to fdaa::/16")
        return all(scene.log().count(one) >= times for one in told)

    def is_whole() -> bool:
        table = f"table inet {interface}" in shell("nft", "list", "tables")
        return table and "unreachable fdaa::/16" in scene.routes()

    scene.start(LATE_ROLE)
    eventually(lambda: undone(1))
    for deed in DEEDS:
        shell(*deed)
    eventually(lambda: undone(2))
    assert is_whole()
    assert scene.log().count(LATE) == 1

    scene.settings.runtime_dir.mkdir()
    (tmp_path / "store").mkdir()
    asyncio.run(controls(scene, tmp_path / "store", lambda _: scene.log().count(LATE) == 2))
    eventually(is_whole)


@pytest.mark.network
def test_garbage_is_looked_for_from_the_first_pass_on_also_where_that_fails(scene: Scene) -> None:
    scene.begin(BEGINS_WITHOUT_PROGRAMS)
    eventually(lambda: COLLECTS in scene.log())

    assert "not on the PATH" in scene.log()


@pytest.mark.network
def test_down_takes_all_away_but_not_while_the_role_runs(scene: Scene) -> None:
    role = scene.start()
    with pytest.raises(Conflict, match="stop it"):
        scene.namespace.run(gateway.down, scene.settings)
    assert scene.holds_peer()
    role.terminate()
    role.wait(HANG_S)

    scene.namespace.run(gateway.down, scene.settings)
    scene.namespace.run(gateway.down, scene.settings)

    assert scene.namespace.interface not in scene.namespace.shell("ip", "link")
    assert scene.namespace.shell("ip", "-6", "route") == ""
    assert scene.namespace.shell("nft", "list", "ruleset") == ""
    assert not uapi.socket_path(scene.namespace.interface).exists()


@pytest.mark.network
def test_it_registers_with_each_store_that_it_is_shown(scene: Scene, tmp_path: Path) -> None:
    """One that was restored or made anew has no record of it, and could not add a peer."""

    def knows(store: Store) -> bool:
        return [gateway.public_key for gateway in gateways.listed(store)] == [own]

    scene.settings.runtime_dir.mkdir()
    scene.start()
    own = PrivateKey.parse(scene.settings.key_file.read_text().strip()).public()

    for epoch in ("first", "second"):
        (tmp_path / epoch).mkdir()
        asyncio.run(controls(scene, tmp_path / epoch, knows))


def bare_settings(folder: Path) -> Settings:
    return core_settings.parse(
        f'state_dir = "{folder}"\n[gateway]\nregion = "ams"\nendpoint = "192.0.2.1:51820"\n',
        origin="test",
    )


@pytest.mark.parametrize("work", [gateway.run, gateway.down])
def test_a_host_that_was_not_initialised_is_told_to(
    tmp_path: Path, work: Callable[[Settings], None]
) -> None:
    with pytest.raises(Unavailable, match="wgctl init"):
        work(bare_settings(tmp_path))


def test_a_spoiled_key_file_is_named_and_never_shown(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    (folder / "pool").write_text("fdaa::/16\n")
    (tmp_path / "gateway.key").write_text("c2VjcmV0\n")

    with pytest.raises(Unavailable, match=r"gateway\.key: 6 bytes, expected 32") as caught:
        gateway.run(bare_settings(tmp_path))

    assert "c2VjcmV0" not in str(caught.value)
