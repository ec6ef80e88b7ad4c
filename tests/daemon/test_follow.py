import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import pysqlite3
import pytest

from peers.names import Label
from tests.api.asking import context_of, served
from tests.daemon.running import folder_of_a_socket, host, running
from tests.patience import HANG_S
from tests.store.samples import NOW, add_peer, key
from wgctl.api.context import Bell
from wgctl.api.nodes import nodes_app
from wgctl.core.feed import NEEDS, Beat, Commit, Delete, Event, Kind, Put, Snapshot, render_line
from wgctl.core.marks import raised
from wgctl.core.model import Org, Role
from wgctl.core.setback import SHOWN_S
from wgctl.core.settings import STORE_NAME, Settings
from wgctl.daemon.follow import Changes, Follower, recent_setback, unfinished
from wgctl.services import org, peer
from wgctl.services.peer import NewKey
from wgctl.store import snapshot
from wgctl.store.copy import Copy
from wgctl.store.marks import begin_anew, read_lineage
from wgctl.store.store import Store

_ROLE = Role.INTERNAL_API
_SOON = 100


class _Followed:
    """A copy that is followed into, and what was told of it."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.told: list[Changes] = []
        self.was_there: list[bool] = []
        self._began_at = copy.position[1]

    def note(self, changes: Changes) -> None:
        self.told.append(changes)
        self.was_there.append(self.copy.position[1] == changes.revision)

    async def until(self, revision: int) -> None:
        """Wait for the file, and for what is told after it."""
        async with asyncio.timeout(HANG_S):
            while min(self.copy.position[1], self._told_of()) < revision:  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(0.02)

    def _told_of(self) -> int:
        return self.told[-1].revision if self.told else self._began_at

    async def reaching(self, revision: int) -> None:
        """Wait for what is read, also where the file is behind."""
        async with asyncio.timeout(HANG_S):
            while self.copy.reached[1] < revision:  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(0.02)


@pytest.fixture
def settings() -> Iterator[Settings]:
    with folder_of_a_socket() as folder:
        yield host(folder)


def _store(settings: Settings) -> Store:
    return Store(settings.role_dir(Role.CONTROLLER) / STORE_NAME)


@asynccontextmanager
async def _served(settings: Settings) -> AsyncIterator[Store]:
    """Serve the roles' door in this process; yield the store, whose commits ring."""
    settings.runtime_dir.mkdir(exist_ok=True)
    bell = Bell()
    bell.attach(asyncio.get_running_loop())
    path = settings.role_dir(Role.CONTROLLER) / STORE_NAME
    store = Store(path, on_commit=lambda _revision: bell.ring())
    try:
        async with served(nodes_app(context_of(store, bell=bell)), settings.node_socket):
            yield store
    finally:
        store.close()


@asynccontextmanager
async def _following(settings: Settings) -> AsyncIterator[_Followed]:
    copy = Copy(settings.role_dir(_ROLE) / "copy.sqlite")
    followed = _Followed(copy)
    follower = Follower(copy, role=_ROLE, socket=settings.node_socket, on_commit=followed.note)
    task = asyncio.create_task(follower.run())
    try:
        yield followed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        copy.close()


def _rows(settings: Settings) -> list[object]:
    """Return what the copy of the role must hold."""
    store = _store(settings)
    with store.reading() as deployment:
        found: list[object] = [put.row for put in deployment.snapshot(NEEDS[_ROLE])]
    store.close()
    return found


def _held(copy: Copy) -> list[object]:
    return [*copy.orgs(), *copy.networks(), *copy.peers()]


def test_a_copy_catches_up_and_hears_of_each_change_before_the_next_beat(
    settings: Settings,
) -> None:
    async def follow() -> list[float]:
        loop, took = asyncio.get_running_loop(), []
        async with _served(settings) as store, _following(settings) as followed:
            await followed.until(3)
            for number in range(3):
                await asyncio.to_thread(org.add, store, Label(f"o{number}"), now=NOW)
                began = loop.time()
                await followed.until(4 + number)
                took.append(loop.time() - began)

            assert followed.copy.position == ("epoch-a", 6)
            assert _held(followed.copy) == _rows(settings)
            assert all(followed.was_there)
            assert followed.told[0].replaced
            assert [changes.revision for changes in followed.told[1:]] == [4, 5, 6]
            assert [event.kind for event in followed.told[1].events] == [Kind.ORG, Kind.NETWORK]
        return took

    assert max(asyncio.run(follow())) < 4


def test_changes_that_follow_each_other_soon_are_told_as_one(settings: Settings) -> None:
    """Or each costs a write to the disk. Where they come slowly anyway, none has to wait."""

    def add(store: Store) -> None:
        for number in range(_SOON):
            org.add(store, Label(f"o{number}"), now=NOW)

    async def follow() -> None:
        loop = asyncio.get_running_loop()
        async with _served(settings) as store, _following(settings) as followed:
            await followed.until(3)
            began, before = loop.time(), len(followed.told)
            await asyncio.to_thread(add, store)
            took_s = loop.time() - began
            await followed.until(3 + _SOON)

            assert len(followed.told) - before <= 5 + took_s / 0.02

    asyncio.run(follow())


def test_a_copy_survives_a_killed_controller_and_goes_on_with_the_next(
    settings: Settings,
) -> None:
    async def follow() -> None:
        async with _following(settings) as followed:
            with running(Role.CONTROLLER, settings) as process:
                await followed.until(3)
                process.kill()
                process.wait()
            before = _held(followed.copy)
            store = _store(settings)
            removed = org.shown(store, "globex").org.id
            org.remove(store, "globex")
            add_peer(store, "acme", 1)
            store.close()

            assert _held(followed.copy) == before
            with running(Role.CONTROLLER, settings):
                await followed.until(5)

                assert _held(followed.copy) == _rows(settings)
            assert not any(changes.replaced for changes in followed.told[1:])
            assert Delete(Kind.ORG, removed) in [e for c in followed.told for e in c.events]

    asyncio.run(follow())


def test_a_copy_of_another_store_is_replaced_as_a_whole(settings: Settings) -> None:
    copy = Copy(settings.role_dir(_ROLE) / "copy.sqlite")
    copy.write([Put(Kind.ORG, Org(99, Label("old"), NOW))], epoch="epoch-z", revision=2)
    copy.close()

    async def follow() -> None:
        async with _following(settings) as followed, _served(settings):
            await followed.until(3)

            assert [changes.replaced for changes in followed.told] == [True]
            assert followed.told[0].events == ()
            assert _held(followed.copy) == _rows(settings)
            assert followed.copy.position == ("epoch-a", 3)

    asyncio.run(follow())


def test_thousands_of_rows_arrive_whole_as_a_snapshot_and_as_changes(settings: Settings) -> None:
    store = _store(settings)
    for first in range(0, 5_000, 1_000):
        with store.writing() as deployment:
            for number in range(first, first + 1_000):
                deployment.add_org(Label(f"o{number}"), now=NOW)
    store.close()

    async def follow(*, replaced: bool) -> None:
        async with _served(settings), _following(settings) as followed:
            await followed.until(8)

            assert followed.told[0].replaced is replaced
            assert replaced or len(followed.told[0].events) > 5_000
            assert _held(followed.copy) == _rows(settings)

    asyncio.run(follow(replaced=True))
    path = settings.role_dir(_ROLE) / "copy.sqlite"
    path.unlink()
    copy = Copy(path)
    with copy.replacing(NEEDS[_ROLE]) as empty:
        empty.commit(epoch="epoch-a", revision=0)
    copy.close()
    asyncio.run(follow(replaced=False))


def test_a_copy_that_lacks_a_kind_is_fetched_anew_and_read_meanwhile(settings: Settings) -> None:
    """A newer version may need more: changes alone would never bring what there was."""
    copy = Copy(settings.role_dir(_ROLE) / "copy.sqlite")
    with copy.replacing(NEEDS[_ROLE] - {Kind.PEER}) as replacement:
        replacement.commit(epoch="epoch-a", revision=3)
    copy.close()

    async def follow() -> None:
        async with _served(settings), _following(settings) as followed:
            async with asyncio.timeout(HANG_S):
                while not followed.told:  # noqa: ASYNC110  # a file has no event
                    await asyncio.sleep(0.02)
            assert followed.told[0].replaced
            assert followed.copy.held == NEEDS[_ROLE]
            assert _held(followed.copy) == _rows(settings)
            assert recent_setback(followed.copy) is None

    asyncio.run(follow())


@pytest.mark.parametrize(
    ("kinds", "since"),
    [
        (frozenset(), 2**63 - 1),
        (NEEDS[_ROLE] - {Kind.MACHINE}, 2**63 - 1),
        (NEEDS[_ROLE], 3),
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
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + _lines(Snapshot("e", kinds=kinds), Commit(3)))
        await writer.drain()
        writer.close()

    async def follow() -> None:
        settings.runtime_dir.mkdir()
        async with (
            await asyncio.start_unix_server(speak, settings.node_socket),
            _following(settings),
            asyncio.timeout(HANG_S),
        ):
            while len(asked) < 2:  # noqa: ASYNC110  # asked again
                await asyncio.sleep(0.02)

    asyncio.run(follow())
    assert asked[1] == f"GET /v1/feed?role=internal-api&epoch=e&since={since} HTTP/1.1"


def test_a_restore_is_told_as_one_also_to_a_copy_that_lacks_a_kind(
    settings: Settings, tmp_path: Path
) -> None:
    _changed_after_a_backup(settings, tmp_path / "backup")
    _restored(settings, tmp_path / "backup")
    copy = Copy(settings.role_dir(_ROLE) / "copy.sqlite")
    with copy.replacing(NEEDS[_ROLE] - {Kind.MACHINE}) as replacement:
        replacement.commit(epoch="epoch-a", revision=8)
    copy.close()

    async def follow() -> str | None:
        async with _served(settings), _following(settings) as followed:
            await followed.until(1_000)
            return recent_setback(followed.copy)

    told = asyncio.run(follow())
    assert told is not None
    assert "restored from a back-up of revision 5, this role had 8" in told


def test_a_store_that_was_set_back_replaces_the_copy(settings: Settings) -> None:
    """An administrator who restores a backup has every host follow it."""
    path = settings.role_dir(Role.CONTROLLER) / STORE_NAME
    backup = path.read_bytes()
    store = _store(settings)
    add_peer(store, "acme", 1)
    peer.remove(store, "acme", "default", "peer-1")
    add_peer(store, "acme", 2)
    store.close()

    async def follow() -> None:
        async with _following(settings) as followed:
            async with _served(settings):
                await followed.until(6)
            path.write_bytes(backup)
            async with _served(settings):
                async with asyncio.timeout(HANG_S):
                    while followed.copy.position[1] != 3:  # noqa: ASYNC110  # a file has no event
                        await asyncio.sleep(0.02)

                assert followed.told[-1].replaced
                assert _held(followed.copy) == _rows(settings)
                told = recent_setback(followed.copy)
                assert told is not None
                assert "went back from revision 6 to 3, and not by wgctl restore" in told

    asyncio.run(follow())


def _restored(settings: Settings, backup: Path, *, elapsed_s: int = 60) -> None:
    """Put the back-up in the store's place, as wgctl restore does it."""
    store = settings.role_dir(Role.CONTROLLER) / STORE_NAME
    shutil.copy(backup, store)
    marks = raised(read_lineage(store).marks, elapsed_s=elapsed_s, network_bits=32)
    begin_anew(store, epoch="epoch-b", marks=marks, past=None, now=NOW)


def _changed_after_a_backup(settings: Settings, backup: Path) -> None:
    """Have peers 1 and 2 in the back-up; then 1 goes, 2 gets another key, 3 comes."""
    store = _store(settings)
    for number in (1, 2):
        add_peer(store, "acme", number)
    snapshot.take(store.path, backup)
    peer.remove(store, "acme", "default", "peer-1")
    peer.rekey(store, "acme", "default", "peer-2", NewKey(key(22), needs_forwarding=False), now=NOW)
    add_peer(store, "acme", 3)
    store.close()


def test_a_role_that_has_seen_more_than_the_back_up_says_what_is_undone(
    settings: Settings, tmp_path: Path
) -> None:
    """Peer 3's user holds a config that is dead; peers 1 and 2 have keys that work again."""
    _changed_after_a_backup(settings, tmp_path / "backup")

    async def follow() -> None:
        async with _following(settings) as followed:
            async with _served(settings):
                await followed.until(8)
            gone = next(row for row in followed.copy.peers() if row.name == "peer-3")
            _restored(settings, tmp_path / "backup")
            async with _served(settings):
                await followed.until(1_000)

            assert followed.copy.position[0] == "epoch-b"
            assert _held(followed.copy) == _rows(settings)
            back, rekeyed = sorted(followed.copy.peers(), key=lambda row: row.id)
            assert recent_setback(followed.copy) == (
                "the controller was restored from a back-up of revision 5, this role had 8: what "
                f"was changed between is undone; gone: peer-3 {gone.address}; back: peer-1 "
                f"{back.address}; with an earlier key: peer-2 {rekeyed.address}"
            )

    asyncio.run(follow())


def test_a_role_that_had_no_more_than_the_back_up_has_nothing_to_tell(
    settings: Settings, tmp_path: Path
) -> None:
    async def follow() -> None:
        async with _following(settings) as followed:
            async with _served(settings):
                await followed.until(3)
            _changed_after_a_backup(settings, tmp_path / "backup")
            _restored(settings, tmp_path / "backup")
            async with _served(settings):
                await followed.until(1_000)

            assert _held(followed.copy) == _rows(settings)
            assert recent_setback(followed.copy) is None

    asyncio.run(follow())


def test_after_a_week_it_is_told_no_more(settings: Settings) -> None:
    copy = Copy(settings.role_dir(_ROLE) / "copy.sqlite")
    told = []
    for age_s in (0, SHOWN_S - 60, SHOWN_S + 1):
        copy.replace(
            epoch="e", revision=1, held=NEEDS[_ROLE], setback=(int(time.time()) - age_s, "back")
        )
        told.append(recent_setback(copy))
    copy.close()

    assert told == ["back", "back", None]


def _lines(*events: Event) -> bytes:
    return b"".join(map(render_line, events))


@pytest.mark.parametrize("after", [Commit(8), Put(Kind.ORG, Org(3, Label("c"), NOW)), Beat()])
def test_a_copy_that_lost_its_place_takes_a_snapshot_before_anything_else(
    settings: Settings, after: Event
) -> None:
    """Else the next commit would give it a place again, without the row that was lost."""
    asked: list[str] = []
    lost = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + _lines(Snapshot("e"), _OLD, _NEW))
        writer.write(_lines(Commit(6 + len(asked))))
        if len(asked) == 1:
            await lost.wait()
            writer.write(_lines(after, Commit(9)))
        await writer.drain()
        writer.close()

    async def follow() -> None:
        settings.runtime_dir.mkdir()
        async with (
            await asyncio.start_unix_server(speak, settings.node_socket),
            _following(settings) as followed,
        ):
            await followed.until(7)
            with closing(pysqlite3.connect(str(settings.role_dir(_ROLE) / "copy.sqlite"))) as file:
                file.execute("UPDATE rows SET body = '\xff' WHERE id = 1")
                file.commit()
            assert list(followed.copy.orgs()) == [_NEW.row]
            lost.set()
            await followed.until(8)

            assert list(followed.copy.orgs()) == [_OLD.row, _NEW.row]
            assert [changes.replaced for changes in followed.told[:2]] == [True, True]

    asyncio.run(follow())
    assert asked[1] == "GET /v1/feed?role=internal-api&epoch=&since=0 HTTP/1.1"


def test_a_copy_on_its_way_is_told_in_words(settings: Settings) -> None:
    with closing(Copy(settings.role_dir(_ROLE) / "copy.sqlite")) as copy:
        before = unfinished(copy)
        with copy.replacing(rows=1_000_000):
            copy.stage([_OLD, _NEW])
            during = unfinished(copy)

        assert during == "taking a copy from the controller: 2 of 1,000,000 rows"
        assert (before, unfinished(copy)) == (None, None)


def test_what_was_removed_is_gone_while_the_file_cannot_be_written_and_after(
    settings: Settings,
) -> None:
    path = settings.role_dir(_ROLE) / "copy.sqlite"

    async def follow() -> None:
        async with _following(settings) as followed:
            async with _served(settings) as store:
                await followed.until(3)
                with _unwritable(path, followed.copy) as file:
                    await asyncio.to_thread(org.remove, store, "globex")
                    await followed.reaching(4)
                    await asyncio.to_thread(org.add, store, Label("third"), now=NOW)
                    await followed.reaching(5)

                    assert _held(followed.copy) == _rows(settings)
                    assert followed.copy.position == ("epoch-a", 3)
                    assert "go back from revision 5 to 3" in str(unfinished(followed.copy))
                    assert (
                        len(file.execute("SELECT 1 FROM rows WHERE kind = 'org'").fetchall()) == 2
                    )
            async with _served(settings):
                await followed.until(5)

            assert _held(followed.copy) == _rows(settings)
            assert unfinished(followed.copy) is None
            assert [changes.replaced for changes in followed.told] == [True, False, False]
        kept = Copy(path)
        assert _held(kept) == _rows(settings)
        kept.close()

    asyncio.run(follow())


@contextmanager
def _unwritable(path: Path, copy: Copy) -> Iterator[pysqlite3.Connection]:
    """Refuse every write to the file of `copy` for the block."""
    copy._writer.execute("PRAGMA busy_timeout = 0")  # noqa: SLF001  # not to wait for 5 s
    with closing(pysqlite3.connect(str(path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


_OLD = Put(Kind.ORG, Org(1, Label("old"), NOW))
_NEW = Put(Kind.ORG, Org(2, Label("new"), NOW))


@pytest.mark.parametrize(
    "lines",
    [
        [Snapshot("f"), _NEW],
        [_NEW],
        [_NEW, Delete(Kind.ORG, 1), Beat()],
        [Snapshot("f"), *([_NEW] * 1_500)],
    ],
    ids=["snapshot", "change", "changes and a beat", "long snapshot"],
)
def test_what_ends_before_its_commit_changes_nothing(
    settings: Settings, lines: list[Put | Snapshot | Delete | Beat]
) -> None:
    """A copy is always a state that was."""
    copy = Copy(settings.role_dir(_ROLE) / "copy.sqlite")
    copy.write([_OLD], epoch="e", revision=7)
    copy.close()

    async def follow() -> None:
        asked = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(map(render_line, lines)))
            await writer.drain()
            writer.close()

        settings.runtime_dir.mkdir()
        async with (
            await asyncio.start_unix_server(answer, settings.node_socket),
            _following(settings) as followed,
            asyncio.timeout(HANG_S),
        ):
            while asked < 3:  # noqa: ASYNC110  # the third question shows that two have failed
                await asyncio.sleep(0.02)

            assert (followed.told, followed.copy.position) == ([], ("e", 7))
            assert list(followed.copy.orgs()) == [_OLD.row]

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
            last = b"HTTP/1.1 200 OK\r\n\r\n" + _lines(Snapshot("e"), Commit(5))
            writer.write(answer if len(asked) == 1 else last)
            await writer.drain()
            writer.close()

        settings.runtime_dir.mkdir()
        async with await asyncio.start_unix_server(speak, settings.node_socket):
            async with _following(settings) as followed:
                await followed.until(5)
            return asked

    first, second, *_ = asyncio.run(follow())
    assert first == second == "GET /v1/feed?role=internal-api&epoch=&since=0 HTTP/1.1"


def test_a_role_whose_own_work_fails_ends(settings: Settings) -> None:
    """It must not go on with a copy that its work has not seen."""

    async def follow() -> None:
        def fail(_changes: Changes) -> None:
            raise ZeroDivisionError

        copy = Copy(settings.role_dir(_ROLE) / "copy.sqlite")
        follower = Follower(copy, role=_ROLE, socket=settings.node_socket, on_commit=fail)
        try:
            async with _served(settings):
                await asyncio.wait_for(follower.run(), HANG_S)
        finally:
            copy.close()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(follow())
