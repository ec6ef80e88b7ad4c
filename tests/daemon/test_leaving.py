import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.api.asking import context_of
from tests.patience import HANG_S
from tests.store.samples import NOW, engine, furnish, new_peer, opened
from wgctl.api.context import Context
from wgctl.core.model import Observation, Role
from wgctl.daemon.leaving import let_leave
from wgctl.services import peer
from wgctl.services.observe import RoleFacts
from wgctl.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "made").mkdir()
    yield from opened(furnish(tmp_path / "made"), tmp_path)


def _names(store: Store) -> set[str]:
    found = peer.listed(store, "acme", network=None, after=("", 0), limit=1_000)
    return {str(facts.peer.name) for facts in found}


def _rename(store: Store, name: str, other: str) -> None:
    with engine(store.path).begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {other}")


async def _leave(context: Context, logs: Sequence[object], *, until: int) -> None:
    """Have peers leave until there are so many lines in the log, each second one more."""
    leaving = asyncio.create_task(let_leave(context))
    async with asyncio.timeout(HANG_S):
        while len(logs) < until:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)


def test_whose_time_is_over_leaves_with_what_was_seen_of_it(store: Store) -> None:
    """However many they are: they go in parts."""
    for number in range(250):
        new = new_peer(number, expires_in_s=60 if number < 230 else 61, ephemeral=True)
        peer.add(store, "acme", new, now=NOW)
    peer.add(store, "acme", new_peer(900, expires_in_s=1), now=NOW)
    first = peer.shown(store, "acme", "default", "peer-0").peer.id
    context = replace(context_of(store), now=lambda: NOW + 60)
    facts = RoleFacts(role=Role.GATEWAY, revision=1, started_at=NOW, reported_at=NOW)
    context.observations.note(facts, [Observation(first, None, NOW, 0, 0)])
    with capture_logs() as logs:
        asyncio.run(_leave(context, logs, until=3))

    assert _names(store) == {f"peer-{number}" for number in range(230, 250)} | {"peer-900"}
    assert context.observations.of_peer(first).last_handshake is None
    assert [log["peers"] for log in logs] == [100, 100, 30]


def test_a_store_that_cannot_be_used_is_told_once_and_tried_again(store: Store) -> None:
    peer.add(store, "acme", new_peer(1, expires_in_s=60, ephemeral=True), now=NOW)
    context = replace(context_of(store), now=lambda: NOW + 60)

    async def scene(logs: Sequence[object]) -> None:
        leaving = asyncio.create_task(_leave(context, logs, until=2))
        while not logs:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(2.5)  # Two looks more, of which none is told.
        _rename(store, "away", "peers")
        await leaving

    _rename(store, "peers", "away")
    with capture_logs() as logs:
        asyncio.run(scene(logs))

    assert [log["event"] for log in logs] == ["ephemeral peers not removed", "ephemeral peers left"]
    assert _names(store) == set()


def test_a_row_that_cannot_be_read_is_told_once_and_ends_nothing(store: Store) -> None:
    peer.add(store, "acme", new_peer(1, expires_in_s=60, ephemeral=True), now=NOW)
    with engine(store.path).begin() as connection:
        connection.exec_driver_sql("UPDATE peers SET public_key = x'01'")
    context = replace(context_of(store), now=lambda: NOW + 60)

    async def scene(logs: Sequence[object]) -> None:
        leaving = asyncio.create_task(_leave(context, logs, until=2))
        while not logs:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(2.5)  # Two looks more, of which none is told.
        peer.add(store, "acme", new_peer(2, expires_in_s=1, ephemeral=True), now=NOW)
        await leaving

    with capture_logs() as logs:
        asyncio.run(scene(logs))

    assert [log["event"] for log in logs] == ["ephemeral peers not removed", "ephemeral peers left"]
