import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peers.keys import PrivateKey
from tests.drivers.namespaces import Namespace, namespaced
from wgctl.core.allowed_ips import NO_IPS
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.tunnel import SetPeer, route_metric
from wgctl.drivers import uapi
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.nft import Nft
from wgctl.drivers.wireguard_go import WireguardGo, unit_of
from wgctl.services.reconcile import Parts, take_down

pytestmark = pytest.mark.network

KEY = b"\x11" * 32

STARTER = """
import signal, sys
from pathlib import Path
from wgctl.drivers.wireguard_go import WireguardGo
WireguardGo(sys.argv[1], log=Path(sys.argv[2])).create()
print("up", flush=True)
signal.pause()
"""


def device(namespace: Namespace, tmp_path: Path) -> WireguardGo:
    return WireguardGo(namespace.interface, log=tmp_path / "log")


def within(seconds: float, check: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def pid_of(namespace: Namespace) -> int:
    pid = uapi.owner(uapi.socket_path(namespace.interface))
    assert pid is not None
    return pid


def test_a_device_outlives_the_process_that_started_it_and_is_found_again(
    namespace: Namespace, tmp_path: Path
) -> None:
    """The starter is a session leader that gets SIGKILL, as a role may."""
    starter = subprocess.Popen(
        [
            *("ip", "netns", "exec", namespace.name, sys.executable, "-c"),
            STARTER,
            namespace.interface,
            str(tmp_path / "log"),
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        os.killpg(starter.pid, signal.SIGKILL)

    found = device(namespace, tmp_path)

    assert namespace.run(found.alive)
    namespace.run(found.apply, [SetPeer(KEY, NO_IPS)])
    assert KEY in namespace.run(found.observe)


def test_a_device_that_dies_is_noticed_collected_and_made_again(
    namespace: Namespace, tmp_path: Path
) -> None:
    wireguard = device(namespace, tmp_path)
    namespace.run(wireguard.create)
    pid = pid_of(namespace)

    os.kill(pid, signal.SIGKILL)

    assert within(5, lambda: not namespace.run(wireguard.alive))
    assert uapi.socket_path(namespace.interface).exists(), "a killed process leaves its socket"
    assert within(
        5, lambda: not namespace.run(wireguard.alive) and not Path(f"/proc/{pid}").exists()
    )
    namespace.run(wireguard.create)
    assert namespace.run(wireguard.alive)


def test_a_process_that_lost_its_link_is_replaced(namespace: Namespace, tmp_path: Path) -> None:
    wireguard = device(namespace, tmp_path)
    namespace.run(wireguard.create)
    namespace.shell("ip", "link", "set", namespace.interface, "name", "stolen0")
    before = pid_of(namespace)

    namespace.run(wireguard.create)

    assert pid_of(namespace) != before
    assert "stolen0" not in namespace.shell("ip", "link")
    assert namespace.interface in namespace.shell("ip", "link")


def test_a_link_that_has_its_name_by_now_is_not_its_own(
    namespace: Namespace, tmp_path: Path
) -> None:
    wireguard, interface = device(namespace, tmp_path), namespace.interface
    namespace.run(wireguard.create)
    assert namespace.run(wireguard.read) is not None
    namespace.shell("ip", "link", "set", interface, "name", "stolen0")
    assert namespace.run(wireguard.read) is not None, "there is no other"

    namespace.shell("ip", "link", "add", interface, "type", "veth")
    assert namespace.run(wireguard.read) is None
    namespace.shell("ip", "link", "del", interface)
    namespace.run(wireguard.create)
    assert namespace.run(wireguard.read) is not None


def test_down_ends_the_process_and_leaves_a_link_that_has_its_name_by_now(
    namespace: Namespace, tmp_path: Path
) -> None:
    wireguard, interface = device(namespace, tmp_path), namespace.interface
    namespace.run(wireguard.create)
    namespace.shell("ip", "link", "set", interface, "name", "stolen0")
    namespace.shell("ip", "link", "add", interface, "type", "veth")
    links = Netlink(interface, metric=route_metric(interface))

    namespace.run(take_down, Parts(links, wireguard, Nft(interface)), PrivateKey.generate())
    namespace.run(links.close)

    assert not namespace.run(wireguard.alive)
    assert interface in namespace.shell("ip", "link")
    assert "stolen0" not in namespace.shell("ip", "link")


def test_another_namespaces_device_is_neither_used_nor_ended(
    namespace: Namespace, tmp_path: Path
) -> None:
    """All namespaces share one folder of sockets."""
    with namespaced() as other:
        theirs = WireguardGo(namespace.interface, log=tmp_path / "theirs")
        other.run(theirs.create)
        ours = device(namespace, tmp_path)

        assert not namespace.run(ours.alive)
        assert namespace.run(ours.read) is None
        with pytest.raises(Conflict, match="another network namespace"):
            namespace.run(ours.create)
        namespace.run(ours.remove)
        assert other.run(theirs.alive)


def test_a_foreign_link_of_our_name_is_refused(namespace: Namespace, tmp_path: Path) -> None:
    namespace.shell("ip", "link", "add", namespace.interface, "type", "veth")

    with pytest.raises(Unavailable, match="did not bring up"):
        namespace.run(device(namespace, tmp_path).create)


def test_without_the_program_the_cure_is_said(namespace: Namespace, tmp_path: Path) -> None:
    wireguard = WireguardGo(namespace.interface, log=tmp_path / "log", program="no-such-program")

    with pytest.raises(Unavailable, match="apt install wireguard-go"):
        namespace.run(wireguard.create)


def test_a_program_that_ends_at_once_is_reported_with_its_last_words(
    namespace: Namespace, tmp_path: Path
) -> None:
    program = tmp_path / "wireguard-go"
    program.write_text("#!/bin/sh\nprintf 'no such \\033[31mluck\\n'\nexit 1\n")
    program.chmod(0o755)
    wireguard = WireguardGo(namespace.interface, log=tmp_path / "log", program=str(program))

    began = time.monotonic()
    with pytest.raises(Unavailable, match="luck") as caught:
        namespace.run(wireguard.create)

    assert "\033" not in str(caught.value)
    assert time.monotonic() - began < 4, "not after the whole time for a start"


def test_the_log_is_its_owners_alone(namespace: Namespace, tmp_path: Path) -> None:
    namespace.run(device(namespace, tmp_path).create)

    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_socket_file_that_a_dead_process_left_is_no_obstacle(
    namespace: Namespace, tmp_path: Path
) -> None:
    path = uapi.socket_path(namespace.interface)
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(path))
    wireguard = device(namespace, tmp_path)

    namespace.run(wireguard.create)

    assert namespace.run(wireguard.alive)


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        (
            "0::/system.slice/system-wgctl\\x2dwireguard.slice/wgctl-wireguard@wg7.service\n",
            "wgctl-wireguard@wg7.service",
        ),
        ("0::/system.slice/wgctl-gateway.service\n", None),
        ("1:name=systemd:/\n0::/\n", None),
        ("", None),
    ],
)
def test_the_unit_that_watches_a_process_is_in_its_cgroup(cgroups: str, unit: str | None) -> None:
    assert unit_of(cgroups) == unit


def test_a_device_that_another_runs_is_waited_for_and_its_unit_named(
    namespace: Namespace, tmp_path: Path
) -> None:
    waiting = WireguardGo(namespace.interface, log=tmp_path / "log", run_by="some@unit")

    with pytest.raises(Unavailable, match="see systemctl status some@unit"):
        namespace.run(waiting.create)
