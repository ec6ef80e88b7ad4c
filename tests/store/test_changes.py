import tempfile
from pathlib import Path

import pysqlite3
import pytest
from hypothesis import given, settings

from peers.names import Label
from tests.store.samples import (
    NOW,
    create,
    new_peer,
    pretend_revision,
    register,
    sealed_to,
    to_first_schema,
)
from tests.store.walk import EVERYTHING, Rows, Step, apply, rows_of, steps, take
from wgctl.core.errors import Conflict
from wgctl.core.feed import NEEDS, Kind
from wgctl.services import app, org, peer
from wgctl.store.changes import KEPT_BYTES, KEPT_REVISIONS
from wgctl.store.store import Store


@settings(max_examples=15)
@given(steps(most=25))
def test_the_changes_since_any_revision_lead_to_what_is_there_now(walked: list[Step]) -> None:
    """The feed's one law: whoever applies them to what was, has what is."""
    with tempfile.TemporaryDirectory() as folder:
        store = create(Path(folder))
        seen: dict[int, Rows] = {}
        for step in walked:
            take(store, step)
            revision, rows = rows_of(store, EVERYTHING)
            assert seen.setdefault(revision, rows) == rows
        with store.reading() as deployment:
            for since, then in seen.items():
                changes = deployment.changes(since=since, until=revision, kinds=EVERYTHING)

                assert apply(then, list(changes)) == rows
        store.close()


@pytest.mark.parametrize("kinds", NEEDS.values(), ids=NEEDS)
def test_a_role_is_told_what_it_needs_and_nothing_else(
    store: Store, kinds: frozenset[Kind]
) -> None:
    sealed = sealed_to(register(store).public_key, 1)
    peer.add(store, "acme", new_peer(1, preshared_key=sealed), now=NOW)
    app.add(store, "acme", "default", Label("web"), now=NOW)
    org.remove(store, "acme")
    with store.reading() as deployment:
        everything = list(deployment.changes(since=0, until=99, kinds=EVERYTHING))
        told = list(deployment.changes(since=0, until=99, kinds=kinds))

    assert told == [change for change in everything if change.kind in kinds]
    assert {change.kind for change in told} == kinds - {Kind.MACHINE, Kind.CHECK}


def test_revisions_are_consecutive_and_each_has_a_change(store: Store) -> None:
    for number in range(5):
        org.add(store, Label(f"o{number}"), now=NOW)
        with pytest.raises(Conflict):
            org.add(store, Label(f"o{number}"), now=NOW)
    with store.reading() as deployment:
        revision = deployment.revision
        found = [
            bool(list(deployment.changes(since=one - 1, until=one, kinds=EVERYTHING)))
            for one in range(1, revision + 1)
        ]

    assert revision == 3 + 5
    assert all(found)


def test_changes_end_where_they_were_asked_to(store: Store) -> None:
    with store.reading() as deployment:
        first = list(deployment.changes(since=0, until=1, kinds=EVERYTHING))
        none = list(deployment.changes(since=3, until=3, kinds=EVERYTHING))

    assert [change.kind for change in first] == [Kind.GATEWAY]
    assert none == []


def test_history_is_kept_for_so_many_revisions_and_no_more(tmp_path: Path) -> None:
    store = create(tmp_path)
    register(store)
    store.close()
    pretend_revision(store.path, KEPT_REVISIONS + 998)
    store = Store(store.path)
    org.add(store, Label("before"), now=NOW)
    with store.reading() as deployment:
        assert deployment.kept_since == 0
        assert list(deployment.changes(since=0, until=1, kinds=EVERYTHING))
    org.add(store, Label("after"), now=NOW)
    with store.reading() as deployment:
        kept_since, revision = deployment.kept_since, deployment.revision
        gone = list(deployment.changes(since=0, until=kept_since, kinds=EVERYTHING))
        kept = list(deployment.changes(since=kept_since, until=revision, kinds=EVERYTHING))
    store.close()

    assert revision - kept_since == KEPT_REVISIONS
    assert gone == []
    assert [change.kind for change in kept] == [Kind.ORG, Kind.NETWORK] * 2


def test_history_is_kept_up_to_so_many_bytes(tmp_path: Path) -> None:
    """A peer may change what is said of its machine all day; who misses it takes a snapshot."""
    store = create(tmp_path)
    register(store)
    store.close()
    pretend_revision(store.path, 996)
    store = Store(store.path)
    for name in ("first", "second", "third"):
        org.add(store, Label(name), now=NOW)
    _swell(store.path, revision=998, to_bytes=KEPT_BYTES // 2 + 1)
    _swell(store.path, revision=999, to_bytes=KEPT_BYTES // 2)
    org.add(store, Label("fourth"), now=NOW)
    with store.reading() as deployment:
        assert (deployment.kept_since, deployment.revision) == (998, 1000)
    pretend_revision(store.path, 1999)
    org.add(store, Label("fifth"), now=NOW)
    with store.reading() as deployment:
        assert deployment.kept_since == 998
    store.close()


@pytest.mark.parametrize("upgraded", [False, True])
def test_history_that_was_kept_before_counts_with_what_came_since(
    tmp_path: Path, *, upgraded: bool
) -> None:
    store = create(tmp_path)
    register(store)
    store.close()
    _swell(store.path, revision=1, to_bytes=KEPT_BYTES // 2 + 1)
    pretend_revision(store.path, 999)
    store = Store(store.path)
    org.add(store, Label("first"), now=NOW)
    with store.reading() as deployment:
        assert deployment.kept_since == 0
    if upgraded:
        store.close()
        to_first_schema(store.path)
        store = Store(store.path)
    _swell(store.path, revision=1000, to_bytes=KEPT_BYTES // 2)
    pretend_revision(store.path, 1999)
    org.add(store, Label("second"), now=NOW)
    with store.reading() as deployment:
        assert deployment.kept_since == 1
    store.close()


def _swell(path: Path, *, revision: int, to_bytes: int) -> None:
    """Let the body of one change of `revision` take so many bytes."""
    connection = pysqlite3.connect(str(path))
    body = f'"{"x" * (to_bytes - 2)}"'
    connection.execute(
        "UPDATE changes SET body = ? WHERE revision = ? AND place = 0", (body, revision)
    )
    connection.commit()
    connection.close()
