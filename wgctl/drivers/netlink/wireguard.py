"""WireGuard devices of the kernel.

Talks to the kernel; the bytes are made by `encode` and read by `decode`, and links are made by
`links`. Never raises or logs what was sent: it may hold the private key.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.ports import Seen
from wgctl.core.tunnel import Device, DeviceStep
from wgctl.drivers.netlink import generic
from wgctl.drivers.netlink.decode import parse, parse_seen
from wgctl.drivers.netlink.encode import device_name, requests
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.vocabulary import FAMILY, KIND, Command

__all__ = ["KernelWireGuard", "is_available"]

_Result = TypeVar("_Result")

# No such link, a link of another kind, a kernel without the family.
_NO_DEVICE = frozenset({errno.ENODEV, errno.EOPNOTSUPP, errno.ENOENT})
_CURES = {
    errno.EADDRINUSE: "the UDP port is in use: choose another listen_port, or end what uses it",
    errno.EPERM: "run it as root or with CAP_NET_ADMIN",
    errno.ENODEV: "the device is gone, the next pass makes it again",
}


def is_available() -> bool:
    """Whether the kernel has WireGuard; a module that is not loaded is, if there is one."""
    return generic.has_family(FAMILY)


class KernelWireGuard:
    """The device of one interface in the network namespace that the thread is in."""

    backend = "kernel"

    def __init__(self, interface: str, links: Netlink) -> None:
        """Bind to an interface that need not be there; `links` is bound to the same one."""
        self._interface = interface
        self._links = links

    def alive(self) -> bool:
        """Whether there is a device."""
        return self._links.kind() == KIND

    def create(self) -> None:
        """Make the device and its link, down and empty, in the place of one that is there.

        Raises Unavailable when the kernel refuses, Conflict for a link of another kind.
        """
        kind = self._links.kind()
        if kind == KIND:
            self.remove()
        elif kind is not None:
            raise Conflict(
                f"interface {self._interface} is there already, a {kind} link, expected none or a "
                f"{KIND} link: end what made it, or choose another interface"
            )
        self._links.make(KIND)

    def read(self) -> Device | None:
        """Return the device, None if it is not there."""
        return self._described(parse)

    def observe(self) -> Mapping[bytes, Seen]:
        """Return what the device saw of each peer, by the 32 bytes of its key."""
        seen = self._described(parse_seen)
        if seen is None:
            raise Unavailable(f"interface {self._interface}: no WireGuard device of the kernel's")
        return seen

    def apply(self, steps: Sequence[DeviceStep]) -> None:
        """Take steps in order. A failure half-way keeps those before it: read back."""
        with self._asking("a change"):
            generic.ask(FAMILY, Command.SET_DEVICE, requests(self._interface, steps))

    def remove(self) -> None:
        """Delete the device and its link; nothing if it is not there, or of another kind."""
        if self.alive():
            self._links.remove()

    def _described(self, read: Callable[[Iterator[bytes]], _Result]) -> _Result | None:
        with self._asking("a read"):
            try:
                name = device_name(self._interface)
                return generic.dump(FAMILY, Command.GET_DEVICE, name, read=read)
            except OSError as error:
                if error.errno in _NO_DEVICE:
                    return None
                raise

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            code = error.errno or errno.ETIMEDOUT
            cure = _CURES.get(code, "the next pass reads back and tries again")
            reason = error.strerror or os.strerror(code)
            raise Unavailable(
                f"interface {self._interface} refused {what}: {reason} (errno {code}); {cure}"
            ) from error
        except ValueError as error:
            raise Unavailable(
                f"interface {self._interface} described itself in another form: {error}"
            ) from error
