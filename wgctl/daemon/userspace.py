"""wireguard-go as a service of its own: `python -m wgctl.daemon.userspace INTERFACE`.

Decides whether this host wants the process, opens its socket for the gateway's user, and becomes
it. wireguard-go would open the socket for its own user alone.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from peers.errors import Invalid
from wgctl.core import settings as core_settings
from wgctl.core.errors import Refusal
from wgctl.core.settings import DEFAULT_PATH, Backend, Settings
from wgctl.daemon import devices
from wgctl.daemon.unix import listen
from wgctl.drivers import uapi

__all__ = ["NOT_WANTED", "main", "unwanted"]

NOT_WANTED = 77
"""The exit status that the unit takes for a good end, not to be started again."""

GROUP = "wgctl-wireguard"
_FAILED = 1


def main(interface: str) -> int:
    """Become wireguard-go for `interface`, or return why not as an exit status."""
    path = Path(os.environ.get("WGCTL_CONFIG", DEFAULT_PATH))
    try:
        settings = core_settings.parse(path.read_text("utf-8"), origin=str(path))
        reason = unwanted(settings, interface)
        if reason is not None:
            sys.stderr.write(f"{reason}: wireguard-go is not wanted\n")
            return NOT_WANTED
        _become(interface)
    except (OSError, Refusal, Invalid) as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED


def unwanted(settings: Settings, interface: str) -> str | None:
    """Return why the process is not wanted, None if it is."""
    if interface != settings.gateway.interface:
        return f"the tunnel's interface is {settings.gateway.interface}, not {interface}"
    try:
        runs = devices.chosen(settings)
    except Refusal as error:
        return str(error)
    return None if runs is Backend.USERSPACE else "the kernel has WireGuard"


def _become(interface: str) -> NoReturn:
    listener = listen(uapi.socket_path(interface), group=GROUP)
    listener.set_inheritable(True)
    # Python ignores it, and what is ignored stays so in the program that we become.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    environment = {**os.environ, "WG_UAPI_FD": str(listener.fileno())}
    os.execvpe("wireguard-go", ["wireguard-go", "-f", interface], environment)  # noqa: S606


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004  # ourselves, and the interface
        sys.exit("usage: python -m wgctl.daemon.userspace INTERFACE")
    sys.exit(main(sys.argv[1]))
