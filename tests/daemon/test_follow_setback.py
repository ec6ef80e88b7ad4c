import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.following import (
    ROLE,
    controlled,
    following,
    held,
    rows,
    store_of,
)
from tests.daemon.running import folder_of_a_socket, host
from tests.patience import HANG_S
from tests.store.samples import NOW, add_peer, key
from wgctl.core.feed import NEEDS, Kind
from wgctl.core.marks import raised
from wgctl.core.model import Role
from wgctl.core.setback import SHOWN_S
from wgctl.core.settings import STORE_NAME, Settings
from wgctl.daemon.follow import recent_setback
from wgctl.services import peer
from wgctl.services.peer import NewKey
from wgctl.store import snapshot
from wgctl.store.copy import Copy
from wgctl.store.marks import begin_anew, read_lineage


@pytest.fixture
def settings() -> Iterator[Settings]:
    with folder_of_a_socket() as folder:
        yield host(folder)


def test_a_restore_is_told_as_one_also_to_a_copy_that_lacks_a_kind(
    settings: Settings, tmp_path: Path
) -> None:
    _changed_after_a_backup(settings, tmp_path / "backup")
    _restored(settings, tmp_path / "backup")
    copy = Copy(settings.role_dir(ROLE) / "copy.sqlite")
    with copy.replacing(NEEDS[ROLE] - {Kind.MACHINE}) as replacement:
        replacement.commit(epoch="epoch-a", revision=8)
    copy.close()

    async def follow() -> str | None:
        async with controlled(settings), following(settings) as followed:
            await followed.until(1_000)
            return recent_setback(followed.copy)

    told = asyncio.run(follow())
    assert told is not None
    assert "restored from a back-up of revision 5, this role had 8" in told


def test_a_store_that_was_set_back_replaces_the_copy(settings: Settings) -> None:
    """An administrator who restores a backup has every host follow it."""
    path = settings.role_dir(Role.CONTROLLER) / STORE_NAME
    backup = path.read_bytes()
    store = store_of(settings)
    add_peer(store, "acme", 1)
    peer.remove(store, "acme", "default", "peer-1")
    add_peer(store, "acme", 2)
    store.close()

    async def follow() -> None:
        async with following(settings) as followed:
            async with controlled(settings):
                await followed.until(6)
            path.write_bytes(backup)
            async with controlled(settings):
                async with asyncio.timeout(HANG_S):
                    while followed.copy.position[1] != 3:  # noqa: ASYNC110  # a file has no event
                        await asyncio.sleep(0.02)

                assert followed.told[-1].replaced
                assert held(followed.copy) == rows(settings)
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
    store = store_of(settings)
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
        async with following(settings) as followed:
            async with controlled(settings):
                await followed.until(8)
            gone = next(row for row in followed.copy.peers() if row.name == "peer-3")
            _restored(settings, tmp_path / "backup")
            async with controlled(settings):
                await followed.until(1_000)

            assert followed.copy.position[0] == "epoch-b"
            assert held(followed.copy) == rows(settings)
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
        async with following(settings) as followed:
            async with controlled(settings):
                await followed.until(3)
            _changed_after_a_backup(settings, tmp_path / "backup")
            _restored(settings, tmp_path / "backup")
            async with controlled(settings):
                await followed.until(1_000)

            assert held(followed.copy) == rows(settings)
            assert recent_setback(followed.copy) is None

    asyncio.run(follow())


def test_after_a_week_it_is_told_no_more(settings: Settings) -> None:
    copy = Copy(settings.role_dir(ROLE) / "copy.sqlite")
    told = []
    for age_s in (0, SHOWN_S - 60, SHOWN_S + 1):
        copy.replace(
            epoch="e", revision=1, held=NEEDS[ROLE], setback=(int(time.time()) - age_s, "back")
        )
        told.append(recent_setback(copy))
    copy.close()

    assert told == ["back", "back", None]
