import json
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError

from peers.names import Label
from tests.services.minting import bearer, mint
from tests.store.samples import NOW, add_peer, engine, register
from wgctl.core.access import Asker, Caller
from wgctl.core.audit import Record, verify
from wgctl.core.errors import Conflict
from wgctl.services import app, network, org, peer
from wgctl.store.store import Store


def _trail(store: Store, slug: str | None, *, after: int = 0) -> list[Record]:
    with store.reading() as deployment:
        return deployment.trail(slug, after=after, limit=1_000)


def _told(store: Store, slug: str | None) -> list[dict[str, Any]]:
    return [json.loads(record.body) for record in _trail(store, slug)]


def _changes(told: dict[str, Any]) -> list[tuple[str, bool, bool]]:
    return [(c["kind"], c["before"] is not None, c["after"] is not None) for c in told["changes"]]


def test_each_transaction_is_a_record_of_what_was_before_and_is_after(store: Store) -> None:
    start = len(_trail(store, "acme"))
    add_peer(store, "acme", 1)
    app.add(store, "acme", "default", Label("web"), now=NOW)
    app.set_flycast(store, "acme", "default", "web", flycast=True)
    peer.remove(store, "acme", "default", "peer-1")
    told = _told(store, "acme")[start:]

    assert [_changes(record) for record in told] == [
        [("peer", False, True)],
        [("app", False, True)],
        [("app", True, True)],
        [("peer", True, False)],
    ]
    change = told[2]["changes"][0]
    assert change["before"]["service_address"] is None
    assert change["after"]["service_address"].endswith(":1::2")
    assert {record["outcome"] for record in told} == {"allowed"}


def test_what_changes_nothing_or_is_refused_leaves_no_record(store: Store) -> None:
    app.add(store, "acme", "default", Label("web"), now=NOW)
    before = _trail(store, "acme")
    app.set_flycast(store, "acme", "default", "web", flycast=False)
    with pytest.raises(Conflict):
        app.add(store, "acme", "default", Label("web"), now=NOW)

    assert _trail(store, "acme") == before


def test_each_org_has_a_chain_of_its_own_and_the_deployment_too(store: Store) -> None:
    add_peer(store, "acme", 0)
    add_peer(store, "globex", 1)
    register(store, number=1)

    for slug in ("acme", "globex", None):
        assert verify(_trail(store, slug)).place == len(_trail(store, slug)) > 0
    assert "peer-1" not in json.dumps(_told(store, "acme"))
    assert _changes(_told(store, None)[-1]) == [("gateway", False, True)]


def test_an_org_that_goes_stands_in_the_deployments_chain_with_all_that_it_had(
    store: Store,
) -> None:
    add_peer(store, "acme", 1)
    mint(store, "acme", "ci")
    org.remove(store, "acme")
    kinds = [kind for kind, *_ in _changes(_told(store, None)[-1])]

    assert sorted(kinds) == ["network", "org", "peer", "token"]


def test_a_record_says_whose_token_did_it(store: Store) -> None:
    caller = bearer(store, "acme")
    network.add(store.seen_by(caller), "acme", Label("lab"), now=NOW)
    told = _told(store, "acme")[-1]

    assert caller.token is not None
    assert (told["who"], told["as"], told["from"]) == ("operator", "bearer", "198.51.100.9")
    assert told["token"] == caller.token.name


def test_what_roles_tell_is_nobodys_deed_but_for_gateways(store: Store) -> None:
    seen = store.seen_by(Caller(Asker.NODE, "uid 990"))
    before = _trail(seen, "acme")
    app.add(seen, "acme", "default", Label("web"), now=NOW)
    register(seen, number=3)

    assert _trail(store, "acme") == before
    assert _told(store, None)[-1]["as"] == "node"


def test_a_denial_is_noted_and_is_no_change(store: Store) -> None:
    caller = bearer(store, "acme")
    with store.reading() as deployment:
        revision = deployment.revision
    with store.seen_by(caller).noting() as deployment:
        deployment.note_denial("POST /v1/orgs/acme/networks", now=NOW)
    told = _told(store, "acme")[-1]

    assert (told["outcome"], told["request"]) == ("denied", "POST /v1/orgs/acme/networks")
    with store.reading() as deployment:
        assert deployment.revision == revision


def test_parts_of_a_trail_meet(store: Store) -> None:
    for number in range(5):
        add_peer(store, "acme", number)
    whole, parts, after = _trail(store, "acme"), [], 0
    while True:
        with store.reading() as deployment:
            part = deployment.trail("acme", after=after, limit=2)
        if not part:
            break
        parts += part
        after = part[-1].place

    assert parts == whole


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET body = '{}'", "DELETE FROM audit", "UPDATE audit SET at = 0"]
)
def test_the_database_lets_nobody_change_a_record(store: Store, statement: str) -> None:
    add_peer(store, "acme", 1)
    before, opened = _trail(store, "acme"), engine(store.path)
    with pytest.raises(DatabaseError, match="never"), opened.begin() as connection:
        connection.exec_driver_sql(statement)
    opened.dispose()

    assert _trail(store, "acme") == before


def test_what_is_read_into_a_trail_is_what_was_written_though_it_has_every_character(
    store: Store,
) -> None:
    with store.seen_by(bearer(store, "acme")).noting() as deployment:
        deployment.note_denial('GET /v1/\x1b[2J\n"\u2028é', now=NOW)

    assert verify(_trail(store, "acme")).place > 0
    assert _trail(store, "acme")[-1].body.isprintable()


def test_a_change_of_very_much_is_several_records(store: Store) -> None:
    for number in range(120):
        add_peer(store, "acme", number)
    org.remove(store, "acme")
    *_, first, second = _told(store, None)

    assert (len(first["changes"]), first["changes"][0]["kind"]) == (100, "peer")
    assert second["changes"][-1]["kind"] == "org"
