import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.namespaces import Namespace, namespaced
from tests.patience import HANG_S
from wgctl.core import settings as core_settings
from wgctl.core.settings import DEFAULT_PATH, Backend, GatewaySettings, Settings
from wgctl.daemon import devices
from wgctl.daemon.userspace import _CONFIG, NOT_WANTED, socket_path, unwanted
from wgctl.drivers import uapi
from wgctl.drivers.netlink import wireguard
from wgctl.drivers.wireguard_go import WireguardGo

pytestmark = pytest.mark.network


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaced() as made:
        yield made


def config(folder: Path, namespace: Namespace, *, backend: str = "userspace") -> Path:
    path = folder / "wgctl.toml"
    path.write_text(
        f'state_dir = "{folder}"\n[gateway]\nregion = "ams"\nendpoint = "192.0.2.1:51820"\n'
        f'interface = "{namespace.interface}"\nbackend = "{backend}"\n'
    )
    return path


def settings(path: Path) -> Settings:
    return core_settings.parse(path.read_text(), origin="test")


def started(path: Path, namespace: Namespace, interface: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *("ip", "netns", "exec", namespace.name),
            *(sys.executable, "-m", "wgctl.daemon.userspace", interface),
        ],
        env={**os.environ, "WGCTL_CONFIG": str(path), "LOG_LEVEL": "error"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_becomes_the_device_that_a_gateway_waits_for_and_never_ends(
    namespace: Namespace, tmp_path: Path
) -> None:
    path = config(tmp_path, namespace)
    device = WireguardGo(namespace.interface, log=tmp_path / "log", run_by="a unit")

    for _ in range(2):  # Again after a kill, which leaves the socket behind.
        process = started(path, namespace, namespace.interface)
        namespace.run(device.create)
        found = namespace.run(device.read)

        assert found is not None
        assert found.peers == {}
        assert uapi.owner(uapi.socket_path(namespace.interface)) == process.pid
        assert "wireguard-go" in Path(f"/proc/{process.pid}/cmdline").read_text()

        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_a_second_process_does_not_take_the_device_of_the_first(
    namespace: Namespace, tmp_path: Path
) -> None:
    path = config(tmp_path, namespace)
    first = WireguardGo(namespace.interface, log=tmp_path / "log")
    namespace.run(first.create)

    second = started(path, namespace, namespace.interface)
    _, said = second.communicate(timeout=HANG_S)

    assert second.returncode == 1
    assert "another process answers" in said
    assert namespace.run(first.alive)

    namespace.run(first.remove)


def test_another_interface_is_not_wanted_and_a_good_end(
    namespace: Namespace, tmp_path: Path
) -> None:
    process = started(config(tmp_path, namespace), namespace, "wg-other")
    _, said = process.communicate(timeout=HANG_S)

    assert process.returncode == NOT_WANTED
    assert f"interface is {namespace.interface}, not wg-other" in said


def test_it_is_wanted_only_where_the_kernel_is_not_to_run_the_device(namespace: Namespace) -> None:
    has_kernel = wireguard.is_available()
    for gateway, wanted in (
        ({"backend": "userspace"}, True),
        ({"backend": "auto"}, not has_kernel),
        ({}, not has_kernel),
        ({"backend": "kernel"}, False),
        ({"backend": "userspace", "interface": "wg7"}, False),
    ):
        reason = namespace.run(unwanted, gateway, "wgctl0")

        assert (reason is None) == wanted, gateway


@pytest.mark.kernel
def test_it_is_not_wanted_while_the_kernels_device_stands(
    namespace: Namespace, tmp_path: Path
) -> None:
    """`python -m` looks at /sys, which `ip netns exec` mounts for the namespace."""
    namespace.shell("ip", "link", "add", namespace.interface, "type", "wireguard")
    process = started(config(tmp_path, namespace), namespace, namespace.interface)
    _, said = process.communicate(timeout=HANG_S)

    assert process.returncode == NOT_WANTED
    assert "the kernel runs the device" in said


def test_what_it_takes_for_granted_to_start_sooner_is_what_the_others_say() -> None:
    gateway = GatewaySettings.model_fields

    assert (gateway["interface"].default, gateway["backend"].default) == ("wgctl0", Backend.AUTO)
    assert socket_path("wg7") == uapi.socket_path("wg7")
    assert str(DEFAULT_PATH) == _CONFIG


def test_it_loads_nothing_that_takes_long() -> None:
    """Tunnels are cut until it is back."""
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, wgctl.daemon.userspace; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert not {"pydantic", "cryptography", "pyroute2", "structlog", "asyncio"} & set(listed)


def test_a_process_that_no_unit_watches_may_be_ended(namespace: Namespace, tmp_path: Path) -> None:
    made = settings(config(tmp_path, namespace))
    device = WireguardGo(namespace.interface, log=tmp_path / "log")
    namespace.run(device.create)

    namespace.run(devices.refuse_watched, made)
    namespace.run(device.remove)
