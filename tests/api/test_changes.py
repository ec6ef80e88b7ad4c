"""What changes the store runs one after the other, and is told once it is durable."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from peers.names import Label
from tests.patience import HANG_S
from tests.store.samples import NOW, add_peer, register
from wgctl.api.changes import Changes
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.model import Observation, Role
from wgctl.services import org as orgs
from wgctl.services import peer as peers
from wgctl.services.observe import Observations, RoleFacts
from wgctl.store.store import Store


class Held:
    """A change that runs until it is let, so that others come meanwhile."""

    def __init__(self) -> None:
        self._begun, self._let = threading.Event(), threading.Event()

    def run(self) -> str:
        self._begun.set()
        assert self._let.wait(HANG_S)
        return "held"

    def end(self) -> None:
        self._let.set()

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, HANG_S)


@pytest.fixture
def changes(store: Store) -> Iterator[Changes]:
    made = Changes(store)
    yield made
    made.close()


def _at_once(changes: Changes, *asked: Callable[[], Any]) -> list[Any]:
    """Return what comes of each of `asked`; they come while another is under way."""

    async def scene() -> list[Any]:
        held = Held()
        first = asyncio.create_task(changes.run(held.run))
        await held.begun()
        others = asyncio.gather(first, *map(changes.run, asked), return_exceptions=True)
        await asyncio.sleep(0)  # They have asked.
        held.end()
        _first, *came = await others
        return came

    return asyncio.run(scene())


def _adding(store: Store, slug: str) -> Callable[[], Any]:
    return lambda: orgs.add(store, Label(slug), now=NOW).org.slug


def _break(store: Store) -> None:
    """Let the commit fail of what is written together."""
    with store.noting() as deployment:
        connection = deployment._connection  # noqa: SLF001  # nothing of ours breaks a commit
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.exec_driver_sql("UPDATE networks SET org_id = 99 WHERE id = 1")


def _slugs(store: Store) -> list[str]:
    return [facts.org.slug for facts in orgs.listed(store, after="", limit=100)]


def test_each_hears_what_came_of_its_own(store: Store, changes: Changes) -> None:
    added, refused, failed = _at_once(
        changes, _adding(store, "one"), _adding(store, "acme"), lambda: 1 // 0
    )

    assert added == "one"
    assert isinstance(refused, Conflict)
    assert isinstance(failed, ZeroDivisionError)
    assert _slugs(store) == ["acme", "globex", "one"]


def test_those_who_come_at_once_share_a_commit(store: Store, changes: Changes) -> None:
    """Each takes a revision, and those who follow changes are woken for the last of them."""
    told: list[int] = []
    with_bell = Store(store.path, on_commit=told.append)
    try:
        before = with_bell.revision()
        ringing = Changes(with_bell)
        _at_once(ringing, *(_adding(with_bell, f"org-{number}") for number in range(9)))
        ringing.close()
    finally:
        with_bell.close()

    assert told == [before + 9]


def test_nobody_is_told_before_all_that_it_shares_is_durable(
    store: Store, changes: Changes
) -> None:
    async def scene() -> tuple[list[str], bool]:
        one, last = Held(), Held()
        asked = [asyncio.create_task(changes.run(one.run))]
        await one.begun()
        asked += [
            asyncio.create_task(changes.run(run)) for run in (_adding(store, "one"), last.run)
        ]
        await asyncio.sleep(0)
        one.end()
        await last.begun()
        meanwhile = await asyncio.to_thread(_slugs, store), any(task.done() for task in asked)
        last.end()
        await asyncio.gather(*asked)
        return meanwhile

    assert asyncio.run(scene()) == (["acme", "globex"], False)
    assert _slugs(store) == ["acme", "globex", "one"]


def test_each_sees_those_before_it(store: Store, changes: Changes) -> None:
    added, seen, _ = _at_once(
        changes, _adding(store, "one"), lambda: _slugs(store), _adding(store, "two")
    )

    assert (added, seen) == ("one", ["acme", "globex", "one"])


def test_what_is_told_of_a_peer_while_it_goes_is_forgotten(store: Store, changes: Changes) -> None:
    """Until the removal is durable whoever tells of it finds it there, and nobody forgets later."""
    register(store)
    peer, seen = add_peer(store, "acme", 1).peer, Observations()
    gateway = RoleFacts(Role.GATEWAY, 1, NOW, reported_at=NOW)

    def remove() -> None:
        peers.remove(store, "acme", "default", peer.name)
        changes.once_kept(lambda: seen.forget([peer.id]))

    def report() -> frozenset[int]:
        seen.note(gateway, [Observation(peer.id, None, NOW, 0, 0)], [])
        with store.reading() as deployment:
            seen.forget({peer.id} - deployment.peers_among({peer.id}))
        return seen.online(now=NOW)

    async def scene() -> frozenset[int]:
        one, last = Held(), Held()
        first = asyncio.create_task(changes.run(one.run))
        await one.begun()
        others = asyncio.gather(first, changes.run(remove), changes.run(last.run))
        await asyncio.sleep(0)
        one.end()
        await last.begun()
        meanwhile = await asyncio.to_thread(report)
        last.end()
        await others
        return meanwhile

    assert asyncio.run(scene()) == {peer.id}
    assert seen.online(now=NOW) == frozenset()


def test_what_waits_for_a_commit_that_fails_never_happens(store: Store, changes: Changes) -> None:
    done: list[str] = []
    _at_once(
        changes,
        lambda: changes.once_kept(lambda: done.append("not kept")),
        lambda: _break(store),
    )
    asyncio.run(changes.run(lambda: changes.once_kept(lambda: done.append("kept"))))

    assert done == ["kept"]


def test_a_commit_that_fails_is_told_to_all_who_share_it(store: Store, changes: Changes) -> None:
    came = _at_once(changes, _adding(store, "one"), lambda: _break(store), _adding(store, "acme"))

    assert [type(error) for error in came] == [Unavailable] * 3
    assert "FOREIGN KEY" in str(came[0])
    assert _slugs(store) == ["acme", "globex"]
    assert asyncio.run(changes.run(_adding(store, "one"))) == "one"


def test_whoever_is_cancelled_takes_nobody_with_it(store: Store, changes: Changes) -> None:
    async def scene() -> str:
        held = Held()
        first = asyncio.create_task(changes.run(held.run))
        await held.begun()
        gone = asyncio.create_task(changes.run(_adding(store, "one")))
        stays = asyncio.create_task(changes.run(_adding(store, "two")))
        await asyncio.sleep(0)
        first.cancel()
        gone.cancel()
        held.end()
        slug: str = await stays
        return slug

    assert asyncio.run(scene()) == "two"
    assert "one" in _slugs(store)


def test_more_than_one_commit_takes_all_come_to_an_end(store: Store, changes: Changes) -> None:
    came = _at_once(changes, *(lambda number=number: number for number in range(200)))

    assert came == list(range(200))


def test_what_asks_to_end_leaves_the_thread(store: Store, changes: Changes) -> None:
    def leave() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        asyncio.run(changes.run(leave))
    assert asyncio.run(changes.run(_adding(store, "one"))) == "one"


def test_who_closes_waits_for_what_has_come(store: Store) -> None:
    changes, held = Changes(store), Held()

    async def scene() -> str:
        first = asyncio.create_task(changes.run(held.run))
        await held.begun()
        second = asyncio.create_task(changes.run(_adding(store, "one")))
        await asyncio.sleep(0)
        with ThreadPoolExecutor(1) as threads:
            ended = threads.submit(changes.close)
            assert not ended.done()
            held.end()
            slug: str = await second
        assert await first == "held"
        return slug

    assert asyncio.run(scene()) == "one"
    assert "one" in _slugs(store)
