import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table

import wgctl
from peers.names import Label
from tests.services.minting import bearer
from tests.store.samples import NOW, add_peer, engine
from wgctl.core.access import Scope
from wgctl.core.errors import Denied, NotFound
from wgctl.core.model import MemberRole, TokenKind
from wgctl.services import network as networks
from wgctl.store import machines, members, org, scoped, tables
from wgctl.store.org import OrgDoor
from wgctl.store.prepared import Prepared
from wgctl.store.store import Store

_STATEMENTS = {"select", "insert", "update", "delete"}
_MAKERS = {"_select", "of_org"}
# Functions of `scoped` whose statements are made once, and take the org each time they are run.
_MADE_ONCE = {
    *("_counting", "_counting_machines", "_counting_rows", "_deleting", "_having", "_inserting"),
    *("_spending", "_updating", "_within"),
}
# On what `_having` of the module makes, or `_within`.
_BUILT_ON_ONE = {"_listing", "_paging"}
# `_count` names the org itself; `_spend` writes a table that no org owns.
_NAMED = _MAKERS | _MADE_ONCE | {"_count", "_in_reach", "_spend"}
_OWNED = {table.name for table in tables.metadata.sorted_tables if "org_id" in table.c}
_DOOR = (scoped, machines, members, org)
_SOURCE = Path(wgctl.__file__).parent


def _functions(module: object) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(Path(inspect.getfile(module)).read_text())  # type: ignore[arg-type]  # a module
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _called(tree: ast.AST) -> list[str]:
    return [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]


def _calls(tree: ast.AST) -> set[str]:
    return set(_called(tree))


def _names_the_org(function: ast.FunctionDef) -> bool:
    text = ast.unparse(function)
    return any(
        part in text
        for part in (
            *("self.org.id", "*self._owned(table)", ".c.org_id == bindparam('org"),
            " == of_org(tables.",
            " == of_org(_OWNERS[",
        )
    )


def test_every_statement_of_the_door_names_the_org() -> None:
    """Law 2: there is one scoped door to the store, and nothing goes round it."""
    with_statements = {
        function.name: function
        for module in _DOOR
        for function in _functions(module)
        if _calls(function) & _STATEMENTS
    }

    assert with_statements.keys() == _NAMED
    assert all(_names_the_org(with_statements[n]) for n in _NAMED - {"_spend", "_inserting"})
    # A second one beside it could leave the org out.
    assert all(
        sum(name in _STATEMENTS for name in _called(function)) == 1
        for function in with_statements.values()
    )
    assert "tables.spent_network_ids" in ast.unparse(with_statements["_spend"])
    assert not _OWNED & {"spent_network_ids"}


def test_what_is_made_once_gets_the_org_of_the_door() -> None:
    filling = {
        function.name: ast.unparse(function)
        for module in _DOOR
        for function in _functions(module)
        if _calls(function) & (_MADE_ONCE | _BUILT_ON_ONE) and function.name not in _BUILT_ON_ONE
    }

    assert filling.keys() == {
        *("_count_in", "_delete", "_every", "_having", "_insert", "_next_number", "_page"),
        *("_update", "count_machines", "spend_use"),
    }
    assert all("self.org.id" in text for text in filling.values())


@pytest.mark.parametrize("table", [tables.networks, tables.peers, tables.apps, tables.machines])
def test_a_page_is_of_the_org_whatever_it_is_of_besides(table: Table) -> None:
    ids = [column.name for column in table.c if column.name.endswith("_id")]
    ids.remove("org_id")
    made = [
        scoped._paging(table, having).statement  # noqa: SLF001
        for count in range(len(ids) + 1)
        for having in combinations(ids, count)
    ]

    assert made
    assert [page for page in made if "org_id = :org " not in f"{page.whereclause} "] == []


@pytest.mark.parametrize(
    "prepared",
    [
        *(
            scoped._paging(table, ("network_id",))  # noqa: SLF001
            for table in (tables.peers, tables.apps, tables.machines)
        ),
        scoped._paging(tables.machines, ("app_id",)),  # noqa: SLF001
        *(scoped._counting_rows(table) for table in (tables.peers, tables.apps)),  # noqa: SLF001
        scoped._listing(tables.seals),  # noqa: SLF001
        machines._counting_machines(),  # noqa: SLF001
    ],
)
def test_what_a_network_or_an_app_has_is_found_without_going_through_its_org(
    store: Store, prepared: Prepared[Any]
) -> None:
    with engine(store.path).connect() as connection:
        compiled = prepared.statement.compile(connection)
        values = (None,) * len(compiled.positiontup)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
        steps = [step for *_, step in plan]

    assert [step for step in steps if "(network_id=?" in step or "(app_id=?" in step]
    assert not [step for step in steps if "org_id" in step or "SCAN" in step]


def test_the_door_runs_no_sql_that_is_text() -> None:
    called = {
        node.attr
        for module in _DOOR
        for function in _functions(module)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
    }

    assert not called & {"exec_driver_sql", "text", "literal_column"}


def test_nothing_outside_of_the_store_speaks_sql() -> None:
    speaking = [
        path
        for path in _SOURCE.rglob("*.py")
        if path.parent != _SOURCE / "store" and "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        for module in _imported(node)
        if module.split(".")[0] in {"sqlalchemy", "alembic", "pysqlite3", "sqlite3"}
        or module.startswith("wgctl.store.tables")
    ]

    assert speaking == []


def test_beside_the_door_only_the_feed_and_totals_read_what_orgs_own() -> None:
    """`deployment` reads across orgs for no org: the feed, totals, reports, keys, time."""
    from wgctl.store import deployment

    touching = {
        function.name
        for function in _functions(deployment)
        if any(f"tables.{table}" in ast.unparse(function) for table in _OWNED)
    }
    writing = {
        function.name
        for function in _functions(deployment)
        if _calls(function) & {"insert", "update", "delete"}
        and any(f"tables.{table}" in ast.unparse(function) for table in _OWNED)
    }

    assert touching == {"_ended_peers", "_having_key", "counts", "peers_among", "snapshot"}
    assert writing == set()


def test_beside_the_door_one_module_knows_a_token_before_its_org() -> None:
    found = {
        path.stem: {name for name in _OWNED if f"tables.{name}" in path.read_text()}
        for path in (_SOURCE / "store").glob("*.py")
        if path.stem
        not in {"deployment", "tables", *(module.__name__.split(".")[-1] for module in _DOOR)}
    }

    assert {stem: names for stem, names in found.items() if names} == {
        "standing": {"members", "tokens"}
    }


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@pytest.mark.parametrize(
    "ask",
    [
        lambda door: door.network("lab"),
        lambda door: door.peer(door.network("default"), "peer-10"),
        lambda door: door.app(door.network("default"), "lab"),
        lambda door: door.machine(door.network("default"), "lab"),
    ],
)
def test_another_orgs_things_look_like_nothing(
    furnished: Store, ask: Callable[[OrgDoor], object]
) -> None:
    networks.add(furnished, "globex", Label("lab"), now=NOW)

    with furnished.reading() as deployment, pytest.raises(NotFound, match="org 'acme'"):
        ask(deployment.owned_by("acme"))


def test_another_orgs_values_reach_nothing_through_this_door(furnished: Store) -> None:
    """Even a caller who holds another org's row cannot read, change or remove it here."""
    with furnished.writing() as deployment:
        other = deployment.owned_by("globex")
        network = other.network("default")
        machine, peer = other.machine(network, "one"), other.peer(network, "peer-10")
        door = deployment.owned_by("acme")
        door.set_check(machine, None)
        door.remove_machine(machine)
        door.remove_peer(peer)
        found = (door.peers(network=network), door.apps(network=network))

    with furnished.reading() as deployment:
        other = deployment.owned_by("globex")
        assert other.machine(network, "one") == machine
        assert other.check(machine) is not None
        assert other.peer(network, "peer-10") == peer
    assert found == ([], [])


def test_another_org_looks_like_none_to_who_is_bound_to_one(furnished: Store) -> None:
    seen = furnished.seen_by(bearer(furnished, "acme"))
    with seen.reading() as deployment:
        assert [found.slug for found in deployment.orgs(after="", limit=9)] == ["acme"]
        for slug in ("globex", "nowhere"):
            with pytest.raises(NotFound, match=f"no org '{slug}'"):
                deployment.owned_by(slug)


def test_a_narrowed_caller_finds_nothing_of_other_networks(furnished: Store) -> None:
    networks.add(furnished, "acme", Label("lab"), now=NOW)
    add_peer(furnished, "acme", 5, network="lab")
    seen = furnished.seen_by(bearer(furnished, "acme", networks=("lab",)))
    with furnished.reading() as deployment:
        everything = deployment.owned_by("acme")
        other = everything.network("default")
        machine = everything.machine(other, "one")
    with seen.writing() as deployment:
        door = deployment.owned_by("acme")
        names = [network.name for network in door.networks()]
        peers = [peer.name for peer in door.peers()]
        hidden = (door.peers(network=other), door.apps(network=other), door.seals(network=other))
        door.remove_machine(machine)

        with pytest.raises(NotFound):
            door.network("default")
        assert door.machine_with_id(machine.id) is None
        assert door.count_peers() == 1

    assert (names, peers, hidden) == (["lab"], ["peer-5"], ([], [], []))
    with furnished.reading() as deployment:
        assert deployment.owned_by("acme").machine_with_id(machine.id) == machine


def test_a_caller_with_one_peers_token_finds_that_peer_alone(furnished: Store) -> None:
    with furnished.reading() as deployment:
        door = deployment.owned_by("acme")
        peer = door.peer(door.network("default"), "peer-1")
    caller = bearer(furnished, "acme", kind=TokenKind.PEER, peer=("default", "peer-1"))
    with furnished.seen_by(caller).reading() as deployment:
        door = deployment.owned_by("acme")

        assert door.peers() == [peer]
        with pytest.raises(NotFound):
            door.peer(door.network("default"), "peer-0")


@pytest.mark.parametrize(
    "touch",
    [
        lambda door, _, peer: door.remove_peer(peer),
        lambda door, network, peer: door.renew_peer(network, peer, expires_at=NOW, ephemeral=False),
        lambda door, _, peer: door.set_seal(peer, None),
    ],
)
def test_a_member_touches_peers_of_their_own_alone(
    furnished: Store, touch: Callable[..., object]
) -> None:
    member = bearer(furnished, "acme", role=MemberRole.MEMBER)
    for caller, may in ((member, False), (bearer(furnished, "acme"), True)):
        doing = replace(caller, doing=Scope.PEER_REMOVE)
        assert _touches(furnished.seen_by(doing), touch) is may


def _touches(store: Store, touch: Callable[..., object]) -> bool:
    with store.writing() as deployment:
        door = deployment.owned_by("acme")
        network = door.network("default")
        try:
            touch(door, network, door.peer(network, "peer-0"))
        except Denied:
            return False
    return True
