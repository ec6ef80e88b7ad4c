"""What all tests share: no deadline on single cases, and no test on a machine it is not for."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from wgctl.drivers.netlink import wireguard

# A machine that runs several suites at once is slow at random: how long a case takes is no law.
settings.register_profile(
    "no deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("no deadline")

# Whoever starts tests may ignore what ends a command, as nohup does: a child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("kernel")]
    if wanting and not wireguard.is_available():
        _skip(wanting, reason="no WireGuard in this kernel: see tests/kernel")
    # Where a guest has its job.
    if not Path("/run/job/run").exists():
        changing = [item for item in items if item.get_closest_marker("guest")]
        _skip(changing, reason="changes the machine: see tests/kernel")


def _skip(items: list[pytest.Item], *, reason: str) -> None:
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))
