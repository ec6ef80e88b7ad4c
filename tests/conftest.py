"""What all tests share: no deadline on single cases, and no kernel test without such a kernel."""

import pytest
from hypothesis import settings

from wgctl.drivers.netlink import wireguard

# A machine that runs several suites at once is slow at random: how long a case takes is no law.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("kernel")]
    if wanting and not wireguard.is_available():
        skip = pytest.mark.skip(reason="no WireGuard in this kernel: see tests/kernel")
        for item in wanting:
            item.add_marker(skip)
