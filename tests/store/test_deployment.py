from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event

from peers.names import Label
from tests.store.samples import NOW, add_peer, key, register
from wgctl.core.errors import Conflict, NotFound
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Gateway, Org
from wgctl.services import org as orgs
from wgctl.store.deployment import Counts, Deployment
from wgctl.store.store import Store


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d.org("none"),
        lambda d: d.owned_by("none"),
        lambda d: d.remove_org("none"),
        lambda d: d.gateway("none"),
    ],
)
def test_what_is_not_there_is_not_found(store: Store, ask: Callable[[Deployment], object]) -> None:
    with store.writing() as deployment, pytest.raises(NotFound, match=r"wgctl .* list"):
        ask(deployment)


def test_a_taken_slug_is_a_conflict(store: Store) -> None:
    with store.writing() as deployment, pytest.raises(Conflict, match="org 'acme' exists"):
        deployment.add_org(Label("acme"), now=NOW)


def test_orgs_come_by_slug_past_a_slug(store: Store) -> None:
    for slug in ("b", "a", "z"):
        orgs.add(store, Label(slug), now=NOW)
    with store.reading() as deployment:
        first = [org.slug for org in deployment.orgs(after="", limit=2)]
        rest = [org.slug for org in deployment.orgs(after="acme", limit=99)]

    assert first == ["a", "acme"]
    assert rest == ["b", "globex", "z"]


def test_a_gateways_number_is_never_given_out_again(store: Store) -> None:
    """Even a registration that fails later may have spent one, never two gateways the same."""
    numbers = [register(store, number=number).number for number in range(3)]

    assert numbers == [16, 17, 18]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"public_key": key(1), "number": 99}, "gateway 'ams-16' exists"),
        ({"name": Label("other"), "number": 99}, "another gateway has this public key"),
    ],
)
def test_a_taken_gateway_name_or_key_is_a_conflict(
    store: Store, change: dict[str, object], said: str
) -> None:
    with store.writing() as deployment:
        known = deployment.gateways()[0]

        with pytest.raises(Conflict, match=said):
            deployment.add_gateway(replace(known, **change))  # type: ignore[arg-type]  # a table


def test_a_gateways_record_is_written_over(store: Store) -> None:
    with store.writing() as deployment:
        known = deployment.gateways()[0]
        changed = replace(known, mtu_bytes=1380, forwards=True)
        deployment.update_gateway(changed)

        assert deployment.gateways() == [changed]
        assert deployment.gateway(known.name) == changed


def test_a_key_is_in_use_whichever_org_or_gateway_has_it(store: Store) -> None:
    add_peer(store, "globex", 5)
    gateway: Gateway = register(store)
    with store.reading() as deployment:
        assert deployment.key_in_use(key(5))
        assert deployment.key_in_use(gateway.public_key)
        assert not deployment.key_in_use(key(6))


def test_the_counts_are_of_all_orgs(store: Store) -> None:
    add_peer(store, "globex", 1)
    add_peer(store, "acme", 2)
    with store.reading() as deployment:
        assert deployment.counts() == Counts(orgs=2, networks=2, peers=2)


def test_peers_are_told_from_ids_of_nothing(store: Store) -> None:
    ids = {add_peer(store, org, number).peer.id for number, org in enumerate(("acme", "globex"))}
    with store.reading() as deployment:
        assert deployment.peers_among({*ids, *range(1_000, 4_000)}) == ids
        assert deployment.peers_among(()) == frozenset()


def test_a_snapshot_has_parents_first_and_only_the_kinds_asked_for(store: Store) -> None:
    add_peer(store, "globex", 1)
    with store.reading() as deployment:
        everything = list(deployment.snapshot(frozenset(Kind)))
        some = list(deployment.snapshot(frozenset({Kind.ORG, Kind.PEER})))

    kinds = [put.kind for put in everything]
    assert kinds == [Kind.ORG] * 2 + [Kind.GATEWAY] + [Kind.NETWORK] * 2 + [Kind.PEER]
    assert some == [put for put in everything if put.kind in {Kind.ORG, Kind.PEER}]


def test_a_snapshot_is_whole_beyond_one_batch(empty_store: Store) -> None:
    with empty_store.writing() as deployment:
        for number in range(1_001):
            deployment.add_org(Label(f"o{number}"), now=NOW)
    with empty_store.reading() as deployment:
        found = list(deployment.snapshot(frozenset({Kind.ORG})))

    assert len({put.row.id for put in found}) == len(found) == 1_001


def test_adding_and_removing_an_org_are_changes(empty_store: Store) -> None:
    with empty_store.writing() as deployment:
        org = deployment.add_org(Label("acme"), now=NOW)
    orgs.remove(empty_store, "acme")
    with empty_store.reading() as deployment:
        first, second = deployment.changes(since=0, until=9, kinds=frozenset(Kind))

    assert first == Put(Kind.ORG, Org(org.id, Label("acme"), NOW))
    assert (second.kind, getattr(second, "id", None)) == (Kind.ORG, org.id)


def test_ended_peers_are_looked_for_without_going_through_all_peers(store: Store) -> None:
    """It is asked each second, of a million."""
    plans: list[str] = []

    def explain(_context: Any, cursor: Any, statement: str, values: Any, *_: object) -> None:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        plans.extend(step for *_, step in cursor.fetchall())

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        with store.reading() as deployment:
            plans.clear()
            deployment.ended_peers(now=NOW, most=10)
    finally:
        event.remove(Engine, "before_cursor_execute", explain)

    assert "SEARCH peers USING INDEX ix_peers_expires_at (expires_at<?)" in plans
    assert not [step for step in plans if "SCAN" in step]
