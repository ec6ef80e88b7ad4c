"""The kernel's IPv6 switches, as files under /proc/sys.

Reads and writes them; when forwarding is wanted is `wgctl.daemon.gateway`.
"""

from collections.abc import Mapping
from pathlib import Path

from wgctl.core.errors import Unavailable

__all__ = ["PROC_SYS", "accept_ra", "are_there", "forwards", "switch_forwarding_on"]

PROC_SYS = Path("/proc/sys")

# From Documentation/networking/ip-sysctl.rst, accept_ra: 1 takes router advertisements only while
# the host does not forward, 2 also while it does.
_UNLESS_FORWARDING = 1
_EVEN_IF_FORWARDING = 2
_NO_UPLINKS = frozenset({"all", "default", "lo"})


def are_there(*, root: Path = PROC_SYS) -> bool:
    """Whether there are switches to look at: systemd hides them with ProcSubset=pid."""
    return root.is_dir()


def forwards(*, root: Path = PROC_SYS) -> bool:
    """Whether the host forwards IPv6 between its interfaces.

    Raises Unavailable where the switch is hidden or IPv6 is not there.
    """
    return _read(_folder(root) / "all/forwarding") != 0


def accept_ra(*, root: Path = PROC_SYS) -> Mapping[str, int]:
    """Return, for each interface, whether it takes router advertisements: 0, 1 or 2."""
    return {
        switch.parent.name: _read(switch)
        for switch in sorted(_folder(root).glob("*/accept_ra"))
        if switch.parent.name not in _NO_UPLINKS
    }


def switch_forwarding_on(*, root: Path = PROC_SYS) -> tuple[str, ...]:
    """Let the host forward IPv6, and return the switches that were changed, in order.

    Uplinks that take router advertisements go on doing so, and keep their default route.
    Raises Unavailable where a switch cannot be written.
    """
    if forwards(root=root):
        return ()
    uplinks = [name for name, mode in accept_ra(root=root).items() if mode == _UNLESS_FORWARDING]
    for name in uplinks:
        _write(_folder(root) / name / "accept_ra", _EVEN_IF_FORWARDING)
    _write(_folder(root) / "all/forwarding", 1)
    return (*(f"{name}.accept_ra=2" for name in uplinks), "all.forwarding=1")


def _folder(root: Path) -> Path:
    return root / "net/ipv6/conf"


def _read(switch: Path) -> int:
    try:
        return int(switch.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise Unavailable(f"{switch}: {error}; is IPv6 switched on in this kernel?") from error


def _write(switch: Path, value: int) -> None:
    try:
        switch.write_text(f"{value}\n", "ascii")
    except OSError as error:
        raise Unavailable(
            f"{switch}: {error.strerror}; set net.ipv6.conf.{switch.parent.name}.{switch.name} "
            f"to {value} in /etc/sysctl.d"
        ) from error
