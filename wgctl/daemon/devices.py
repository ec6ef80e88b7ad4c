"""The WireGuard device of this host: what runs it, and the driver that speaks to it.

Looks and joins; which one it is to be is `wgctl.core.backend`.
"""

import os
from contextlib import closing

from wgctl.core import backend
from wgctl.core.errors import Conflict
from wgctl.core.model import Role
from wgctl.core.ports import WireGuard
from wgctl.core.settings import Backend, Settings
from wgctl.core.tunnel import route_metric
from wgctl.drivers.netlink import wireguard
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.wireguard import KernelWireGuard
from wgctl.drivers.wireguard_go import WireguardGo

__all__ = ["UNIT_VARIABLE", "chosen", "driver", "links", "refuse_watched", "standing"]

UNIT_VARIABLE = "WGCTL_WIREGUARD_UNIT"
"""Names, in a service's environment, the template of units that run wireguard-go in its place."""


def chosen(settings: Settings) -> Backend:
    """Return what is to run the device.

    Raises Unavailable for a kernel that has no WireGuard, Conflict for a device of the other kind.
    """
    wanted = settings.gateway.backend
    found = standing(settings)
    ask_kernel = found is None and wanted is not Backend.USERSPACE
    has_kernel = ask_kernel and wireguard.is_available()
    return backend.choose(wanted, standing=found, has_kernel=has_kernel)


def standing(settings: Settings) -> Backend | None:
    """Return what runs the device that there is, None if there is none."""
    with closing(links(settings)) as opened:
        for found in (Backend.USERSPACE, Backend.KERNEL):
            if driver(settings, found, opened).alive():
                return found
    return None


def links(settings: Settings) -> Netlink:
    """Return the driver of the link; it is for the thread that uses it first."""
    interface = settings.gateway.interface
    return Netlink(interface, metric=route_metric(interface))


def driver(settings: Settings, runs: Backend, opened: Netlink) -> WireGuard:
    """Return the driver of the device that `runs`, which is not `auto`, is to run."""
    interface = settings.gateway.interface
    if runs is Backend.KERNEL:
        return KernelWireGuard(interface, opened)
    return _userspace(settings)


def refuse_watched(settings: Settings) -> None:
    """Raise Conflict while a unit of systemd's runs wireguard-go: it would start it again."""
    unit = _userspace(settings).unit()
    if unit is not None:
        raise Conflict(f"{unit} runs the device: systemctl stop {unit}, then again")


def _userspace(settings: Settings) -> WireguardGo:
    interface, unit = settings.gateway.interface, os.environ.get(UNIT_VARIABLE)
    return WireguardGo(
        interface,
        log=settings.role_dir(Role.GATEWAY) / "wireguard-go.log",
        run_by=f"{unit}{interface}" if unit else None,
    )
