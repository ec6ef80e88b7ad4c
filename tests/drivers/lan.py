"""A resolver's namespace and a client's, joined by the tunnel's device and by an uplink.

Both are veth pairs; nothing may be answered on the uplink.
"""

import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.drivers.namespaces import Namespace, thread_in

__all__ = [
    "OTHER_PEER",
    "OTHER_RESOLVER",
    "PEER",
    "RESOLVER",
    "UPLINK_HERE",
    "UPLINK_THERE",
    "Lan",
    "joined",
]

RESOLVER, PEER = "fdaa:0:18::3", "fdaa:0:18:10::2"
OTHER_RESOLVER, OTHER_PEER = "fdaa:0:19::3", "fdaa:0:19:10::2"
UPLINK_HERE, UPLINK_THERE = "2001:db8::1", "2001:db8::2"


@dataclass(frozen=True, slots=True)
class Lan:
    """The server's namespace, the client's, and the devices between."""

    server: Namespace
    client: str

    @property
    def device(self) -> str:
        return self.server.interface

    @property
    def uplink(self) -> str:
        return f"{self.server.interface}u"

    def add_device(self) -> None:
        """Make the tunnel's device, with both networks on it."""
        self.join(self.device)
        for address in (RESOLVER, OTHER_RESOLVER, "fdaa:0:18::4"):
            self.add_address(self.device, f"{address}/48", here=True)
        for address in (PEER, OTHER_PEER):
            self.add_address(self.device, f"{address}/48", here=False)

    def add_uplink(self) -> None:
        self.join(self.uplink)
        self.add_address(self.uplink, f"{UPLINK_HERE}/64", here=True)
        self.add_address(self.uplink, f"{UPLINK_THERE}/64", here=False)

    def join(self, name: str) -> None:
        there = ["peer", "name", name, "netns", self.client]
        self.server.shell("ip", "link", "add", name, "type", "veth", *there)
        self.server.shell("ip", "link", "set", name, "up")
        self.in_client("ip", "link", "set", name, "up")

    def add_address(self, device: str, address: str, *, here: bool) -> None:
        command = ["ip", "address", "add", address, "dev", device, "nodad"]
        if here:
            self.server.shell(*command)
        else:
            self.in_client(*command)

    def in_client(self, *command: str) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", self.client, *command],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def beside(self) -> ThreadPoolExecutor:
        """Return a thread that lives in the client's namespace; the caller ends it."""
        return thread_in(self.client)

    def take_uplink(self) -> None:
        """Lead what is for the resolver, and what it would reply, over the uplink."""
        there = [f"{RESOLVER}/128", "via", UPLINK_HERE, "dev", self.uplink]
        back = [f"{PEER}/128", "via", UPLINK_THERE, "dev", self.uplink]
        self.in_client("ip", "-6", "route", "add", *there)
        self.server.shell("ip", "-6", "route", "add", *back)
        # The way by the uplink is open in both directions.
        self.in_client("ping", "-q", "-c5", "-i0.2", "-W1", "-I", PEER, RESOLVER)

    def leave_uplink(self) -> None:
        """Lead what is for the resolver over the tunnel's device again."""
        self.in_client("ip", "-6", "route", "del", f"{RESOLVER}/128", "dev", self.uplink)

    def dig(
        self, *words: str, tries: int = 12, name: str = "who.internal", type_: str = "TXT"
    ) -> str:
        """Return what dig prints of `name`; nothing when no reply came."""
        command = ["dig", "+short", f"+tries={tries}", "+time=1", *words, name, type_]
        try:
            return self.in_client(*command).strip()
        except subprocess.CalledProcessError as error:
            assert error.returncode == 9, error.stdout  # no reply  # noqa: PT017
            return ""


@contextmanager
def joined(server: Namespace) -> Iterator[Lan]:
    """Make the client's namespace for the time of a block; no device joins it to `server` yet."""
    client = f"wc{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", client], check=True)
    try:
        made = Lan(server, client)
        # Neighbours are found from link-local addresses, which are otherwise in doubt for a second.
        for shell in (server.shell, made.in_client):
            shell("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", client], check=True)
