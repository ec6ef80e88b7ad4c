"""The seams where a second implementation exists, as Protocols over values.

Speaks of links, devices and tables, never of sockets: those are the drivers' own.
Each is bound to one interface when it is made. All of them raise Unavailable when the system
refuses, with what to do about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wgctl.core.firewall import Ruleset
from wgctl.core.tunnel import Device, DeviceStep, FirewallStep, Link, LinkStep, Route

__all__ = ["Firewall", "Links", "Seen", "WireGuard"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a device saw of one peer; None where there was no packet or no handshake yet."""

    endpoint: str | None
    last_handshake: int | None
    received_bytes: int
    sent_bytes: int


class Links(Protocol):
    """The link, its addresses, and our routes."""

    def index(self) -> int | None:
        """Return the number of the interface, None if there is no such interface."""

    def read(self) -> tuple[Link | None, frozenset[Route]]:
        """Return the link, and this interface's routes of ours, to it and to nowhere."""

    def apply(self, steps: Sequence[LinkStep]) -> None:
        """Take steps in order; taking one again changes nothing.

        A failure keeps those before it, and of those after it perhaps some: read back.
        """

    def remove(self) -> None:
        """Delete the link; nothing if it is not there."""


class WireGuard(Protocol):
    """The WireGuard device of the link."""

    @property
    def backend(self) -> str:
        """What runs the device: `kernel`, `userspace` or `memory`."""

    def alive(self) -> bool:
        """Whether the device answers."""

    def create(self) -> None:
        """Make the device and its link, down and empty."""

    def read(self) -> Device | None:
        """Return the device, None if it is not there."""

    def observe(self) -> Mapping[bytes, Seen]:
        """Return what the device saw of each peer, by the 32 bytes of its key."""

    def apply(self, steps: Sequence[DeviceStep]) -> None:
        """Take steps in order. A failure half-way keeps those before it: read back."""

    def remove(self) -> None:
        """End the device and wait until it is gone; nothing if it is not there."""


class Firewall(Protocol):
    """The table of the link."""

    def read(self) -> Ruleset | None:
        """Return the table, None if it is not there."""

    def apply(self, step: FirewallStep) -> None:
        """Take one step, wholly or not at all."""

    def remove(self) -> None:
        """Delete the table; nothing if it is not there."""
