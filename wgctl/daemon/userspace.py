"""wireguard-go as a service of its own: `python -m wgctl.daemon.userspace INTERFACE`.

Decides whether this host wants the process, opens its socket for the gateway's user, and becomes
it: wireguard-go would open the socket for its own user alone. Tunnels are cut until it is back, so
this loads as little as it can, and leaves it to the gateway to judge the rest of the config.
"""

import os
import signal
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from wgctl.core.errors import Refusal
from wgctl.daemon.unix import listen
from wgctl.drivers.netlink import generic
from wgctl.drivers.netlink.vocabulary import FAMILY

__all__ = ["GROUP", "NOT_WANTED", "main", "socket_path", "unwanted"]

NOT_WANTED = 77
"""The exit status that the unit takes for a good end, not to be started again."""

GROUP = "wgctl-wireguard"
_CONFIG = "/etc/wgctl/wgctl.toml"
_FAILED = 1


def main(interface: str) -> int:
    """Become wireguard-go for `interface`, or return why not as an exit status."""
    path = Path(os.environ.get("WGCTL_CONFIG", _CONFIG))
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        reason = unwanted(document.get("gateway", {}), interface)
        if reason is not None:
            sys.stderr.write(f"{reason}: wireguard-go is not wanted\n")
            return NOT_WANTED
        _become(interface)
    except (OSError, ValueError, Refusal) as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED


def unwanted(gateway: Mapping[str, object], interface: str) -> str | None:
    """Return why the section `[gateway]` does not want the process, None if it does.

    A kernel's device that stands is never replaced: see `wgctl.core.backend`.
    """
    named = gateway.get("interface", "wgctl0")
    if interface != named:
        return f"the tunnel's interface is {named}, not {interface}"
    backend = gateway.get("backend", "auto")
    if backend == "kernel" or _is_kernels(interface):
        return "the kernel runs the device"
    if backend == "auto" and generic.has_family(FAMILY):
        return "the kernel has WireGuard"
    return None


def socket_path(interface: str) -> Path:
    """Return `wgctl.drivers.uapi.socket_path`, without what loading that takes."""
    return Path("/var/run/wireguard", f"{interface}.sock")


def _is_kernels(interface: str) -> bool:
    facts = Path("/sys/class/net", interface, "uevent")
    return facts.exists() and "DEVTYPE=wireguard" in facts.read_text("ascii", "replace")


def _become(interface: str) -> NoReturn:
    listener = listen(socket_path(interface), group=GROUP)
    listener.set_inheritable(True)
    # Python ignores it, and what is ignored stays so in the program that we become.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    environment = {**os.environ, "WG_UAPI_FD": str(listener.fileno())}
    os.execvpe("wireguard-go", ["wireguard-go", "-f", interface], environment)  # noqa: S606


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  # ourselves, and the interface
        sys.exit("usage: python -m wgctl.daemon.userspace INTERFACE")
    sys.exit(main(sys.argv[1]))
