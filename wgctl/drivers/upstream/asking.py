"""One upstream: over UDP first where it may be, then over a connection, which nobody can spoof.

Draws ids and the case of letters (draft-vixie-dnsext-dns0x20); what is tried next if this one fails
is `wgctl.drivers.upstream.forwarder`.
"""

import secrets
import ssl
import time
from functools import partial

from wgctl.core.forward.answer import Answer, Failure, Fault, Ours, read
from wgctl.core.forward.question import Question, pack, spell
from wgctl.core.forward.upstream import Transport, Upstream
from wgctl.drivers.upstream.connection import Connection
from wgctl.drivers.upstream.datagram import exchange

__all__ = ["Asking"]

_ID_BITS = 16
_CASE_BITS = 255 * 8  # an octet for each of the longest name
# How long one that does not give the case back is asked in lower case, until it is tried again.
_PLAIN_FOR_S = 3600.0
# What another try over a connection, where ids and ports cannot be guessed, decides.
_DOUBTFUL = frozenset({Fault.TRUNCATED, Fault.RESPELLED, Fault.STRAY})


class Asking:
    """What it takes to ask one upstream."""

    def __init__(self, upstream: Upstream, *, ours: Ours, tls: ssl.SSLContext | None) -> None:
        """Ask `upstream`; addresses of `ours` are not believed, over TLS only whom `tls` trusts."""
        self._upstream = upstream
        self._ours = ours
        self._connection = Connection(upstream, tls=tls)
        self._plain_until = float("-inf")

    def spell(self, question: Question) -> bytes:
        """Return `question` in letters of random case, if this upstream gives them back."""
        plain = time.monotonic() < self._plain_until
        return spell(question, bits=0 if plain else secrets.randbits(_CASE_BITS))

    async def ask(self, question: Question, spelled: bytes) -> Answer | Failure:
        """Put `question` as `spelled`, and return what comes of it; waits for ever.

        Raises OSError when the upstream cannot be reached.
        """
        if self._upstream.transport is Transport.UDP:
            found = await self._over_udp(question, spelled)
            if not isinstance(found, Failure) or found.fault not in _DOUBTFUL:
                return found
        return await self._over_connection(question, spelled)

    def close(self) -> None:
        """Close what is open."""
        self._connection.close()

    async def _over_udp(self, question: Question, spelled: bytes) -> Answer | Failure:
        asked = pack(question, spelled, id_=secrets.randbits(_ID_BITS))
        exact = time.monotonic() >= self._plain_until
        judge = partial(read, question=question, asked=asked, ours=self._ours, exact=exact)
        found: Answer | Failure = Failure(Fault.STRAY)

        def is_reply(message: bytes) -> bool:
            nonlocal found
            found = judge(message)
            return not isinstance(found, Failure) or found.fault is not Fault.STRAY

        await exchange(self._upstream.endpoint, asked, is_reply=is_reply)
        return found

    async def _over_connection(self, question: Question, spelled: bytes) -> Answer | Failure:
        padded = self._upstream.transport is Transport.TLS
        asked = b""

        def make(id_: int) -> bytes:
            nonlocal asked
            asked = pack(question, spelled, id_=id_, padded=padded)
            return asked

        message = await self._connection.exchange(make)
        judge = partial(read, message, question, asked=asked, ours=self._ours)
        found = judge()
        if isinstance(found, Failure) and found.fault is Fault.RESPELLED:
            # It is the upstream itself that spells so, not somebody who had to guess.
            self._plain_until = time.monotonic() + _PLAIN_FOR_S
            found = judge(exact=False)
        return found
