"""DNS over UDP at the `::3` of every network behind one interface, as fast as it goes.

Knows who asked, what is kept of earlier replies, and how much one may ask; what a query that is not
kept deserves is the handler's business. A query must be for the `::3` of the network that its
source address names, and nothing that arrives through another interface is ever seen: the socket
is bound to the device.
"""

import random
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from peers.addresses import RESOLVER_NUMBER
from wgctl.core.responder import Answer
from wgctl.drivers.batch import (
    ENVELOPE_BYTES,
    MESSAGE_AT,
    OFFSETS,
    ROOM_BYTES,
    SENDERS,
    SLOTS,
    Batch,
    Sender,
    send,
)
from wgctl.drivers.crowd import NETWORK_BYTES
from wgctl.drivers.kept import Kept

__all__ = ["Allowance", "DnsDatagrams", "Handler", "Question", "own_resolver"]

_RESOLVER = RESOLVER_NUMBER.to_bytes(16 - NETWORK_BYTES, "big")
_ID_BYTES = 2
_QUERY_AT = MESSAGE_AT + _ID_BYTES
_SILENCE = b""
_MAX_QUERY_BYTES = 4096
_TURN_BITS = 32

# A reply that must be made takes about as long as four that are kept.
_MADE_COST = 4
# Each takes about 0.6 KB with its query.
_MOST_KEPT = 200_000


class Allowance(NamedTuple):
    """How many queries of one address are taken: so many a second, and at once."""

    per_s: int
    burst: int


class Question(NamedTuple):
    """A query that is not kept: its octets, who asks, and the envelope that a reply wants later."""

    message: bytes
    asker: bytes
    envelope: bytes


Handler = Callable[[Question, Kept, int], Answer | None]
"""Gives the reply to a question in a turn, having renewed what is kept; None for none, or later."""


class _Client:
    """One address that asks one `::3`, and how much more it may."""

    __slots__ = ("address", "at", "kept", "left", "replies", "seen")

    def __init__(self, address: bytes, kept: Kept, *, left: float, at: float) -> None:
        self.address = address
        self.kept = kept
        self.replies = kept.replies
        self.left = self.seen = left
        self.at = at


class DnsDatagrams:
    """The queries that one socket brings, and the replies to them."""

    def __init__(self, datagrams: socket.socket, handler: Handler, *, allowance: Allowance) -> None:
        """Answer what `datagrams` brings from what is kept, or as `handler` says."""
        self._socket = datagrams
        self._batch = Batch(datagrams)
        self._handler = handler
        self._per_s, self._burst = allowance
        self._clients: dict[bytes, _Client] = {}
        self._networks: dict[bytes, Kept] = {}
        self._count = 0
        self._refused: Counter[bytes] = Counter()
        self._draw = random.Random().getrandbits  # noqa: S311  # order is no secret

    def exchange(self, now: float) -> bool:
        """Answer what has come, 64 queries at most; return whether there may be more.

        `now` is in seconds of a clock that never goes back.
        """
        slots, lengths = self._batch.take()
        if not lengths:
            return False
        senders = [slots[where] for where in SENDERS[: len(lengths)]]
        clients = list(map(self._clients.get, senders))
        replies: list[bytes] = []
        for at, length, client in zip(OFFSETS, lengths, clients, strict=False):
            if client is None:
                client = self._meet(senders[len(replies)], now)  # noqa: PLW2901
            if client is None or (client.left < 1 and not self._refill(client, now)):
                replies.append(_SILENCE)
                continue
            client.left -= 1
            reply = client.replies.get(slots[at + _QUERY_AT : at + MESSAGE_AT + length])
            if reply is None or length > ROOM_BYTES:
                slot = slots[at : at + MESSAGE_AT + ROOM_BYTES]
                reply = self._reply(client, slot, len(replies), length)
            replies.append(reply)
        self._batch.reply(replies)
        return len(lengths) == SLOTS

    def send(self, envelope: bytes, message: bytes) -> None:
        """Send a reply that comes later; what the kernel does not take is lost."""
        try:
            send(self._socket, envelope, message)
        except OSError:
            return

    def suspend(self, network: bytes) -> None:
        """Give nothing that is kept of `network`, its first 6 octets, before the handler says."""
        kept = self._networks.get(network)
        if kept is not None:
            kept.suspend()

    def sweep(self) -> frozenset[bytes]:
        """Forget who has not asked since the last sweep; return the networks that nobody is of."""
        for sender, client in list(self._clients.items()):
            if client.left == client.seen:
                del self._clients[sender]
            client.seen = client.left
        busy = {client.address[:NETWORK_BYTES] for client in self._clients.values()}
        idle = frozenset(self._networks.keys() - busy)
        for network in idle:
            del self._networks[network]
        return idle

    def refused(self) -> Mapping[bytes, int]:
        """Return how many queries of which addresses were too many since this was asked last."""
        refused, self._refused = self._refused, Counter()
        return refused

    def _meet(self, octets: bytes, now: float) -> _Client | None:
        sender = Sender.read(octets)
        if sender is None or not own_resolver(*sender):
            return None
        network = sender.source[:NETWORK_BYTES]
        kept = self._networks.setdefault(network, Kept())
        client = _Client(sender.source, kept, left=self._burst, at=now)
        self._clients[octets] = client
        return client

    def _refill(self, client: _Client, now: float) -> bool:
        """Give `client` what it may ask by now; return whether that is a query."""
        client.left = min(self._burst, client.left + (now - client.at) * self._per_s)
        client.at = now
        if client.left >= 1:
            return True
        self._refused[client.address] += 1
        return False

    def _reply(self, client: _Client, slot: bytes, number: int, length: int) -> bytes:
        """Return the reply to a query that has none that is always the same."""
        message = slot[MESSAGE_AT : MESSAGE_AT + length]
        if length > ROOM_BYTES:
            message += self._batch.rest(number, length)
        if length > _MAX_QUERY_BYTES:
            return _SILENCE
        query, kept, turn = message[_ID_BYTES:], client.kept, self._draw(_TURN_BITS)
        orders = kept.turning.get(query)
        if orders is not None and (found := orders[turn % len(orders)]) is not None:
            return found
        client.left -= _MADE_COST - 1
        question = Question(message, client.address, slot[:ENVELOPE_BYTES])
        answer = self._handler(question, kept, turn)
        if answer is None:
            return _SILENCE
        if length > ROOM_BYTES:
            return answer.octets[_ID_BYTES:]
        self._count += 1
        if self._count > _MOST_KEPT:
            self._make_room()
        return kept.add(query, answer, turn)

    def _make_room(self) -> None:
        """Keep nothing when there is too much: what is asked for comes back by itself."""
        self._count = sum(len(kept) for kept in self._networks.values())
        if self._count > _MOST_KEPT:
            for kept in self._networks.values():
                kept.clear()
            self._count = 0


def own_resolver(asker: bytes, asked: bytes) -> bool:
    """Whether `asked` is the `::3` of the network that `asker` is in."""
    return asked[NETWORK_BYTES:] == _RESOLVER and asked[:NETWORK_BYTES] == asker[:NETWORK_BYTES]
