import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from peers.names import Label
from tests.store.samples import NOW, key
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import Network, Org, Peer
from wgctl.store.copy import Copy
from wgctl.store.copy_reader import CopyReader

_NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), NOW)
_PEER = Peer(
    *(1, 1, 1, 1, Label("laptop"), "operator", key(1), IPv6Address("fdaa:0:1:10::2"), NOW, None)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "copy.sqlite"


@pytest.fixture
def copy(path: Path) -> Iterator[Copy]:
    with closing(Copy(path)) as opened:
        opened.write([Put(Kind.NETWORK, _NETWORK), Put(Kind.PEER, _PEER)], epoch="e", revision=1)
        yield opened


@pytest.fixture
def reader(copy: Copy, path: Path) -> Iterator[CopyReader]:
    del copy
    with closing(CopyReader(path)) as opened:
        yield opened


def _names(reader: CopyReader) -> list[str]:
    return [peer.name for peer in reader.network_rows(_NETWORK.id)[0]]


def test_a_reader_has_each_commit_as_soon_as_it_is_written(copy: Copy, reader: CopyReader) -> None:
    before = _names(reader)
    copy.write([Put(Kind.PEER, replace(_PEER, name=Label("desk")))], epoch="e", revision=2)
    changed = _names(reader)
    with copy.replacing() as replacement:
        replacement.add(Put(Kind.NETWORK, _NETWORK))
        replacement.commit(epoch="f", revision=3)

    assert (before, changed, _names(reader)) == (["laptop"], ["desk"], [])
    assert reader.network_of(_NETWORK.prefix) == _NETWORK
    assert reader.position == reader.reached == ("f", 3)


@pytest.mark.parametrize(
    "look_up",
    [
        lambda copy: copy.peer(1),
        lambda copy: copy.peer_by_key(key(1)),
        lambda copy: copy.peer_at(_PEER.address),
        lambda copy: list(copy.seals_of(1)),
        lambda copy: copy.org(1),
        lambda copy: copy.network(1),
        lambda copy: copy.network_of(_NETWORK.prefix),
        lambda copy: copy.network_rows(1),
        lambda copy: copy.machine(1),
        lambda copy: copy.leased_machines(),
    ],
)
def test_what_is_looked_up_is_found_without_going_through_its_kind(
    copy: Copy, look_up: Callable[[Copy], object]
) -> None:
    asked: list[str] = []
    connection = copy._connection  # noqa: SLF001  # what SQLite makes of it, no answer shows
    connection.set_trace_callback(asked.append)
    look_up(copy)
    connection.set_trace_callback(None)

    for statement in asked:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert any(step.startswith("SEARCH rows USING") for step in plan)
        assert not [step for step in plan if step.endswith("(kind=?)") or "SCAN" in step]
    assert asked


def _walk(path: Path, found: "multiprocessing.SimpleQueue[set[tuple[str, ...]]]") -> None:
    with closing(CopyReader(path)) as reader:
        seen = set[tuple[str, ...]]()
        while "last" not in (names := tuple(org.slug for org in reader.orgs())):
            seen.add(names)
        found.put(seen)


def test_a_process_that_reads_sees_whole_commits_and_holds_up_nobody(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    found: multiprocessing.SimpleQueue[set[tuple[str, ...]]] = context.SimpleQueue()
    with closing(Copy(path)) as copy:
        process = context.Process(target=_walk, args=(path, found))
        process.start()
        for revision in range(1, 200):
            rows = [Put(Kind.ORG, Org(id_, Label(f"r{revision}"), NOW)) for id_ in range(1, 20)]
            if revision % 3:
                copy.write(rows, epoch="e", revision=revision)
            else:
                with copy.replacing() as replacement:
                    for row in rows:
                        replacement.add(row)
                    replacement.commit(epoch="e", revision=revision)
        copy.write([Put(Kind.ORG, Org(1, Label("last"), NOW))], epoch="e", revision=200)
        seen = found.get()
        process.join()

    assert all(len(set(names)) <= 1 for names in seen)
    assert process.exitcode == 0


def test_a_reader_writes_nothing_and_outlives_the_writer(copy: Copy, path: Path) -> None:
    """The last connection to be closed would write the log into the file."""
    with closing(CopyReader(path)) as reader:
        copy.close()
        before = path.read_bytes()

        assert _names(reader) == ["laptop"]
    assert path.read_bytes() == before
    with closing(CopyReader(path)) as alone:
        assert _names(alone) == ["laptop"]


def test_what_the_file_could_not_take_is_read_until_it_is_let_go(reader: CopyReader) -> None:
    reader.hold([Delete(Kind.PEER, _PEER.id)], epoch="e", revision=2)
    held = _names(reader), reader.position, reader.reached
    reader.let_go()

    assert held == ([], ("e", 1), ("e", 2))
    assert (_names(reader), reader.reached) == (["laptop"], ("e", 1))


def test_a_reader_that_is_opened_again_reads_what_took_the_files_place(
    copy: Copy, reader: CopyReader, path: Path
) -> None:
    copy._lose_file()  # noqa: SLF001  # as where it is found damaged
    with copy.replacing() as replacement:
        replacement.add(Put(Kind.NETWORK, _NETWORK))
        replacement.commit(epoch="f", revision=2)
    before = _names(reader)
    reader.reopen()

    assert (before, _names(reader)) == (["laptop"], [])
    assert reader.position == ("f", 2)


def test_a_row_that_cannot_be_read_is_told_and_left_out(copy: Copy, path: Path) -> None:
    copy._writer.execute("UPDATE rows SET body = '{}' WHERE kind = 'peer'")  # noqa: SLF001  # the damage
    told: list[str] = []
    with closing(CopyReader(path, on_damage=told.append)) as reader:
        assert _names(reader) == []
        assert reader.position == ("", 0)
    assert len(told) == 1


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 4096], ids=["none", "empty", "damaged"])
def test_what_is_no_copy_is_refused_and_left_alone(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(Unavailable, match=path.name):
        CopyReader(path)
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_look_up_reads_no_more_than_it_returns(copy: Copy) -> None:
    """Among a million rows, whoever reads a network must not pass over those of the others."""
    plans: list[str] = []
    connection = copy._connection  # noqa: SLF001  # what it is asked
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    copy.network_rows(1)
    copy.network_of(_NETWORK.prefix)
    copy.network(1)
    copy.peer(1)
    copy.machine(1)
    copy.org(1)
    copy.peer_by_key(key(1))
    copy.peer_at(_PEER.address)
    copy.leased_machines()
    connection.set_trace_callback(None)
    for statement in asked:
        plans += [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]

    assert len(asked) == 9
    assert [plan for plan in plans if plan.startswith("SCAN")] == []
