"""Processes that answer beside the one that follows: what each hears, and when they end."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest

from tests.patience import HANG_S
from wgctl.core.errors import Unavailable
from wgctl.daemon.workers import (
    QUESTION_HEAD_BYTES,
    SEQUENCE_BYTES,
    Begin,
    Channel,
    Failing,
    Refused,
    Workers,
)
from wgctl.drivers.dns_server import Listening
from wgctl.drivers.dns_stream import Asker

ADDRESS = bytes.fromhex("fdaa0000001800100000000000000002")


@contextmanager
def working(count: int, work: Callable[[Channel], None]) -> Iterator[Workers]:
    workers = Workers(count, work)
    try:
        yield workers
    finally:
        workers.close()


def echo(channel: Channel) -> None:
    """Refuse as many queries as the machines of each order."""
    with suppress(EOFError):
        while True:
            order = channel.orders.recv()
            if isinstance(order, Failing):
                channel.orders.send(Refused({b"x": len(order.machines)}))
            else:
                channel.orders.send(Listening("wg", os.getpid()))


def ask(channel: Channel) -> None:
    """Ask two questions, and tell what came back by how many octets it has."""
    channel.orders.recv()
    for number in (1, 2):
        head = number.to_bytes(SEQUENCE_BYTES, "big") + ADDRESS
        assert len(head) == QUESTION_HEAD_BYTES
        channel.questions.send(head + b"question" * number)
    for _ in range(2):
        reply = channel.questions.recv(512)
        channel.orders.send(Refused({reply[:SEQUENCE_BYTES]: len(reply) - SEQUENCE_BYTES}))
    with suppress(EOFError):
        channel.orders.recv()


class Heard:
    """What workers told."""

    def __init__(self) -> None:
        self.listening: list[Listening] = []
        self.refused: list[Mapping[bytes, int]] = []

    async def of(
        self,
        workers: Workers,
        until: Callable[[], bool],
        handler: Callable[[bytes, Asker], bytes | Awaitable[bytes | None] | None],
    ) -> None:
        running = asyncio.create_task(
            workers.run(handler, on_listening=self.listening.append, on_refused=self.refused.append)
        )
        try:
            async with asyncio.timeout(HANG_S):
                while not until():
                    if running.done():
                        running.result()
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await asyncio.wait([running])


def silent(_message: bytes, _asker: Asker) -> None:
    """Answer nothing."""


def test_each_of_them_hears_each_order_in_turn() -> None:
    heard = Heard()
    with working(2, echo) as workers:
        workers.tell(Begin())
        workers.tell(Failing(1, frozenset({1, 2})))
        workers.tell(Failing(1, frozenset()))
        asyncio.run(heard.of(workers, lambda: len(heard.refused) == 4, silent))

    assert len({one.index for one in heard.listening}) == 2
    assert sorted(one[b"x"] for one in heard.refused) == [0, 0, 2, 2]


def test_their_questions_are_answered_at_once_or_later() -> None:
    heard, askers = Heard(), []

    async def later(message: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return message + b"later"

    def handler(message: bytes, asker: Asker) -> bytes | Awaitable[bytes]:
        askers.append(asker)
        return later(message) if len(message) == 8 else message + b"now"

    with working(1, ask) as workers:
        workers.tell(Begin())
        asyncio.run(heard.of(workers, lambda: len(heard.refused) == 2, handler))

    assert heard.refused == [{b"\0\0\0\2": 19}, {b"\0\0\0\1": 13}]
    assert askers == [Asker(ADDRESS, stream=False)] * 2


def test_the_role_ends_when_one_of_them_does() -> None:
    heard = Heard()
    with working(2, echo) as workers:
        workers.tell(Begin())
        asyncio.run(heard.of(workers, lambda: len(heard.listening) == 2, silent))
        victim = heard.listening[0].index
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(Unavailable, match=f"process {victim} .* has ended"):
            asyncio.run(heard.of(workers, lambda: False, silent))


def test_signals_that_end_the_role_leave_them_to_end_with_it() -> None:
    heard = Heard()
    with working(1, echo) as workers:
        workers.tell(Begin())
        asyncio.run(heard.of(workers, lambda: bool(heard.listening), silent))
        pid = heard.listening[0].index
        assert pid is not None
        for signum in (signal.SIGTERM, signal.SIGINT):
            os.kill(pid, signum)
        workers.tell(Failing(1, frozenset({1})))
        asyncio.run(heard.of(workers, lambda: bool(heard.refused), silent))

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_they_end_when_the_role_is_killed() -> None:
    read, write = os.pipe()
    role = os.fork()
    if role == 0:
        os.close(read)
        workers = Workers(2, echo)
        workers.tell(Begin())
        pids = [channel.orders.recv().index for channel in workers._channels.values()]  # noqa: SLF001
        os.write(write, b" ".join(b"%d" % pid for pid in pids))
        signal.pause()
    os.close(write)
    pids = [int(pid) for pid in os.read(read, 100).split()]
    os.close(read)
    os.kill(role, signal.SIGKILL)
    os.waitpid(role, 0)
    deadline = time.monotonic() + HANG_S

    assert len(pids) == 2
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    """Whether a process is there that nobody has to wait for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
