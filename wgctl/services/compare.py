"""What differs between two states of a deployment, by name: what restoring one over the other does.

Reads stores as a controller does; which two, and what to do about it, is decided above.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from wgctl.core.feed import Kind, Put, encode_row
from wgctl.core.model import App, Check, Machine, Member, Network, Org, Peer, Seal
from wgctl.store.store import Store

__all__ = ["Contents", "Difference", "contents", "differences"]

Contents: TypeAlias = Mapping[Kind, Mapping[str, object]]
"""Of each kind, every row by its full name, as `acme/default/laptop`."""

# Tokens are not among them: none outlives a restore.
_KINDS = (
    *(Kind.ORG, Kind.MEMBER, Kind.NETWORK, Kind.GATEWAY),
    *(Kind.PEER, Kind.SEAL, Kind.APP, Kind.MACHINE, Kind.CHECK),
)
_ANY_KIND = frozenset(_KINDS)


@dataclass(frozen=True, slots=True)
class Difference:
    """What of one kind is gone, comes back, or is otherwise, by full name, in their order."""

    kind: Kind
    gone: tuple[str, ...]
    back: tuple[str, ...]
    changed: tuple[str, ...]


def contents(store: Store) -> Contents:
    """Return all that `store` holds, at one moment."""
    found: dict[Kind, dict[str, object]] = {kind: {} for kind in _KINDS}
    with store.reading() as deployment:
        for put, name in _named(deployment.snapshot(_ANY_KIND)):
            values = encode_row(put.kind, put.row)
            found[put.kind][name] = {
                field: value for field, value in values.items() if not field.endswith("id")
            }
    return found


def differences(running: Contents, restored: Contents) -> list[Difference]:
    """Return what becomes of `running` when `restored` takes its place, kinds that differ alone."""
    found = (_difference(kind, running[kind], restored[kind]) for kind in _KINDS)
    return [one for one in found if one.gone or one.back or one.changed]


def _difference(
    kind: Kind, running: Mapping[str, object], restored: Mapping[str, object]
) -> Difference:
    return Difference(
        kind,
        gone=tuple(sorted(running.keys() - restored.keys())),
        back=tuple(sorted(restored.keys() - running.keys())),
        changed=tuple(
            sorted(n for n in running.keys() & restored.keys() if running[n] != restored[n])
        ),
    )


def _named(rows: Iterator[Put]) -> Iterator[tuple[Put, str]]:
    """Yield rows with their full names; a snapshot has parents first."""
    orgs: dict[int, str] = {}
    networks: dict[int, str] = {}
    peers: dict[int, str] = {}
    machines: dict[int, str] = {}
    for put in rows:
        match put.row:
            case Org(id=id_, slug=slug):
                orgs[id_] = slug
                yield put, slug
            case Member(org_id=org_id, name=name):
                yield put, f"{orgs[org_id]}/{name}"
            case Network(id=id_, org_id=org_id, name=name):
                networks[id_] = f"{orgs[org_id]}/{name}"
                yield put, networks[id_]
            case Peer(id=id_, network_id=network_id, name=name):
                peers[id_] = f"{networks[network_id]}/{name}"
                yield put, peers[id_]
            case Seal(peer_id=peer_id):
                yield put, peers[peer_id]
            case Check(machine_id=machine_id):
                yield put, machines[machine_id]
            case Machine(id=id_, network_id=network_id, name=name):
                machines[id_] = f"{networks[network_id]}/{name}"
                yield put, machines[id_]
            case App() as row:
                yield put, f"{networks[row.network_id]}/{row.name}"
            case row:
                yield put, row.name
