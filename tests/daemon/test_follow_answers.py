import asyncio
from collections.abc import Iterator
from contextlib import closing

import pysqlite3
import pytest

from peers.names import Label
from tests.daemon.following import (
    NEW,
    OLD,
    ROLE,
    following,
    rendered,
)
from tests.daemon.running import folder_of_a_socket, host
from tests.patience import HANG_S
from tests.store.samples import NOW
from wgctl.core.feed import NEEDS, Beat, Commit, Delete, Event, Kind, Put, Snapshot
from wgctl.core.model import Org
from wgctl.core.settings import Settings
from wgctl.store.copy import Copy


@pytest.fixture
def settings() -> Iterator[Settings]:
    with folder_of_a_socket() as folder:
        yield host(folder)


@pytest.mark.parametrize(
    ("kinds", "since"),
    [
        (frozenset(), 2**63 - 1),
        (NEEDS[ROLE] - {Kind.MACHINE}, 2**63 - 1),
        (NEEDS[ROLE], 3),
        (frozenset(Kind), 3),
    ],
    ids=["not said", "one too few", "all", "more"],
)
def test_a_snapshot_that_lacks_a_kind_is_asked_for_again(
    settings: Settings, kinds: frozenset[Kind], since: int
) -> None:
    """An earlier controller knows fewer; upgraded, it must not be followed on from there."""
    asked: list[str] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + rendered(Snapshot("e", kinds=kinds), Commit(3)))
        await writer.drain()
        writer.close()

    async def follow() -> None:
        settings.runtime_dir.mkdir()
        async with (
            await asyncio.start_unix_server(speak, settings.node_socket),
            following(settings),
            asyncio.timeout(HANG_S),
        ):
            while len(asked) < 2:  # noqa: ASYNC110  # asked again
                await asyncio.sleep(0.02)

    asyncio.run(follow())
    assert asked[1] == f"GET /v1/feed?role=internal-api&epoch=e&since={since} HTTP/1.1"


@pytest.mark.parametrize("after", [Commit(8), Put(Kind.ORG, Org(3, Label("c"), NOW)), Beat()])
def test_a_copy_that_lost_its_place_takes_a_snapshot_before_anything_else(
    settings: Settings, after: Event
) -> None:
    """Else the next commit would give it a place again, without the row that was lost."""
    asked: list[str] = []
    lost = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + rendered(Snapshot("e"), OLD, NEW))
        writer.write(rendered(Commit(6 + len(asked))))
        if len(asked) == 1:
            await lost.wait()
            writer.write(rendered(after, Commit(9)))
        await writer.drain()
        writer.close()

    async def follow() -> None:
        settings.runtime_dir.mkdir()
        async with (
            await asyncio.start_unix_server(speak, settings.node_socket),
            following(settings) as followed,
        ):
            await followed.until(7)
            with closing(pysqlite3.connect(str(settings.role_dir(ROLE) / "copy.sqlite"))) as file:
                file.execute("UPDATE rows SET body = '\xff' WHERE id = 1")
                file.commit()
            assert list(followed.copy.orgs()) == [NEW.row]
            lost.set()
            await followed.until(8)

            assert list(followed.copy.orgs()) == [OLD.row, NEW.row]
            assert [changes.replaced for changes in followed.told[:2]] == [True, True]

    asyncio.run(follow())
    assert asked[1] == "GET /v1/feed?role=internal-api&epoch=&since=0 HTTP/1.1"


@pytest.mark.parametrize(
    "lines",
    [
        [Snapshot("f"), NEW],
        [NEW],
        [NEW, Delete(Kind.ORG, 1), Beat()],
        [Snapshot("f"), *([NEW] * 1_500)],
    ],
    ids=["snapshot", "change", "changes and a beat", "long snapshot"],
)
def test_what_ends_before_its_commit_changes_nothing(
    settings: Settings, lines: list[Put | Snapshot | Delete | Beat]
) -> None:
    """A copy is always a state that was."""
    copy = Copy(settings.role_dir(ROLE) / "copy.sqlite")
    copy.write([OLD], epoch="e", revision=7)
    copy.close()

    async def follow() -> None:
        asked = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + rendered(*lines))
            await writer.drain()
            writer.close()

        settings.runtime_dir.mkdir()
        async with (
            await asyncio.start_unix_server(answer, settings.node_socket),
            following(settings) as followed,
            asyncio.timeout(HANG_S),
        ):
            while asked < 3:  # noqa: ASYNC110  # the third question shows that two have failed
                await asyncio.sleep(0.02)

            assert (followed.told, followed.copy.position) == ([], ("e", 7))
            assert list(followed.copy.orgs()) == [OLD.row]

    asyncio.run(follow())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\ngarbage\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
)
def test_a_follower_asks_again_whatever_it_was_answered(settings: Settings, answer: bytes) -> None:
    async def follow() -> list[str]:
        asked: list[str] = []

        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
            last = b"HTTP/1.1 200 OK\r\n\r\n" + rendered(Snapshot("e"), Commit(5))
            writer.write(answer if len(asked) == 1 else last)
            await writer.drain()
            writer.close()

        settings.runtime_dir.mkdir()
        async with await asyncio.start_unix_server(speak, settings.node_socket):
            async with following(settings) as followed:
                await followed.until(5)
            return asked

    first, second, *_ = asyncio.run(follow())
    assert first == second == "GET /v1/feed?role=internal-api&epoch=&since=0 HTTP/1.1"
