import shutil
import threading
from pathlib import Path

import pysqlite3
import pytest

from tests.store.limits import limited
from tests.store.samples import add_peer
from tests.store.walk import EVERYTHING, rows_of
from wgctl.core.errors import Unavailable
from wgctl.store import snapshot
from wgctl.store.store import Store


def test_a_copy_is_the_store_at_one_moment_whatever_is_written_meanwhile(
    store: Store, tmp_path: Path
) -> None:
    """Every peer is a revision, so the two must agree, and numbers have no hole."""
    stop = threading.Event()
    numbers: list[int] = []

    def write() -> None:
        while not stop.is_set():
            add_peer(store, "acme", len(numbers) + 1)
            numbers.append(1)

    first, _ = rows_of(store, EVERYTHING)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(5):
            snapshot.take(store.path, tmp_path / f"copy-{turn}")
    finally:
        stop.set()
        writer.join()

    for turn in range(5):
        path = tmp_path / f"copy-{turn}"
        snapshot.check(path)
        copy = Store(path)
        revision, rows = rows_of(copy, EVERYTHING)
        copy.close()
        assert snapshot.standing(path) == ("epoch-a", revision)
        names = {row.name for (kind, _), row in rows.items() if kind == "peer"}  # type: ignore[union-attr]  # an org has no name, and is no peer
        assert names == {f"peer-{n + 1}" for n in range(revision - first)}


def test_a_copy_keeps_the_ids_that_were_given_out(store: Store, tmp_path: Path) -> None:
    """AUTOINCREMENT's memory goes with it: an id of a row that is gone is not given out again."""
    gone = add_peer(store, "acme", 1).peer
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        door.remove_peer(gone)
    snapshot.take(store.path, tmp_path / "copy")
    copy = Store(tmp_path / "copy")
    added = add_peer(copy, "acme", 2).peer
    copy.close()

    assert added.id > gone.id
    assert added.address != gone.address


def test_a_copy_is_never_made_over_another_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")

    with pytest.raises(Unavailable):
        snapshot.take(store.path, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"


def test_where_there_is_no_store_none_comes_to_be(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        snapshot.take(tmp_path / "none", tmp_path / "copy")
    with pytest.raises(Unavailable):
        snapshot.standing(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_store_passes(store: Store) -> None:
    snapshot.check(store.path)


def test_a_damaged_page_is_found(store: Store) -> None:
    store.close()
    content = bytearray(store.path.read_bytes())
    for place in range(3 * 4096, len(content), 4096):
        content[place : place + 8] = b"\xff" * 8
    store.path.write_bytes(content)

    with pytest.raises(snapshot.Damaged, match="damaged"):
        snapshot.check(store.path)


def test_rows_of_nobody_are_found(store: Store) -> None:
    _change(store, "DELETE FROM orgs")

    with pytest.raises(snapshot.Damaged, match="belong to rows that are not there"):
        snapshot.check(store.path)


def test_a_store_without_its_deployment_is_found(store: Store) -> None:
    _change(store, "DELETE FROM deployment")

    with pytest.raises(snapshot.Damaged, match="empty"):
        snapshot.check(store.path)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + bytes(4080), b"no database" * 99])
def test_what_is_no_store_is_found(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)

    with pytest.raises(snapshot.Damaged):
        snapshot.check(tmp_path / "s")


def _change(store: Store, sql: str) -> None:
    store.close()
    connection = pysqlite3.connect(str(store.path))
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_a_settled_store_is_one_file(store: Store, tmp_path: Path) -> None:
    """As it is after a controller that was killed."""
    add_peer(store, "acme", 1)
    for suffix in ("", "-wal"):
        shutil.copy(f"{store.path}{suffix}", tmp_path / f"killed{suffix}")
    snapshot.settle(tmp_path / "killed")

    assert [path.name for path in tmp_path.glob("killed*")] == ["killed"]
    assert snapshot.standing(tmp_path / "killed") == snapshot.standing(store.path)


def test_a_store_that_somebody_has_open_is_not_settled(store: Store, tmp_path: Path) -> None:
    """What its log would be played into then is somebody else's to say."""
    add_peer(store, "acme", 1)
    log = store.path.with_name(f"{store.path.name}-wal")

    with pytest.raises(Unavailable, match="end what has that store open"):
        snapshot.settle(store.path)
    assert log.exists()


def test_tables_that_are_not_ours_are_no_damage(tmp_path: Path) -> None:
    """They may be those of a version to come."""
    connection = pysqlite3.connect(str(tmp_path / "s"))
    connection.execute("CREATE TABLE deployments (epoch)")
    connection.close()

    with pytest.raises(Unavailable, match="no such table") as caught:
        snapshot.check(tmp_path / "s")
    assert not isinstance(caught.value, snapshot.Damaged)


def test_no_room_for_a_copy_is_no_damage(store: Store, tmp_path: Path) -> None:
    with limited(40_000), pytest.raises(Unavailable, match="cannot be copied into") as caught:
        snapshot.take(store.path, tmp_path / "copy")

    assert not isinstance(caught.value, snapshot.Damaged)


@pytest.mark.parametrize(
    "other", [b"no database" * 99, b"SQLite format 3\0", None], ids=["text", "cut off", "itself"]
)
def test_a_whole_log_makes_any_file_the_store(
    store: Store, tmp_path: Path, other: bytes | None
) -> None:
    """None: the store itself, with more in it than the log has."""
    store.close()
    snapshot.settle(store.path)
    snapshot.write_whole_log(store.path, tmp_path / "log")
    before = snapshot.standing(store.path)
    _change(store, "UPDATE deployment SET revision = revision + 7")
    target = tmp_path / "target"
    target.write_bytes(store.path.read_bytes() if other is None else other)
    (tmp_path / "log").rename(tmp_path / "target-wal")

    snapshot.check(target)
    assert snapshot.standing(target) == before
