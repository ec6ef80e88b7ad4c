from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.drivers.namespaces import Namespace, namespaced
from wgctl.core import settings as core_settings
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.settings import Backend, Settings
from wgctl.daemon import devices
from wgctl.drivers.netlink import wireguard

AUTO, KERNEL, USERSPACE = Backend.AUTO, Backend.KERNEL, Backend.USERSPACE

pytestmark = pytest.mark.network

in_kernel = pytest.param(KERNEL, marks=pytest.mark.kernel)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaced() as made:
        yield made


def settings(folder: Path, namespace: Namespace, wanted: Backend) -> Settings:
    return core_settings.parse(
        f'state_dir = "{folder}"\n[gateway]\nregion = "ams"\nendpoint = "192.0.2.1:51820"\n'
        f'interface = "{namespace.interface}"\nbackend = "{wanted}"\n',
        origin="test",
    )


@contextmanager
def made(settings: Settings, namespace: Namespace, runs: Backend) -> Iterator[None]:
    """A device that stands for the time of a block."""
    opened = devices.links(settings)
    device = devices.driver(settings, runs, opened)
    namespace.run(device.create)
    yield
    namespace.run(device.remove)
    namespace.run(opened.close)


@pytest.mark.parametrize("runs", [USERSPACE, in_kernel])
def test_what_stands_is_found_and_auto_stays_with_it(
    namespace: Namespace, tmp_path: Path, runs: Backend
) -> None:
    auto = settings(tmp_path, namespace, AUTO)

    with made(auto, namespace, runs):
        assert namespace.run(devices.standing, auto) is runs
        assert namespace.run(devices.chosen, auto) is runs

    assert namespace.run(devices.standing, auto) is None


@pytest.mark.parametrize(("runs", "wanted"), [(USERSPACE, KERNEL), (KERNEL, USERSPACE)])
def test_the_other_kind_is_refused_while_it_stands(
    namespace: Namespace, tmp_path: Path, runs: Backend, wanted: Backend
) -> None:
    if runs is KERNEL and not wireguard.is_available():
        pytest.skip("no WireGuard in this kernel: see tests/kernel")
    other = settings(tmp_path, namespace, wanted)

    with made(other, namespace, runs), pytest.raises(Conflict, match="wgctl down"):
        namespace.run(devices.chosen, other)


def test_the_kernels_is_chosen_where_the_kernel_has_it(
    namespace: Namespace, tmp_path: Path
) -> None:
    expected = KERNEL if wireguard.is_available() else USERSPACE

    assert namespace.run(devices.chosen, settings(tmp_path, namespace, AUTO)) is expected


def test_a_kernel_that_has_none_is_refused(namespace: Namespace, tmp_path: Path) -> None:
    if wireguard.is_available():
        pytest.skip("this kernel has WireGuard")

    with pytest.raises(Unavailable, match="no WireGuard"):
        namespace.run(devices.chosen, settings(tmp_path, namespace, KERNEL))
