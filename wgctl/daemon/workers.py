"""The processes of the resolver that answer datagrams, seen from the one that follows the feed.

They are forked before anything is opened, and end when this one does: the channel to it closes.

    orders      what has changed, to each of them; where they listen, and whom they refuse, back
    questions   queries that are for the upstreams, from them; replies, back
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Never

import structlog

from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Put, parse_line, render_line
from wgctl.core.lease import Standing
from wgctl.daemon.follow import Changes
from wgctl.drivers.dns_server import Listening
from wgctl.drivers.dns_stream import Asker, Handler

__all__ = [
    "QUESTION_HEAD_BYTES",
    "SEQUENCE_BYTES",
    "Begin",
    "Channel",
    "Failing",
    "Follow",
    "Order",
    "Refused",
    "Standings",
    "Workers",
]

SEQUENCE_BYTES = 4
_ADDRESS_BYTES = 16
QUESTION_HEAD_BYTES = SEQUENCE_BYTES + _ADDRESS_BYTES
_MOST_BYTES = 65536

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Begin:
    """The copy is there: open it."""


@dataclass(frozen=True, slots=True)
class Follow:
    """The copy has these changes; `lacking` those of them and before that its file could not take.

    `lines` are their events, as the feed writes them.
    """

    lines: tuple[bytes, ...]
    replaced: bool
    revision: int
    lacking: bool

    @classmethod
    def of(cls, changes: Changes, *, lacking: bool) -> "Follow":
        """Return the order that `changes` are read from."""
        lines = tuple(map(render_line, changes.events))
        return cls(lines, changes.replaced, changes.revision, lacking)

    def changes(self) -> Changes:
        """Return the changes."""
        events = (parse_line(line) for line in self.lines)
        told = tuple(event for event in events if isinstance(event, Put | Delete))
        return Changes(self.replaced, told, self.revision)


@dataclass(frozen=True, slots=True)
class Failing:
    """The machines of a network that are to be left out."""

    network_id: int
    machines: frozenset[int]


@dataclass(frozen=True, slots=True)
class Standings:
    """How leases stand."""

    of: Mapping[int, Standing]


Order = Begin | Follow | Failing | Standings


@dataclass(frozen=True, slots=True)
class Refused:
    """How many queries of each address were too many."""

    queries: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class Channel:
    """A worker's end, or the end that leads to it."""

    orders: Connection
    questions: socket.socket

    def close(self) -> None:
        """Close both."""
        self.orders.close()
        self.questions.close()


class Workers:
    """All of them, by their process ids."""

    def __init__(self, count: int, work: Callable[[Channel], None]) -> None:
        """Fork `count` processes, each of which does `work` and ends.

        They ignore the signals that end this process: they end when their channel does.
        """
        self._channels: dict[int, Channel] = {}
        for _ in range(count):
            ours, theirs = _channel()
            pid = os.fork()
            if pid == 0:
                for other in (*self._channels.values(), ours):
                    other.close()
                _run(work, theirs)
            theirs.close()
            self._channels[pid] = ours

    def tell(self, order: Order) -> None:
        """Give `order` to all of them."""
        octets = bytes(ForkingPickler.dumps(order))
        for channel in self._channels.values():
            channel.orders.send_bytes(octets)

    async def run(
        self,
        handler: Handler,
        *,
        on_listening: Callable[[Listening], None],
        on_refused: Callable[[Mapping[bytes, int]], None],
    ) -> Never:
        """Answer their questions as `handler` says, and pass on what they tell, until cancelled.

        Raises Unavailable when one of them has ended.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[int] = loop.create_future()
        desks = [_Desk(channel.questions, handler) for channel in self._channels.values()]

        def hear(pid: int) -> None:
            try:
                told = self._channels[pid].orders.recv()
            except (EOFError, OSError):
                loop.remove_reader(self._channels[pid].orders.fileno())
                if not ended.done():
                    ended.set_result(pid)
                return
            if isinstance(told, Listening):
                on_listening(told)
            elif isinstance(told, Refused):
                on_refused(told.queries)

        for pid, channel in self._channels.items():
            loop.add_reader(channel.orders.fileno(), hear, pid)
        try:
            raise Unavailable(f"the process {await ended} that answers datagrams has ended")
        finally:
            for channel in self._channels.values():
                loop.remove_reader(channel.orders.fileno())
            for desk in desks:
                desk.close()

    def close(self) -> None:
        """End them all, and wait for them."""
        for pid, channel in self._channels.items():
            channel.close()
            os.waitpid(pid, 0)
        self._channels.clear()


class _Desk:
    """The questions of one worker."""

    def __init__(self, questions: socket.socket, handler: Handler) -> None:
        self._questions = questions
        self._handler = handler
        self._owed: set[asyncio.Task[None]] = set()
        questions.setblocking(False)
        asyncio.get_running_loop().add_reader(questions, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._questions)
        for task in self._owed:
            task.cancel()

    def _read(self) -> None:
        try:
            question = self._questions.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        if len(question) < QUESTION_HEAD_BYTES:
            asyncio.get_running_loop().remove_reader(self._questions)
            return
        number = question[:SEQUENCE_BYTES]
        asker = Asker(question[SEQUENCE_BYTES:QUESTION_HEAD_BYTES], stream=False)
        reply = self._handler(question[QUESTION_HEAD_BYTES:], asker)
        if isinstance(reply, bytes):
            self._send(number, reply)
        elif reply is not None:
            task = asyncio.ensure_future(self._send_later(number, reply))
            self._owed.add(task)
            task.add_done_callback(self._owed.discard)

    async def _send_later(self, number: bytes, reply: Awaitable[bytes | None]) -> None:
        octets = await reply
        if octets is not None:
            self._send(number, octets)

    def _send(self, number: bytes, reply: bytes) -> None:
        try:
            self._questions.send(number + reply)
        except OSError:
            # It does not keep up, or has ended: the asker asks again.
            _log.debug("reply lost on its way to a worker")


def _channel() -> tuple[Channel, Channel]:
    ours, theirs = Pipe()
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours, near), Channel(theirs, far)


def _run(work: Callable[[Channel], None], channel: Channel) -> Never:
    """Do `work` in a process of its own, which ends with it."""
    status = 1
    try:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_IGN)
        work(channel)
        status = 0
    except Exception:  # noqa: BLE001  # nobody is there to whom it could be raised
        _log.exception("worker failed")
    finally:
        os._exit(status)
