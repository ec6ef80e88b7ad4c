import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pysqlite3
import pytest

from peers.names import Label
from tests.api.asking import Door, context_of, refusal, served
from tests.patience import HANG_S
from tests.store.samples import NOW, add_peer, new_peer, register, sealed_to
from tests.store.walk import Rows, apply, rows_of
from wgctl.api.context import Bell
from wgctl.api.nodes import nodes_app
from wgctl.client.node import Node
from wgctl.core.feed import NEEDS, Beat, Commit, Delete, Event, Kind, Put, Snapshot, render_line
from wgctl.core.model import Role
from wgctl.services import org, peer
from wgctl.store.changes import KEPT_REVISIONS
from wgctl.store.store import Store


@asynccontextmanager
async def _feed(path: Path, folder: Path) -> AsyncIterator[tuple[Store, Node]]:
    """A store whose commits ring, and the feed that tells of them."""
    bell = Bell()
    bell.attach(asyncio.get_running_loop())
    store = Store(path, on_commit=lambda _revision: bell.ring())
    try:
        async with served(nodes_app(context_of(store, bell=bell)), folder / "n.sock"):
            yield store, Node(folder / "n.sock")
    finally:
        store.close()


def _read(
    path: Path, folder: Path, role: Role, *, epoch: str = "epoch-a", since: int = 0
) -> list[Event]:
    """Return what the feed says up to its first commit."""

    async def read() -> list[Event]:
        async with asyncio.timeout(HANG_S), _feed(path, folder) as (_store, node):
            return [event async for event in _to_commit(node, role, epoch=epoch, since=since)]

    return asyncio.run(read())


async def _to_commit(node: Node, role: Role, *, epoch: str, since: int) -> AsyncIterator[Event]:
    async for events in node.follow(role, epoch=epoch, since=since):
        for event in events:
            yield event
            if isinstance(event, Commit):
                return


def _kinds_of(role: Role, rows: Rows) -> Rows:
    return {place: row for place, row in rows.items() if place[0] in NEEDS[role]}


def _applied(start: Rows, events: list[Event]) -> Rows:
    return apply(start, [event for event in events if isinstance(event, Put | Delete)])


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name is short enough for a socket's path."""
    return tmp_path_factory.mktemp("f")


@pytest.mark.parametrize("role", NEEDS)
def test_who_stands_at_the_beginning_is_told_every_change(
    store: Store, folder: Path, role: Role
) -> None:
    add_peer(store, "acme", 1)
    peer.remove(store, "acme", "default", "peer-1")
    revision, rows = rows_of(store, NEEDS[role])
    events = _read(store.path, folder, role)

    assert not any(isinstance(event, Snapshot) for event in events)
    assert events[-1] == Commit(revision)
    assert _applied({}, events) == rows
    assert any(isinstance(event, Delete) for event in events)


@pytest.mark.parametrize("since", [0, 99], ids=["changes", "snapshot"])
@pytest.mark.parametrize("role", NEEDS)
def test_only_a_gateway_is_told_of_preshared_keys(
    store: Store, folder: Path, role: Role, since: int
) -> None:
    """In no other role's copy, nor on its wire, even sealed."""
    sealed = sealed_to(register(store).public_key, 1)
    peer.add(store, "acme", new_peer(1, preshared_key=sealed), now=NOW)

    said = b"".join(map(render_line, _read(store.path, folder, role, since=since)))

    assert (str(sealed.sealed).encode() in said) == (role is Role.GATEWAY)


def test_who_stands_somewhere_is_told_what_came_after(store: Store, folder: Path) -> None:
    since, then = rows_of(store, NEEDS[Role.RESOLVER])
    added = add_peer(store, "acme", 1).peer
    revision, rows = rows_of(store, NEEDS[Role.RESOLVER])
    events = _read(store.path, folder, Role.RESOLVER, since=since)

    assert events == [Put(Kind.PEER, added), Commit(revision)]
    assert _applied(then, events) == rows


@pytest.mark.parametrize(
    ("epoch", "since"),
    [("epoch-b", 1), ("", 0), ("epoch-a", 99), ("epoch-a", 2**70)],
    ids=["another store", "no copy yet", "a store set back", "beyond all numbers"],
)
def test_who_cannot_go_on_gets_a_snapshot(
    store: Store, folder: Path, epoch: str, since: int
) -> None:
    add_peer(store, "acme", 1)
    revision, rows = rows_of(store, NEEDS[Role.GATEWAY])
    events = _read(store.path, folder, Role.GATEWAY, epoch=epoch, since=since)

    began = Snapshot("epoch-a", kinds=NEEDS[Role.GATEWAY], rows=len(rows))
    assert (events[0], events[-1]) == (began, Commit(revision))
    assert all(isinstance(event, Put) for event in events[1:-1])
    assert _applied({}, events) == rows


def test_who_fell_behind_the_kept_history_gets_a_snapshot(store: Store, folder: Path) -> None:
    add_peer(store, "acme", 1)
    store.close()
    _pretend_revision(store.path, KEPT_REVISIONS + 999)
    opened = Store(store.path)
    org.add(opened, Label("late"), now=NOW)
    opened.close()

    behind = _read(store.path, folder, Role.INTERNAL_API, since=999)
    at_the_edge = _read(store.path, folder, Role.INTERNAL_API, since=1_000)
    rows = sum(isinstance(event, Put) for event in behind)
    assert behind[0] == Snapshot("epoch-a", kinds=NEEDS[Role.INTERNAL_API], rows=rows)
    assert [event.kind for event in at_the_edge[:-1] if isinstance(event, Put)] == [
        Kind.ORG,
        Kind.NETWORK,
    ]


def test_a_commit_is_told_at_once_and_silence_is_filled_with_beats(
    store: Store, folder: Path
) -> None:
    """A change is with every reader well before the next beat, which comes every five seconds."""

    async def read() -> list[Event]:
        heard: list[Event] = []
        async with asyncio.timeout(HANG_S), _feed(store.path, folder) as (opened, node):
            async for events in node.follow(Role.INTERNAL_API, epoch="epoch-a", since=3):
                heard += events
                if isinstance(heard[-1], Beat):
                    loop = asyncio.get_running_loop()
                    began = loop.time()
                    await asyncio.to_thread(org.add, opened, Label("third"), now=NOW)
                if isinstance(heard[-1], Commit):
                    assert loop.time() - began < 4
                    return heard
        return heard

    beat, *rows, commit = asyncio.run(read())
    assert (beat, commit) == (Beat(), Commit(4))
    assert [event.kind for event in rows if isinstance(event, Put)] == [Kind.ORG, Kind.NETWORK]


def test_changes_that_follow_each_other_soon_are_told_together(store: Store, folder: Path) -> None:
    """However many come and however fast, a reader costs the controller 20 looks a second."""

    def change(opened: Store) -> None:
        for number in range(60):
            org.add(opened, Label(f"org-{number}"), now=NOW)

    async def read() -> tuple[list[Event], float]:
        heard: list[Event] = []
        async with asyncio.timeout(HANG_S), _feed(store.path, folder) as (opened, node):
            changing = asyncio.create_task(asyncio.to_thread(change, opened))
            began = time.monotonic()
            async for events in node.follow(Role.INTERNAL_API, epoch="epoch-a", since=3):
                heard += events
                if heard[-1] == Commit(63):
                    break
            await changing
            return heard, time.monotonic() - began

    heard, took_s = asyncio.run(read())
    assert sum(isinstance(event, Commit) for event in heard) <= took_s / 0.05 + 2
    assert sum(isinstance(event, Put) for event in heard) == 120


def test_a_commit_that_holds_nothing_for_a_role_moves_it_on(store: Store, folder: Path) -> None:
    org.add(store, Label("third"), now=NOW)
    since, _ = rows_of(store, frozenset())
    with store.writing() as deployment:
        door = deployment.owned_by("third")
        door.add_app(door.network("default"), Label("web"), now=NOW)

    assert _read(store.path, folder, Role.INTERNAL_API, since=since) == [Commit(since + 1)]


def test_a_large_snapshot_is_whole(store: Store, folder: Path) -> None:
    _add_orgs(store.path, 5_000)
    _, rows = rows_of(store, NEEDS[Role.INTERNAL_API])
    events = _read(store.path, folder, Role.INTERNAL_API, epoch="")

    assert len(events) == len(rows) + 2
    assert _applied({}, events) == rows


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ("role=controller", 403, "denied"),
        ("role=king", 400, "invalid"),
        ("", 400, "invalid"),
        ("role=gateway&since=-1", 400, "invalid"),
        ("role=gateway&since=x", 400, "invalid"),
        (f"role=gateway&epoch={'e' * 65}", 400, "invalid"),
    ],
)
def test_a_request_that_cannot_be_followed_is_refused(
    nodes: Door, query: str, status: int, name: str
) -> None:
    refusal(nodes.get(f"/v1/feed?{query}"), status, name)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """What only the garbage collector would clean up stays."""
    gc.disable()
    yield
    gc.enable()


def test_a_reader_that_leaves_early_leaves_no_transaction_behind(
    store: Store, folder: Path, uncollected: None
) -> None:
    """An open one would keep the store's WAL from ever being written back."""
    # More than what the buffers between store and reader take.
    _add_orgs(store.path, 20_000)

    async def leave_early() -> tuple[int, int, int]:
        async with asyncio.timeout(HANG_S), _feed(store.path, folder) as (opened, node):
            for _ in range(10):
                async for _event in node.follow(Role.INTERNAL_API, epoch="", since=0):
                    break
            await asyncio.to_thread(org.add, opened, Label("third"), now=NOW)
            return await asyncio.to_thread(_checkpoint, store.path)

    busy, left, written = asyncio.run(leave_early())
    assert (busy, left) == (0, written)


def _checkpoint(path: Path) -> tuple[int, int, int]:
    """Write the WAL back; return whether a reader was in the way, and its pages before and now."""
    deadline = time.monotonic() + HANG_S / 2
    while True:
        connection = pysqlite3.connect(str(path))
        found: tuple[int, int, int] = connection.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        ).fetchone()
        connection.close()
        if not found[0] or time.monotonic() > deadline:
            return found


def _add_orgs(path: Path, count: int) -> None:
    """Add orgs as they would be there, were they added one by one."""
    connection = pysqlite3.connect(str(path))
    connection.executemany(
        "INSERT INTO orgs (slug, created_at) VALUES (?, ?)",
        [(f"o{number}", NOW) for number in range(count)],
    )
    connection.commit()
    connection.close()


def _pretend_revision(path: Path, revision: int) -> None:
    connection = pysqlite3.connect(str(path))
    connection.execute("UPDATE deployment SET revision = ?", (revision,))
    connection.commit()
    connection.close()
