import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.namespaces import Namespace, namespaced
from wgctl.core import settings as core_settings
from wgctl.core.settings import Settings
from wgctl.daemon import devices
from wgctl.daemon.userspace import NOT_WANTED, unwanted
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
    _, said = second.communicate(timeout=30)

    assert second.returncode == 1
    assert "another process answers" in said
    assert namespace.run(first.alive)

    namespace.run(first.remove)


def test_another_interface_is_not_wanted_and_a_good_end(
    namespace: Namespace, tmp_path: Path
) -> None:
    process = started(config(tmp_path, namespace), namespace, "wg-other")
    _, said = process.communicate(timeout=30)

    assert process.returncode == NOT_WANTED
    assert f"interface is {namespace.interface}, not wg-other" in said


def test_it_is_wanted_only_where_the_kernel_is_not_to_run_the_device(
    namespace: Namespace, tmp_path: Path
) -> None:
    for backend, reason in {
        "userspace": None,
        "auto": "the kernel has WireGuard" if wireguard.is_available() else None,
        "kernel": "the kernel has WireGuard" if wireguard.is_available() else "no WireGuard",
    }.items():
        found = namespace.run(
            unwanted, settings(config(tmp_path, namespace, backend=backend)), namespace.interface
        )

        assert (found is None) == (reason is None)
        assert (reason or "") in (found or "")


def test_a_process_that_no_unit_watches_may_be_ended(namespace: Namespace, tmp_path: Path) -> None:
    made = settings(config(tmp_path, namespace))
    device = WireguardGo(namespace.interface, log=tmp_path / "log")
    namespace.run(device.create)

    namespace.run(devices.refuse_watched, made)
    namespace.run(device.remove)
