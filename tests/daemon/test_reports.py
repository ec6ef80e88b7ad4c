"""Reports are told to a real controller over its node socket."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import HANG_S
from wgctl.core.health import Health, Record
from wgctl.core.model import Role
from wgctl.core.schema import UpstreamCondition
from wgctl.daemon.ledger import Ledger
from wgctl.daemon.reports import Reports
from wgctl.store.copy import Copy
from wgctl.store.health import HealthFile


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    made = Copy(tmp_path / "copy.sqlite")
    yield made
    made.close()


class Listener:
    """Takes HTTP requests on a Unix socket and keeps their bodies."""

    def __init__(self) -> None:
        self.bodies: asyncio.Queue[bytes] = asyncio.Queue()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.bodies.put_nowait(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def next(self) -> str:
        async with asyncio.timeout(HANG_S):
            return (await self.bodies.get()).decode()


def test_it_reports_at_once_and_again_when_the_copy_moves(copy: Copy, tmp_path: Path) -> None:
    async def scene() -> tuple[str, str]:
        listener, path = Listener(), tmp_path / "node.sock"
        server = await asyncio.start_unix_server(listener.converse, path)
        reports = Reports(copy, role=Role.RESOLVER, socket=path)
        task = asyncio.create_task(reports.run())
        first = await listener.next()
        copy.write([], epoch="e", revision=7)
        reports.soon()
        second = await listener.next()
        task.cancel()
        server.close()
        return first, second

    first, second = asyncio.run(scene())

    assert '"role":"resolver"' in first
    assert '"revision":0' in first
    assert '"revision":7' in second


def test_what_keeps_a_role_from_its_work_is_told_once(copy: Copy, tmp_path: Path) -> None:
    async def scene() -> tuple[list[bool], list[str]]:
        listener, path = Listener(), tmp_path / "node.sock"
        server = await asyncio.start_unix_server(listener.converse, path)
        reports = Reports(copy, role=Role.RESOLVER, socket=path)
        task = asyncio.create_task(reports.run())
        told = [await listener.next()]
        news = [reports.trouble("port taken"), reports.trouble("port taken")]
        told.append(await listener.next())
        news.append(reports.trouble(None))
        told.append(await listener.next())
        task.cancel()
        server.close()
        return news, told

    news, told = asyncio.run(scene())

    assert news == [True, False, True]
    assert ['"problem":"port taken"' in one for one in told] == [False, True, False]


def test_what_was_found_while_the_controller_was_away_is_told_when_it_is_back(
    copy: Copy, tmp_path: Path
) -> None:
    async def scene(ledger: Ledger) -> str:
        listener, path = Listener(), tmp_path / "node.sock"
        reports = Reports(copy, role=Role.RESOLVER, socket=path, ledger=ledger)
        ledger.note(Record(7).moved(Health.HEALTHY, at=1, reason="tcp 80: connected"))
        task = asyncio.create_task(reports.run())
        await asyncio.sleep(0.1)
        ledger.note(ledger.of(7).moved(Health.UNHEALTHY, at=2, reason="tcp 80: no answer"))
        server = await asyncio.start_unix_server(listener.converse, path)
        told = await listener.next()
        while ledger.untold:  # noqa: ASYNC110  # the answer is on its way
            await asyncio.sleep(0.01)
        task.cancel()
        server.close()
        return told

    file = HealthFile(tmp_path / "health.sqlite")
    told = asyncio.run(scene(Ledger(file)))
    file.close()
    (health,) = json.loads(told)["health"]

    assert (health["machine_id"], health["health"]) == (7, "unhealthy")
    assert [moved["after"] for moved in health["transitions"]] == ["healthy", "unhealthy"]


def test_two_problems_are_told_together_with_what_is_known_of_upstreams(
    copy: Copy, tmp_path: Path
) -> None:
    async def scene() -> list[str]:
        listener, path = Listener(), tmp_path / "node.sock"
        server = await asyncio.start_unix_server(listener.converse, path)
        reports = Reports(copy, role=Role.RESOLVER, socket=path)
        reports.trouble("port taken")
        reports.trouble("no upstream answers", of="upstreams")
        reports.upstreams([UpstreamCondition(upstream="9.9.9.9:53", reason="no reply in time")])
        task = asyncio.create_task(reports.run())
        told = [await listener.next()]
        reports.trouble(None)
        told.append(await listener.next())
        task.cancel()
        server.close()
        return told

    both, one = asyncio.run(scene())

    assert '"problem":"port taken; no upstream answers"' in both
    assert '"upstreams":[{"upstream":"9.9.9.9:53","reason":"no reply in time"}]' in both
    assert '"problem":"no upstream answers"' in one


def test_a_controller_that_is_away_is_no_fault(copy: Copy, tmp_path: Path) -> None:
    async def scene() -> bool:
        reports = Reports(copy, role=Role.RESOLVER, socket=tmp_path / "nobody.sock")
        task = asyncio.create_task(reports.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(task)
        running = not task.done()
        task.cancel()
        return running

    assert asyncio.run(scene())
