import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peers.names import Label
from tests.services.minting import mint
from tests.store.samples import NOW, add_peer, register
from tests.store.walk import Step, steps, take
from wgctl.core.audit import verify
from wgctl.core.errors import Unidentified
from wgctl.core.feed import Kind
from wgctl.core.marks import GATEWAYS_GAP, gap, joined, networks_gap, raised
from wgctl.core.model import App, MemberRole, Network, Peer
from wgctl.services import app, member, network, org, token
from wgctl.services.entry import caller_with
from wgctl.store import snapshot
from wgctl.store.marks import Lineage, begin_anew, read_lineage
from wgctl.store.store import Store

_BITS = 32


def _restored(backup: Path, into: Path, *, past: Path | None = None, elapsed_s: int = 60) -> Store:
    shutil.copy(backup, into)
    found = read_lineage(into)
    marks = raised(found.marks, elapsed_s=elapsed_s, network_bits=_BITS)
    old = None if past is None else read_lineage(past)
    if old is not None:
        marks = joined(marks, old.marks)
    begin_anew(into, epoch=f"epoch-of-{into.name}", marks=marks, past=old, now=NOW + elapsed_s)
    return Store(into)


def _given_out(store: Store) -> dict[str, set[object]]:
    """Return every number that is in use: the walk below never removes."""
    found: dict[str, set[object]] = {"networks": set(), "addresses": set(), "ids": set()}
    with store.reading() as deployment:
        found["gateways"] = {gateway.number for gateway in deployment.gateways()}
        for put in deployment.snapshot(frozenset({Kind.NETWORK, Kind.PEER, Kind.APP})):
            found["ids"].add((put.kind, put.row.id))
            match put.row:
                case Network(prefix=prefix):
                    found["networks"].add(prefix)
                case Peer(address=address) | App(service_address=address):
                    found["addresses"].add(address)
                case _:
                    pass
    return found


def _grow(store: Store, first: int, count: int) -> None:
    for number in range(first, first + count):
        register(store, number=number)
        network.add(store, "acme", Label(f"net-{number}"), now=NOW)
        add_peer(store, "acme", number, network=f"net-{number}")
        add_peer(store, "globex", 1_000 + number)
        app.add(store, "globex", "default", Label(f"app-{number}"), now=NOW, flycast=True)


@pytest.mark.parametrize("knows_the_old", [True, False])
def test_nothing_that_was_given_out_after_the_back_up_is_given_out_again(
    store: Store, tmp_path: Path, *, knows_the_old: bool
) -> None:
    _grow(store, 1, 2)
    snapshot.take(store.path, tmp_path / "backup")
    backed_up = _given_out(store)
    _grow(store, 10, 5)
    after = _given_out(store)
    with store.reading() as deployment:
        last = deployment.revision
    store.close()
    restored = _restored(
        tmp_path / "backup", tmp_path / "restored", past=store.path if knows_the_old else None
    )
    assert _given_out(restored) == backed_up
    _grow(restored, 20, 5)

    given = _given_out(restored)
    for kind, numbers in after.items():
        assert given[kind] & numbers == backed_up[kind], kind
        assert len(given[kind]) > len(backed_up[kind])
    with restored.reading() as deployment:
        assert deployment.revision > last
    restored.close()


def test_a_network_without_peers_does_not_begin_at_its_first_number(
    store: Store, tmp_path: Path
) -> None:
    """It had none when the back-up was made, and may have had some after."""
    snapshot.take(store.path, tmp_path / "backup")
    lost = add_peer(store, "acme", 1).peer
    store.close()
    restored = _restored(tmp_path / "backup", tmp_path / "restored")
    added = add_peer(restored, "acme", 2).peer
    restored.close()

    assert int(added.address) - int(lost.address) == gap(60)


def test_an_old_store_that_came_further_than_the_gap_is_passed(
    store: Store, tmp_path: Path
) -> None:
    snapshot.take(store.path, tmp_path / "backup")
    for number in range(GATEWAYS_GAP + 2):
        last = register(store, number=100 + number)
    store.close()
    restored = _restored(tmp_path / "backup", tmp_path / "restored", past=store.path)
    number = register(restored, number=999).number
    restored.close()

    assert number == last.number + 1


def test_the_ids_that_the_old_store_spent_are_spent(store: Store, tmp_path: Path) -> None:
    """Those that were given out by chance, before there was a count."""
    snapshot.take(store.path, tmp_path / "backup")
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        assert door.add_network(Label("lab"), number=7, now=NOW)
    store.close()
    restored = _restored(tmp_path / "backup", tmp_path / "restored", past=store.path)
    with restored.writing() as deployment:
        assert deployment.owned_by("acme").add_network(Label("lab"), number=7, now=NOW) is None
    restored.close()


def test_a_restored_store_knows_where_it_came_from(store: Store, tmp_path: Path) -> None:
    store.close()
    first = _restored(store.path, tmp_path / "first")
    org.add(first, Label("third"), now=NOW)
    first.close()
    second = _restored(tmp_path / "first", tmp_path / "second")
    other = _restored(store.path, tmp_path / "other", past=tmp_path / "second")
    with second.reading() as deployment:
        known = [deployment.cut(f"epoch-{name}") for name in ("a", "of-first", "of-second")]
        assert deployment.kept_since == deployment.revision
    with other.reading() as deployment:
        assert deployment.epoch == "epoch-of-other"
        seen = [deployment.cut(f"epoch-{name}") for name in ("a", "of-first", "of-second", "x")]
    second.close()
    other.close()

    assert known == [3, 4 + gap(60), None]
    assert seen == [3, 3, 3, None]


def test_states_of_one_deployment_are_related(store: Store, tmp_path: Path) -> None:
    store.close()
    for name in ("first", "second"):
        _restored(store.path, tmp_path / name).close()
    lineages = [
        read_lineage(path) for path in (store.path, tmp_path / "first", tmp_path / "second")
    ]
    stranger = Lineage("epoch-z", {}, lineages[0].marks, frozenset())

    assert all(one.related(other) for one in lineages for other in lineages)
    assert not any(one.related(stranger) or stranger.related(one) for one in lineages)


@settings(max_examples=10)
@given(steps(most=12), steps(most=12), st.integers(0, 10**7))
def test_whatever_is_done_before_and_after_marks_only_rise(
    furnished_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
    before: list[Step],
    after: list[Step],
    elapsed_s: int,
) -> None:
    folder = tmp_path_factory.mktemp("walk")
    shutil.copy(furnished_store, folder / "store")
    store = Store(folder / "store")
    for step in before:
        take(store, step)
    snapshot.take(store.path, folder / "backup")
    for step in after:
        take(store, step)
    store.close()
    _restored(folder / "backup", folder / "restored", elapsed_s=elapsed_s).close()
    old, new = read_lineage(folder / "store"), read_lineage(folder / "restored")

    snapshot.check(folder / "restored")
    assert new.marks.revision > old.marks.revision
    assert new.marks.gateways >= old.marks.gateways
    assert new.marks.networks >= old.marks.networks + networks_gap(_BITS) - len(after)
    assert all(
        number > old.marks.addresses.get(place, 0) for place, number in new.marks.addresses.items()
    )


@pytest.mark.parametrize("knows_the_old", [True, False])
def test_no_token_outlives_a_restore(store: Store, tmp_path: Path, knows_the_old: bool) -> None:  # noqa: FBT001
    """Which were revoked or used up after the back-up, nobody may know: members make new ones."""
    member.add(store, "acme", Label("alice"), MemberRole.ADMIN, networks=None, now=NOW)
    text = mint(store, "acme", "cli", owner="alice").render()
    backup = tmp_path / "backup.sqlite"
    snapshot.take(store.path, backup)
    token.revoke(store, "acme", "cli")
    past = store.path if knows_the_old else None
    restored = _restored(backup, tmp_path / "restored.sqlite", past=past)

    assert token.listed(restored, "acme") == []
    assert [facts.member.name for facts in member.listed(restored, "acme")] == ["alice"]
    with pytest.raises(Unidentified):
        caller_with(restored, text, origin="", now=NOW)
    restored.close()


def test_a_restore_is_a_record_of_the_trail_that_it_takes_back(
    store: Store, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.sqlite"
    snapshot.take(store.path, backup)
    restored = _restored(backup, tmp_path / "restored.sqlite")
    with restored.reading() as deployment:
        records = deployment.trail(None, after=0, limit=1_000)

    assert verify(records).place == len(records)
    assert "restore of store epoch-a as it was at revision" in records[-1].body
    restored.close()
