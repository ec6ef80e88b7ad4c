"""TLS-ALPN-01 at the API's own port: connections of a CA are told apart before TLS begins.

How a proof looks is `wgctl.core.challenge`. No other port is needed, and nobody else's connection
is looked at unless a CA has been asked to come.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from wgctl.core.authority import Certified
from wgctl.core.challenge import PROTOCOL, asks
from wgctl.drivers import tls

__all__ = ["Proofs", "Visitor"]

# A record of TLS: its type, its version, and its length in two octets (RFC 8446, section 5.1).
_HANDSHAKE = b"\x16"
_HEAD = 5
_MOST = _HEAD + (1 << 14)
_LOOK_S = 0.02


class Visitor(asyncio.Protocol):
    """A CA: it has seen what it came for with the handshake (RFC 8737, section 3)."""

    def __init__(self, leave: Callable[[], None]) -> None:
        """Call `leave` once it has gone."""
        self._leave = leave

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up."""
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        """Have room again."""
        self._leave()


class Proofs:
    """The certificates that prove that names lead here, while a CA looks."""

    def __init__(self) -> None:
        """Have none."""
        self._tls: ssl.SSLContext | None = None

    @contextmanager
    def shown(self, proofs: Mapping[str, Certified]) -> Iterator[None]:
        """Show a certificate to who asks for its name, for the block; from any thread."""
        self._tls = _tls(proofs)
        try:
            yield
        finally:
            self._tls = None

    async def looked_for(self, connection: socket.socket) -> ssl.SSLContext | None:
        """Return the TLS to show proofs with if `connection`, which does not block, is for that.

        Returns None at once when there are none, else as soon as the other side has said enough,
        or has hung up. Reads nothing that who serves it would then miss.
        """
        if self._tls is None:
            return None
        while (hello := _opening(connection)) is None:  # noqa: ASYNC110  # no event tells of more
            # It can be read as soon as a part is there, so that waiting for that would spin.
            await asyncio.sleep(_LOOK_S)
        return self._tls if asks(hello) else None


def _opening(connection: socket.socket) -> bytes | None:
    """Return what tells what this is: a whole record, or what is none of TLS; None: not all yet."""
    try:
        hello = connection.recv(_MOST, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    if hello[:1] != _HANDSHAKE:
        return hello
    wanted = min(_HEAD + int.from_bytes(hello[3:_HEAD]), _MOST)
    return hello if len(hello) >= max(_HEAD, wanted) else None


def _tls(proofs: Mapping[str, Certified]) -> ssl.SSLContext:
    shown = tls.server_tls(PROTOCOL)
    by_name = {}
    for name, proof in proofs.items():
        by_name[name] = tls.server_tls(PROTOCOL)
        tls.use(by_name[name], certificate=proof.certificate, key=proof.key)
    tls.show_by_name(shown, by_name, others=ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
    return shown
