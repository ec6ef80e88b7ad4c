import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv6Network
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import InterfaceError

from peers.addresses import DEFAULT_POOL
from peers.names import Label
from tests.patience import HANG_S
from tests.store.samples import (
    NOW,
    add_peer,
    create,
    engine,
    new_peer,
    register,
    to_first_schema,
)
from tests.store.walk import EVERYTHING
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.feed import Kind
from wgctl.services import org, peer
from wgctl.store.store import Store

_THREADS = 8
_EACH = 25
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def pragmas() -> Iterator[dict[str, object]]:
    """What each connection holds at the begin of a transaction."""
    found: dict[str, object] = {}

    def look(connection: Connection) -> None:
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout"):
            found[name] = connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()

    event.listen(Engine, "begin", look)
    yield found
    event.remove(Engine, "begin", look)


def test_the_revision_is_the_last_one_wherever_it_was_made(store: Store) -> None:
    other = Store(store.path)
    found = []
    for slug in ("a", "b", "c"):
        org.add(other, Label(slug), now=NOW)
        with store.reading() as deployment:
            found.append((store.revision(), deployment.revision))
    other.close()

    assert all(one == same for one, same in found)
    assert [one for one, _ in found] == [found[0][0] + more for more in range(3)]


def test_a_store_without_a_revision_is_unavailable(store: Store) -> None:
    _sql(store.path, "ALTER TABLE deployment RENAME TO away")

    with pytest.raises(Unavailable, match="cannot be used: no such table: deployment"):
        store.revision()


def test_a_store_that_cannot_be_opened_is_unavailable(store: Store, tmp_path: Path) -> None:
    store.close()
    store.path.rename(tmp_path / "away")
    store.path.mkdir()

    with pytest.raises(Unavailable, match="moved, deleted or replaced"):
        store.revision()


def test_sqlite_is_one_without_the_wal_reset_fault() -> None:
    assert pysqlite3.sqlite_version_info >= (3, 51, 3)


@pytest.mark.parametrize("writes", [False, True])
def test_a_transaction_loses_nothing_at_a_power_cut(
    empty_store: Store, pragmas: dict[str, object], *, writes: bool
) -> None:
    with empty_store.writing() if writes else empty_store.reading() as deployment:
        deployment.counts()

    full = 2
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


def test_what_was_made_is_there_when_opened_again(tmp_path: Path) -> None:
    pool = IPv6Network("fd12:3400::/24")
    Store.create(tmp_path / "s", pool=pool, epoch="e", now=NOW).close()
    store = Store(tmp_path / "s")
    with store.reading() as deployment:
        found = (deployment.epoch, deployment.revision, deployment.pool)
    store.close()

    assert found == ("e", 0, pool)
    assert store.pool == pool


def test_only_the_owner_may_open_the_file(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.close()

    assert store.path.stat().st_mode & 0o777 == 0o600


def test_a_store_is_never_made_over_another(empty_store: Store) -> None:
    with pytest.raises(FileExistsError):
        Store.create(empty_store.path, pool=DEFAULT_POOL, epoch="other", now=NOW)


def test_a_missing_store_is_unavailable_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="wgctl init"):
        Store(tmp_path / "none")

    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"not a database" * 1000, "not a database"), (b"", "is empty")],
    ids=["garbage", "nothing"],
)
def test_a_file_that_is_no_store_is_unavailable(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "s"
    path.write_bytes(content)

    with pytest.raises(Unavailable, match=said):
        Store(path)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="unable to open"):
        Store(tmp_path)


def test_a_store_of_the_first_tables_gets_those_that_came_after(tmp_path: Path) -> None:
    create(tmp_path).close()
    path = tmp_path / "store.sqlite"
    to_first_schema(path)

    opened = Store(path)
    with opened.reading() as deployment:
        rows = list(deployment.snapshot(frozenset({Kind.SEAL, Kind.CHECK})))
        cut = deployment.cut("another")
    with opened.writing() as deployment:
        number = deployment.next_network_id()
    opened.close()

    assert (rows, cut) == ([], None)
    assert number > 0


def test_peers_are_found_by_the_tags_that_they_had_before_the_upgrade(tmp_path: Path) -> None:
    store = create(tmp_path)
    register(store)
    org.add(store, Label("acme"), now=NOW)
    for number, tags in enumerate([("ci", "prod"), ("ci",), ()]):
        new = replace(new_peer(number), tags=tuple(map(Label, tags)))
        peer.add(store, "acme", new, now=NOW)
    store.close()
    with engine(store.path).begin() as connection:
        connection.exec_driver_sql("DROP TABLE peer_tags")
        for index in (
            *("members_org_id_role", "members_org_id_name"),
            *("tokens_org_id_added_by_name", "tokens_org_id_name"),
        ):
            connection.exec_driver_sql(f"DROP INDEX ix_{index}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0012'")
    store = Store(store.path)
    peer.remove(store, "acme", "default", "peer-1")
    with store.reading() as deployment:
        door = deployment.owned_by("acme")
        found = {tag: [one.name for one in door.peers(tag=tag)] for tag in ("ci", "prod", "no")}
    store.close()

    assert found == {"ci": ["peer-0"], "prod": ["peer-0"], "no": []}


def test_a_store_of_a_newer_wgctl_is_left_alone(tmp_path: Path) -> None:
    create(tmp_path).close()
    path = tmp_path / "store.sqlite"
    _sql(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()

    with pytest.raises(Unavailable, match="newer wgctl"):
        Store(path)
    assert path.read_bytes() == before


def test_damage_under_a_running_store_is_unavailable(tmp_path: Path) -> None:
    create(tmp_path).close()
    store = Store(tmp_path / "store.sqlite")
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))

    with pytest.raises(Unavailable, match="cannot be used"), store.writing() as deployment:
        deployment.add_org(Label("acme"), now=NOW)
    store.close()


def test_a_file_that_was_taken_away_is_not_written_to(store: Store, tmp_path: Path) -> None:
    """It would be acknowledged, and gone with the last who has the file open."""
    aside, refusal = tmp_path / "aside.sqlite", "moved, deleted or replaced"
    store.path.rename(aside)
    for left in (None, b""):
        if left is not None:
            store.path.write_bytes(left)
        with pytest.raises(Unavailable, match=refusal):
            org.add(store, Label("initech"), now=NOW)
        with pytest.raises(Unavailable, match=refusal):
            org.listed(store, after="", limit=9)
        assert (store.path.read_bytes() if store.path.exists() else None) == left
    aside.replace(store.path)

    org.add(store, Label("initech"), now=NOW)
    assert [facts.org.slug for facts in org.listed(store, after="", limit=9)][-1] == "initech"


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    def begin_and_fail() -> None:
        with store.writing() as deployment:
            deployment.add_org(Label("third"), now=NOW)
            deployment.next_gateway_number()
            raise ZeroDivisionError

    before = _content(store)

    with pytest.raises(ZeroDivisionError):
        begin_and_fail()
    assert _content(store) == before


def test_a_refusal_in_the_middle_leaves_nothing(store: Store) -> None:
    def add_two() -> None:
        with store.writing() as deployment:
            deployment.add_org(Label("third"), now=NOW)
            deployment.add_org(Label("acme"), now=NOW)

    before = _content(store)

    with pytest.raises(Conflict):
        add_two()
    assert _content(store) == before


def test_reading_cannot_write(store: Store) -> None:
    before = _content(store)

    with pytest.raises(TypeError, match="writing"), store.reading() as deployment:
        deployment.add_org(Label("third"), now=NOW)
    with pytest.raises(TypeError, match="writing"), store.reading() as deployment:
        deployment.remove_org("acme")
    with store.reading() as deployment:
        deployment.next_gateway_number()

    assert _content(store) == before


def test_reading_sees_one_moment(store: Store) -> None:
    with store.reading() as deployment:
        before = deployment.revision
        org.add(store, Label("third"), now=NOW)

        assert deployment.revision == before
        assert "third" not in [found.slug for found in deployment.orgs(after="", limit=9)]


def test_rows_that_were_not_read_to_their_end_hold_no_moment(furnished: Store) -> None:
    """Else a token would be known here for as long as somebody holds them after it was revoked."""
    with furnished.reading() as deployment:
        left = deployment.changes(since=0, until=deployment.revision, kinds=EVERYTHING)
        next(left)
    other = Store(furnished.path)
    org.add(other, Label("third"), now=NOW)
    last = other.revision()
    other.close()

    assert furnished.revision() == last
    with pytest.raises(InterfaceError):
        next(left)


def test_nothing_stays_open_of_a_store_that_was_closed_in_use(store: Store) -> None:
    with store.reading() as deployment:
        used = _open_files(store.path)
        store.close()
        before = deployment.revision
    org.add(store, Label("third"), now=NOW)

    assert store.revision() == before + 1
    assert used
    assert _open_files(store.path) == []


def _open_files(path: Path) -> list[str]:
    """Return what this process has open of the database at `path`."""
    open_files = Path("/proc/self/fd")
    found = [str(file.readlink()) for file in open_files.iterdir() if file.is_symlink()]
    return [name for name in found if name.startswith(str(path))]


def test_a_commit_is_told_only_when_something_changed(tmp_path: Path) -> None:
    create(tmp_path).close()
    told: list[int] = []
    store = Store(tmp_path / "store.sqlite", on_commit=told.append)
    register(store)
    register(store)
    with store.writing():
        pass
    org.add(store, Label("acme"), now=NOW)
    with pytest.raises(Conflict):
        org.add(store, Label("acme"), now=NOW)
    store.close()

    assert told == [1, 2]


def test_a_commit_is_told_after_it_is_there_to_read(tmp_path: Path) -> None:
    create(tmp_path).close()
    seen: list[bool] = []

    def look(revision: int) -> None:
        with store.reading() as deployment:
            seen.append(deployment.revision == revision)

    store = Store(tmp_path / "store.sqlite", on_commit=look)
    register(store)
    store.close()

    assert seen == [True]


def test_threads_that_write_at_once_lose_nothing_and_share_nothing(tmp_path: Path) -> None:
    create(tmp_path).close()
    told: list[int] = []
    store = Store(tmp_path / "store.sqlite", on_commit=told.append)
    register(store)
    org.add(store, Label("acme"), now=NOW)
    together = threading.Barrier(_THREADS)

    def add(first: int) -> None:
        together.wait()
        for number in range(first, first + _EACH):
            add_peer(store, "acme", number)

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(add, range(0, _THREADS * _EACH, _EACH)))

    _require_whole(store, _THREADS * _EACH)
    assert sorted(told) == list(range(1, 3 + _THREADS * _EACH))
    store.close()


_OTHER_PROCESS = """
import sys
from pathlib import Path
from tests.store.samples import add_peer
from wgctl.store.store import Store

store, first = Store(Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(first, first + 50):
    add_peer(store, "acme", number)
"""


def test_processes_that_write_at_once_lose_nothing_and_share_nothing(store: Store) -> None:
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _OTHER_PROCESS, str(store.path), str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            text=True,
        )
        for first in (0, 50)
    ]
    for other in others:
        assert other.stdout is not None
        other.stdout.readline()
    statuses = []
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    for other in others:
        other.communicate(timeout=HANG_S)
        statuses.append(other.returncode)

    assert statuses == [0, 0]
    _require_whole(store, 100)


def _require_whole(store: Store, count: int) -> None:
    """Each peer has a number and an address of its own; each revision came once, in order."""
    with store.reading() as deployment:
        peers = deployment.owned_by("acme").peers()
        revision = deployment.revision
    revisions = _sql(store.path, "SELECT DISTINCT revision FROM changes ORDER BY revision")

    assert len(peers) == count
    assert sorted(int(peer.address) & 0xFFFF for peer in peers) == list(range(2, count + 2))
    assert len({peer.id for peer in peers}) == count
    assert [found for (found,) in revisions] == list(range(1, revision + 1))


def _sql(path: Path, text: str) -> list[tuple[int]]:
    connection = pysqlite3.connect(str(path))
    found = connection.execute(text).fetchall()
    connection.commit()
    connection.close()
    return [tuple(row) for row in found]


def _content(store: Store) -> list[object]:
    with store.reading() as deployment:
        return [deployment.revision, *deployment.snapshot(EVERYTHING)]
