import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pysqlite3
import pytest

from peers.names import Label
from tests.daemon.following import (
    NEW,
    OLD,
    ROLE,
    controlled,
    following,
    held,
    rows,
    store_of,
)
from tests.daemon.running import folder_of_a_socket, host, running
from tests.patience import HANG_S
from tests.store.samples import NOW, add_peer
from wgctl.core.feed import NEEDS, Delete, Kind, Put
from wgctl.core.model import Org, Role
from wgctl.core.settings import Settings
from wgctl.daemon.follow import Changes, Follower, recent_setback, unfinished
from wgctl.services import org
from wgctl.store.copy import Copy
from wgctl.store.store import Store

_SOON = 100


@pytest.fixture
def settings() -> Iterator[Settings]:
    with folder_of_a_socket() as folder:
        yield host(folder)


def test_a_copy_catches_up_and_hears_of_each_change_before_the_next_beat(
    settings: Settings,
) -> None:
    async def follow() -> list[float]:
        loop, took = asyncio.get_running_loop(), []
        async with controlled(settings) as store, following(settings) as followed:
            await followed.until(3)
            for number in range(3):
                await asyncio.to_thread(org.add, store, Label(f"o{number}"), now=NOW)
                began = loop.time()
                await followed.until(4 + number)
                took.append(loop.time() - began)

            assert followed.copy.position == ("epoch-a", 6)
            assert held(followed.copy) == rows(settings)
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
        async with controlled(settings) as store, following(settings) as followed:
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
        async with following(settings) as followed:
            with running(Role.CONTROLLER, settings) as process:
                await followed.until(3)
                process.kill()
                process.wait()
            before = held(followed.copy)
            store = store_of(settings)
            removed = org.shown(store, "globex").org.id
            org.remove(store, "globex")
            add_peer(store, "acme", 1)
            store.close()

            assert held(followed.copy) == before
            with running(Role.CONTROLLER, settings):
                await followed.until(5)

                assert held(followed.copy) == rows(settings)
            assert not any(changes.replaced for changes in followed.told[1:])
            assert Delete(Kind.ORG, removed) in [e for c in followed.told for e in c.events]

    asyncio.run(follow())


def test_a_copy_of_another_store_is_replaced_as_a_whole(settings: Settings) -> None:
    copy = Copy(settings.role_dir(ROLE) / "copy.sqlite")
    copy.write([Put(Kind.ORG, Org(99, Label("old"), NOW))], epoch="epoch-z", revision=2)
    copy.close()

    async def follow() -> None:
        async with following(settings) as followed, controlled(settings):
            await followed.until(3)

            assert [changes.replaced for changes in followed.told] == [True]
            assert followed.told[0].events == ()
            assert held(followed.copy) == rows(settings)
            assert followed.copy.position == ("epoch-a", 3)

    asyncio.run(follow())


def test_thousands_of_rows_arrive_whole_as_a_snapshot_and_as_changes(settings: Settings) -> None:
    store = store_of(settings)
    for first in range(0, 5_000, 1_000):
        with store.writing() as deployment:
            for number in range(first, first + 1_000):
                deployment.add_org(Label(f"o{number}"), now=NOW)
    store.close()

    async def follow(*, replaced: bool) -> None:
        async with controlled(settings), following(settings) as followed:
            await followed.until(8)

            assert followed.told[0].replaced is replaced
            assert replaced or len(followed.told[0].events) > 5_000
            assert held(followed.copy) == rows(settings)

    asyncio.run(follow(replaced=True))
    path = settings.role_dir(ROLE) / "copy.sqlite"
    path.unlink()
    copy = Copy(path)
    with copy.replacing(NEEDS[ROLE]) as empty:
        empty.commit(epoch="epoch-a", revision=0)
    copy.close()
    asyncio.run(follow(replaced=False))


def test_a_copy_that_lacks_a_kind_is_fetched_anew_and_read_meanwhile(settings: Settings) -> None:
    """A newer version may need more: changes alone would never bring what there was."""
    copy = Copy(settings.role_dir(ROLE) / "copy.sqlite")
    with copy.replacing(NEEDS[ROLE] - {Kind.PEER}) as replacement:
        replacement.commit(epoch="epoch-a", revision=3)
    copy.close()

    async def follow() -> None:
        async with controlled(settings), following(settings) as followed:
            async with asyncio.timeout(HANG_S):
                while not followed.told:  # noqa: ASYNC110  # a file has no event
                    await asyncio.sleep(0.02)
            assert followed.told[0].replaced
            assert followed.copy.held == NEEDS[ROLE]
            assert held(followed.copy) == rows(settings)
            assert recent_setback(followed.copy) is None

    asyncio.run(follow())


def test_a_copy_on_its_way_is_told_in_words(settings: Settings) -> None:
    with closing(Copy(settings.role_dir(ROLE) / "copy.sqlite")) as copy:
        before = unfinished(copy)
        with copy.replacing(rows=1_000_000):
            copy.stage([OLD, NEW])
            during = unfinished(copy)

        assert during == "taking a copy from the controller: 2 of 1,000,000 rows"
        assert (before, unfinished(copy)) == (None, None)


def test_what_was_removed_is_gone_while_the_file_cannot_be_written_and_after(
    settings: Settings,
) -> None:
    path = settings.role_dir(ROLE) / "copy.sqlite"

    async def follow() -> None:
        async with following(settings) as followed:
            async with controlled(settings) as store:
                await followed.until(3)
                with _unwritable(path, followed.copy) as file:
                    await asyncio.to_thread(org.remove, store, "globex")
                    await followed.reaching(4)
                    await asyncio.to_thread(org.add, store, Label("third"), now=NOW)
                    await followed.reaching(5)

                    assert held(followed.copy) == rows(settings)
                    assert followed.copy.position == ("epoch-a", 3)
                    assert "go back from revision 5 to 3" in str(unfinished(followed.copy))
                    assert (
                        len(file.execute("SELECT 1 FROM rows WHERE kind = 'org'").fetchall()) == 2
                    )
            async with controlled(settings):
                await followed.until(5)

            assert held(followed.copy) == rows(settings)
            assert unfinished(followed.copy) is None
            assert [changes.replaced for changes in followed.told] == [True, False, False]
        kept = Copy(path)
        assert held(kept) == rows(settings)
        kept.close()

    asyncio.run(follow())


@contextmanager
def _unwritable(path: Path, copy: Copy) -> Iterator[pysqlite3.Connection]:
    """Refuse every write to the file of `copy` for the block."""
    copy._writer.execute("PRAGMA busy_timeout = 0")  # noqa: SLF001  # not to wait for 5 s
    with closing(pysqlite3.connect(str(path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_a_role_whose_own_work_fails_ends(settings: Settings) -> None:
    """It must not go on with a copy that its work has not seen."""

    async def follow() -> None:
        def fail(_changes: Changes) -> None:
            raise ZeroDivisionError

        copy = Copy(settings.role_dir(ROLE) / "copy.sqlite")
        follower = Follower(copy, role=ROLE, socket=settings.node_socket, on_commit=fail)
        try:
            async with controlled(settings):
                await asyncio.wait_for(follower.run(), HANG_S)
        finally:
            copy.close()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(follow())
