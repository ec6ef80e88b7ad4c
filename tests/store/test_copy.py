import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pysqlite3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peers.names import Label
from tests.store.samples import NOW, add_peer, create, key, new_peer, sealed_to
from tests.store.walk import Rows, Step, rows_of, steps, take
from wgctl.core.errors import Unavailable
from wgctl.core.feed import NEEDS, Delete, Kind, Put, Row
from wgctl.core.model import App, LostSeal, Machine, MachineState, Network, Org, Peer, Seal
from wgctl.core.setback import Some, Undone
from wgctl.services import peer
from wgctl.store.copy import Copy
from wgctl.store.store import Store

_ROOT = Path(__file__).parents[2]
_NEEDED = frozenset[Kind]().union(*NEEDS.values())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "copy.sqlite"


@pytest.fixture
def copy(path: Path) -> Iterator[Copy]:
    opened = Copy(path)
    yield opened
    opened.close()


def _held(copy: Copy) -> Rows:
    """Return every row of `copy`, found in each of the ways that roles use."""
    networks = list(copy.networks())
    rows: list[tuple[Kind, Row]] = [
        *((Kind.ORG, row) for row in copy.orgs()),
        *((Kind.GATEWAY, row) for row in copy.gateways()),
        *((Kind.NETWORK, row) for row in networks),
        *((Kind.SEAL, row) for row in copy.seals() if isinstance(row, Seal)),
        *((Kind.CHECK, row) for row in copy.checks()),
    ]
    for network in networks:
        peers, apps, machines = copy.network_rows(network.id)
        rows += [(Kind.PEER, row) for row in peers]
        rows += [(Kind.APP, row) for row in apps]
        rows += [(Kind.MACHINE, row) for row in machines]
    held = {(kind, row.id): row for kind, row in rows}

    assert len(held) == len(rows)
    assert sorted(machine.id for machine in copy.leased_machines()) == sorted(
        row.id for row in held.values() if isinstance(row, Machine) and row.lease_s is not None
    )
    assert list(copy.peers()) == [row for kind, row in sorted(rows, key=_id) if kind is Kind.PEER]
    return held


def _id(place: tuple[Kind, Row]) -> int:
    return place[1].id


@contextmanager
def _refusing(copy: Copy, path: Path) -> Iterator[None]:
    """Have the file refuse what is written in the block."""
    copy._writer.execute("PRAGMA busy_timeout = 0")  # noqa: SLF001  # not to wait for 5 s
    with closing(pysqlite3.connect(str(path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            yield


@settings(max_examples=15)
@given(steps(most=20), st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1))
def test_a_copy_that_follows_holds_what_a_snapshot_says(
    walked: list[Step], strides: list[tuple[int, bool]]
) -> None:
    """However many commits come at once, and wherever the file is closed or refuses them."""
    with tempfile.TemporaryDirectory() as folder:
        store, copy = create(Path(folder)), Copy(Path(folder) / "copy")
        while walked:
            stride, refused = strides[len(walked) % len(strides)]
            for step in walked[:stride]:
                take(store, step)
            walked = walked[stride:]
            revision, rows = rows_of(store, _NEEDED)
            with store.reading() as deployment:
                changes = deployment.changes(since=copy.reached[1], until=revision, kinds=_NEEDED)
                refusing = _refusing(copy, Path(folder) / "copy") if refused else nullcontext()
                with refusing:
                    copy.write(changes, epoch="epoch-a", revision=revision)

            assert _held(copy) == rows
            assert copy.reached == ("epoch-a", revision)
            assert refused or copy.position == copy.reached
            _require_found(copy, rows)
            if not refused:
                copy.close()
                copy = Copy(Path(folder) / "copy")
        copy.close()
        store.close()


def _require_found(copy: Copy, rows: Rows) -> None:
    for row in rows.values():
        match row:
            case Network():
                assert copy.network(row.id) == copy.network_of(row.prefix) == row
            case Peer():
                assert copy.peer(row.id) == copy.peer_by_key(row.public_key) == row
                assert copy.peer_at(row.address) == row
            case Org():
                assert copy.org(row.id) == row
            case _:
                pass


def test_an_empty_copy_stands_at_the_beginning(copy: Copy) -> None:
    assert copy.position == ("", 0)
    assert _held(copy) == {}
    assert (copy.org(1), copy.network(1), copy.peer(1)) == (None, None, None)
    assert copy.peer_by_key(key(1)) is None
    assert copy.peer_at(IPv6Address("fdaa::1")) is None
    assert copy.network_of(IPv6Network("fdaa::/48")) is None


def test_another_kinds_row_with_the_same_id_is_not_found(copy: Copy) -> None:
    copy.write([Put(Kind.APP, App(1, 1, 1, Label("web"), NOW))], epoch="e", revision=1)

    assert (copy.org(1), copy.network(1), copy.peer(1)) == (None, None, None)


def test_events_that_fail_half_way_leave_rows_and_position(copy: Copy) -> None:
    def failing() -> Iterator[Put | Delete]:
        yield _put(2)
        yield Delete(Kind.ORG, 1)
        raise ZeroDivisionError

    copy.write([_put(1)], epoch="e", revision=1)
    before = _held(copy)

    with pytest.raises(ZeroDivisionError):
        copy.write(failing(), epoch="e", revision=2)
    assert _held(copy) == before
    assert copy.position == ("e", 1)


def test_a_replacement_shows_nothing_until_it_is_committed(copy: Copy, path: Path) -> None:
    copy.write([_put(1)], epoch="e", revision=1)
    with copy.replacing() as replacement:
        for number in range(2, 2_503):
            replacement.add(_put(number))
        staged = [org.id for org in copy.orgs()]
        replacement.commit(epoch="f", revision=9)
    copy.close()
    reopened = Copy(path)
    found, position = [org.id for org in reopened.orgs()], reopened.position
    reopened.close()

    assert staged == [1]
    assert found == list(range(2, 2_503))
    assert position == ("f", 9)


def test_a_copy_knows_of_which_kinds_it_has_every_row(copy: Copy) -> None:
    before = copy.held
    for held in ({Kind.ORG, Kind.PEER}, {Kind.ORG}):
        with copy.replacing(frozenset(held)) as replacement:
            replacement.commit(epoch="e", revision=1)

        assert copy.held == held
    assert before == set()


@pytest.mark.parametrize("failing", [False, True])
def test_a_replacement_without_a_commit_changes_nothing(copy: Copy, *, failing: bool) -> None:
    def replace() -> None:
        with copy.replacing() as replacement:
            for number in range(2, 1_503):
                replacement.add(_put(number))
            if failing:
                raise ZeroDivisionError

    copy.write([_put(1)], epoch="e", revision=1)
    if failing:
        with pytest.raises(ZeroDivisionError):
            replace()
    else:
        replace()

    assert [org.id for org in copy.orgs()] == [1]
    assert copy.position == ("e", 1)


def test_nothing_of_an_abandoned_replacement_is_in_the_next(copy: Copy) -> None:
    copy.stage([_put(1)])
    with copy.replacing() as replacement:
        replacement.add(_put(2))
        replacement.commit(epoch="e", revision=1)

    assert [org.id for org in copy.orgs()] == [2]


def test_a_walk_over_more_rows_than_one_batch_meets_each_once(copy: Copy) -> None:
    copy.write([_put(number) for number in range(1, 2_502)], epoch="e", revision=1)

    assert [org.id for org in copy.orgs()] == list(range(1, 2_502))


_WRITER = """
import sys
from pathlib import Path
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.model import Org
from wgctl.store.copy import Copy

copy = Copy(Path(sys.argv[1]))
revision = copy.position[1]
while True:
    revision += 1
    rows = [Put(Kind.ORG, Org(number, f"r{revision}", 1)) for number in range(1, 40)]
    if revision % 5 == 0:
        with copy.replacing() as replacement:
            for row in rows:
                replacement.add(row)
            replacement.commit(epoch="e", revision=revision)
    else:
        copy.write(rows, epoch="e", revision=revision)
    print(revision, flush=True)
"""


def test_a_kill_in_the_middle_of_writes_leaves_a_whole_commit(path: Path) -> None:
    acknowledged = 0
    for kill_after in (1, 7, 20):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)],
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            for _ in range(kill_after):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            for line in writer.stdout:
                acknowledged = int(line)
        copy = Copy(path)
        (epoch, revision), slugs = copy.position, [org.slug for org in copy.orgs()]
        copy.close()

        assert (epoch, revision) in {("e", acknowledged), ("e", acknowledged + 1)}
        assert slugs == [f"r{revision}"] * 39


def _put(number: int) -> Put:
    return Put(Kind.ORG, Org(number, Label(f"org-{number}"), NOW))


def test_a_damaged_file_is_set_aside_and_the_copy_begins_anew(path: Path) -> None:
    """A role that cannot start until somebody deletes a file would be no fail-static role."""
    made = Copy(path)
    made.write([_put(1)], epoch="e", revision=1)
    made.close()
    path.write_bytes(b"\xff" * 200 + path.read_bytes()[200:])
    told: list[str] = []

    opened = Copy(path, on_damage=told.append)

    assert opened.position == ("", 0)
    assert len(told) == 1
    assert path.with_name(f"{path.name}.damaged").exists()
    opened.write([_put(2)], epoch="e", revision=2)
    opened.close()


def test_a_copy_of_another_version_begins_anew(path: Path) -> None:
    made = Copy(path)
    made.write([_put(1)], epoch="e", revision=1)
    made._writer.execute("PRAGMA user_version = 99")  # noqa: SLF001  # as a newer wgctl leaves it
    made.close()
    told: list[str] = []

    opened = Copy(path, on_damage=told.append)

    assert opened.position == ("", 0)
    assert "version 99" in told[0]
    opened.close()


def test_a_row_that_cannot_be_read_is_left_out_and_comes_again(path: Path) -> None:
    """One bad row must not stop all the others, and the next snapshot brings it back."""
    told: list[str] = []
    made = Copy(path, on_damage=told.append)
    made.write([_put(1), _put(2)], epoch="e", revision=2)
    made._writer.execute("UPDATE rows SET body = '{}' WHERE id = 1")  # noqa: SLF001  # the damage

    assert [org.id for org in made.orgs()] == [2]
    assert made.position == ("", 0)
    assert len(told) == 1
    made.close()


def test_a_machine_that_is_no_json_fails_no_other_lease(path: Path) -> None:
    """The internal API reads them before it follows the feed that would mend the copy."""
    told: list[str] = []
    made = Copy(path, on_damage=told.append)
    web = Machine(
        *(1, 1, 1, 1, 1, Label("m1"), Label("ams"), Label("app"), (), {}),
        *(MachineState.STARTED, NOW, 15),
    )
    machines = [Put(Kind.MACHINE, row) for row in (web, replace(web, id=2))]
    made.write(machines, epoch="e", revision=2)
    made._writer.execute("UPDATE rows SET body = 'damage' WHERE id = 1")  # noqa: SLF001  # the damage

    assert [machine.id for machine in made.leased_machines()] == [2]
    assert made.position == ("", 0)
    assert len(told) == 1
    made.close()


def test_a_row_that_is_no_text_fails_no_other(path: Path) -> None:
    made = Copy(path, on_damage=lambda _found: None)
    made.write([_put(1), _put(2)], epoch="e", revision=2)
    spoiled = "CAST(replace(CAST(body AS BLOB), 'org', x'ff') AS BLOB)"
    made._writer.execute(f"UPDATE rows SET body = {spoiled} WHERE id = 1")  # noqa: S608, SLF001  # the damage

    assert [org.id for org in made.orgs()] == [2]
    made.close()


def test_a_copy_with_a_lost_row_takes_no_position_but_that_of_a_snapshot(path: Path) -> None:
    """A place in the feed would say that the rows before it are all there."""
    made = Copy(path, on_damage=lambda _found: None)
    made.write([_put(1)], epoch="e", revision=1)
    made._writer.execute("UPDATE rows SET body = '{}' WHERE id = 1")  # noqa: SLF001  # the damage
    assert list(made.orgs()) == []

    made.write([_put(2)], epoch="e", revision=2)

    assert made.position == made.reached == ("", 0)
    with made.replacing() as replacement:
        replacement.add(_put(1))
        replacement.commit(epoch="e", revision=2)
    assert made.position == ("e", 2)
    made.close()


def test_of_a_seal_that_cannot_be_read_its_peer_is_known(store: Store, copy: Copy) -> None:
    """Without it the peer would be let in by its key alone."""
    with store.reading() as deployment:
        gateway = deployment.gateways()[0].public_key
    peers = [
        peer.add(store, "acme", new_peer(n, preshared_key=sealed_to(gateway, n)), now=NOW)[0].peer
        for n in (1, 2)
    ]
    _, rows = rows_of(store, _NEEDED)
    copy.write([Put(kind, row) for (kind, _), row in rows.items()], epoch="e", revision=1)
    first, second = copy.seals()
    copy._writer.execute(  # noqa: SLF001  # the damage
        "UPDATE rows SET body = '{}' WHERE kind = 'seal' AND id = ?", (first.id,)
    )

    assert list(copy.seals()) == [LostSeal(first.id, peers[0].id), second]
    assert copy.position == ("", 0)


def test_only_its_owner_reads_a_copy(path: Path) -> None:
    Copy(path).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_full_disk_refuses_is_read_at_once_and_the_file_gets_it_later(
    copy: Copy, path: Path
) -> None:
    """A name that is removed must not go on resolving until somebody makes room."""
    copy.write([_put(1), _put(2)], epoch="e", revision=1)
    copy._writer.execute("PRAGMA max_page_count = 1")  # noqa: SLF001  # as a full disk does
    refused: list[Put | Delete] = [
        Delete(Kind.ORG, 1),
        *(_put(number) for number in range(3, 2_400)),
    ]
    with pytest.raises(Unavailable, match="full"):
        copy.write(refused, epoch="e", revision=2)

    assert [org.id for org in copy.orgs()] == list(range(2, 2_400))
    assert (copy.position, copy.reached) == (("e", 1), ("e", 2))
    copy._writer.execute("PRAGMA max_page_count = 1000000")  # noqa: SLF001
    copy.write([], epoch="e", revision=3)
    copy.close()
    reopened = Copy(path)
    found, position = [org.id for org in reopened.orgs()], reopened.position
    reopened.close()
    assert (found, position) == (list(range(2, 2_400)), ("e", 3))


def test_a_snapshot_takes_the_place_of_what_the_file_could_not_take(copy: Copy, path: Path) -> None:
    copy.write([_put(1)], epoch="e", revision=1)
    with _refusing(copy, path):
        copy.write([_put(2)], epoch="e", revision=2)
    with copy.replacing() as replacement:
        replacement.add(_put(3))
        replacement.commit(epoch="f", revision=1)

    assert [org.id for org in copy.orgs()] == [3]
    assert copy.position == copy.reached == ("f", 1)


def test_what_was_told_of_a_setback_outlives_the_role(path: Path) -> None:
    first = Copy(path)
    assert first.setback is None
    with first.replacing() as replacement:
        replacement.commit(epoch="e", revision=1, setback=(NOW, "back to 1"))
    with first.replacing() as replacement:
        replacement.commit(epoch="e", revision=2)
    first.close()
    second = Copy(path)
    found = second.setback
    second.close()

    assert found == (NOW, "back to 1")


def test_a_replacement_knows_what_it_does_to_networks_and_peers(store: Store, copy: Copy) -> None:
    for number in (1, 2, 3):
        add_peer(store, "acme", number)
    _, rows = rows_of(store, _NEEDED)
    puts = [Put(kind, row) for (kind, _), row in rows.items()]
    back, rekeyed, gone = (row for row in rows.values() if isinstance(row, Peer))
    copy.write([put for put in puts if put.row != back], epoch="e", revision=1)
    earlier = replace(rekeyed, public_key=key(99))
    with copy.replacing() as replacement:
        for put in puts:
            if put.row not in (rekeyed, gone):
                replacement.add(put)
        replacement.add(Put(Kind.PEER, earlier))
        found = replacement.undone()

    assert found == Undone(Some(1, [gone]), Some(1, [back]), Some(1, [earlier]))


def test_how_far_a_replacement_is_can_be_seen(copy: Copy) -> None:
    before = copy.arriving
    with copy.replacing(rows=2_500) as replacement:
        seen = [copy.arriving]
        for number in range(1, 2_501):
            replacement.add(_put(number))
            seen.append(copy.arriving)

    assert (before, copy.arriving) == (None, None)
    assert sorted(set(filter(None, seen))) == [(0, 2_500), (1_000, 2_500), (2_000, 2_500)]


def test_a_file_too_large_to_be_checked_answers_with_what_can_be_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No start may wait for a million rows; what is damaged is found where it is read."""
    made = Copy(path)
    made.write([_put(number) for number in range(1, 3_001)], epoch="e", revision=1)
    made.close()
    _spoil_leaves(path)
    monkeypatch.setattr("wgctl.store.copy._CHECKED_PAGES", 1)
    told: list[str] = []

    with closing(Copy(path, on_damage=told.append)) as opened:
        found = [org.id for org in opened.orgs()]
        assert len(found) < 3_000
        assert opened.position == ("", 0)
        assert "malformed" in told[0]
        with opened.replacing() as replacement:
            for number in range(1, 3_001):
                replacement.add(_put(number))
            replacement.commit(epoch="e", revision=2)
        assert [org.id for org in opened.orgs()] == list(range(1, 3_001))
        assert opened.position == ("e", 2)
    assert path.with_name(f"{path.name}.damaged").exists()


def _spoil_leaves(path: Path) -> None:
    """Make every second half of the file's pages such that none can be read."""
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(size // 2)
        file.write(b"\xff" * (size - size // 2))
