"""WireGuard devices that run as a wireguard-go process.

Starts, finds and ends the process; what is said to it is `wgctl.drivers.uapi`. The process is
found by its socket, never by a file of ours, and outlives the one that started it.
"""

import array
import fcntl
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.ports import Seen
from wgctl.core.tunnel import Device, DeviceStep
from wgctl.drivers import uapi

__all__ = ["WireguardGo", "unit_of"]

_TUN = Path("/dev/net/tun")
_UNIT = "wgctl-wireguard@"

# From linux/sockios.h and linux/ethtool.h: the request, struct ifreq, struct ethtool_drvinfo.
_ETHTOOL, _GET_DRIVER = 0x8946, 3
_IFREQ = struct.Struct("@16sP16x")
_DRIVER = struct.Struct("=I32s160x")

_START_S = 5.0
_LEAVE_S = 0.5
_END_S = 3.0
_POLL_S = 0.02


class WireguardGo:
    """The device of one interface in the network namespace that the thread is in."""

    backend = "userspace"

    def __init__(
        self,
        interface: str,
        *,
        log: Path,
        program: str = "wireguard-go",
        run_by: str | None = None,
    ) -> None:
        """Bind to an interface that need not be there; the process writes faults to `log`.

        `run_by` names what else starts the process and starts it again, None: we do.
        """
        self._run_by = run_by
        self._interface = interface
        self._log = log
        self._program = program
        self._socket = uapi.socket_path(interface)
        self._child: int | None = None

    def alive(self) -> bool:
        """Whether a process of this network namespace answers at the interface's socket."""
        self._reap()
        return self._owner() is not None

    def create(self) -> None:
        """Start wireguard-go and wait until device and link are there.

        A process that has lost its link is ended first; one that another runs is waited for.
        Raises Unavailable when it does not come up, Conflict when another namespace has a device
        of this name.
        """
        if self._run_by is not None:
            self._wait_for(self._run_by)
            return
        if self.alive():
            self.remove()
        self._check_free()
        self._check_tun()
        self._child = self._spawn()
        self._wait_until_up()
        if not self._is_up():
            raise Unavailable(f"wireguard-go did not bring up {self._interface}: {self._fault()}")

    def read(self) -> Device | None:
        """Return the device, None if no process answers, or another's link has the name.

        A link can be renamed under its process, and its name be given to any other.
        """
        is_others = _driver(self._interface) not in {None, "tun"}
        return None if is_others or not self.alive() else uapi.read(self._socket)

    def observe(self) -> Mapping[bytes, Seen]:
        """Return what the device saw of each peer, by the 32 bytes of its key."""
        return uapi.observe(self._socket)

    def apply(self, steps: Sequence[DeviceStep]) -> None:
        """Take steps in order. A failure half-way keeps those before it: read back."""
        uapi.set_(self._socket, steps)

    def remove(self) -> None:
        """End the process, which takes its link with it; nothing if there is none.

        One whose link is gone already ends by itself. Raises Unavailable if it is another user's.
        """
        pid = self._owner()
        if pid is not None:
            with suppress(ProcessLookupError):
                self._end(pid)
        self._reap()

    def unit(self) -> str | None:
        """Return the systemd unit that the process at the socket is in and that watches over it."""
        pid = self._owner()
        with suppress(OSError):
            return unit_of(Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace"))
        return None

    def _wait_for(self, unit: str) -> None:
        deadline = time.monotonic() + _START_S
        while not (self._has_link() and self.alive()):
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{unit} has not made {self._interface}: see systemctl status {unit}"
                )
            time.sleep(_POLL_S)

    def _owner(self) -> int | None:
        """Return the process at the socket, None if there is none or its device is elsewhere.

        The sockets' folder is one for all network namespaces.
        """
        pid = uapi.owner(self._socket)
        with suppress(OSError):
            theirs = Path(f"/proc/{pid}/ns/net").stat()
            if theirs.st_ino != Path("/proc/thread-self/ns/net").stat().st_ino:
                return None
        return pid

    def _check_free(self) -> None:
        if uapi.answers(self._socket):
            raise Conflict(
                f"interface {self._interface} is taken: {self._socket} belongs to a device of "
                f"another network namespace; choose another interface"
            )

    def _spawn(self) -> int:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        # Written anew by each start: it holds faults alone, and its end says why a start failed.
        into = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        try:
            return os.posix_spawnp(
                self._program,
                [self._program, "-f", self._interface],
                {**os.environ, "LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(self._log), into, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                # A session of its own: no terminal and no group of ours can end it with us.
                setsid=True,
            )
        except FileNotFoundError as error:
            raise Unavailable(
                f"{self._program} is not on the PATH: apt install wireguard-go"
            ) from error

    def _check_tun(self) -> None:
        try:
            os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise Unavailable(
                f"{_TUN}: {error.strerror}; wireguard-go needs it: modprobe tun, as root"
            ) from error

    def _is_up(self) -> bool:
        return self._has_link() and uapi.answers(self._socket)

    def _has_link(self) -> bool:
        with suppress(OSError):
            return socket.if_nametoindex(self._interface) > 0
        return False

    def _fault(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()
        said = [line for line in lines if line.isascii()]
        return ascii(said[-1]) if said else f"it said nothing in {self._log}"

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._is_up() and not self._reap() and time.monotonic() < deadline:
            time.sleep(_POLL_S)

    def _end(self, pid: int) -> None:
        """Wait for a process without a link to end; ask one with a link, then end it."""
        handle = os.pidfd_open(pid)
        try:
            if not self._has_link() and _ended(handle, _LEAVE_S):
                return
            for wish in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(handle, wish)
                if _ended(handle, _END_S):
                    return
        except PermissionError as error:
            raise Unavailable(
                f"wireguard-go of {self._interface}, process {pid}, is not yours: end it as root"
            ) from error
        finally:
            os.close(handle)

    def _reap(self) -> bool:
        """Collect our child if it has ended; whether it has."""
        if self._child is None:
            return False
        try:
            ended = os.waitpid(self._child, os.WNOHANG)[0] != 0
        except ChildProcessError:
            ended = True
        if ended:
            self._child = None
        return ended


def _driver(interface: str) -> str | None:
    """Return the name of the driver that a link has, None where that cannot be told."""
    told = array.array("B", _DRIVER.pack(_GET_DRIVER, b""))
    asked = _IFREQ.pack(interface.encode("ascii"), told.buffer_info()[0])
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        fcntl.ioctl(opened, _ETHTOOL, asked)
        name: bytes = _DRIVER.unpack_from(told)[1]
        return name.rstrip(b"\0").decode("ascii", "replace")
    return None


def unit_of(cgroups: str) -> str | None:
    """Return the unit of ours in what /proc/PID/cgroup says, None for any other and none."""
    names = (line.rpartition("/")[2] for line in cgroups.splitlines())
    return next((name for name in names if name.startswith(_UNIT)), None)


def _ended(handle: int, timeout_s: float) -> bool:
    return bool(select.select([handle], [], [], timeout_s)[0])
