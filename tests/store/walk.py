"""A walk over everything that services change, and what the store says after each step."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from peers.keys import PublicKey
from peers.names import Label
from tests.services.minting import mint
from tests.store.samples import CHECK, NOW, add_peer, key, new_peer, register, sealed_to
from wgctl.core.errors import Refusal
from wgctl.core.feed import Delete, Kind, Put, Row
from wgctl.core.model import MachineState, MemberRole, Port, Protocol, TokenKind
from wgctl.services import app, lease, machine, member, network, org, peer, token
from wgctl.services.machine import NewMachine
from wgctl.services.peer import NewKey, NewPeer
from wgctl.store.store import Store

__all__ = ["EVERYTHING", "Rows", "Step", "apply", "rows_of", "steps", "take"]

EVERYTHING = frozenset(Kind)

Rows = dict[tuple[Kind, int], Row]
Step = tuple[int, int, int]

_ORGS = ("acme", "globex")
_NETWORKS = ("default", "lab")


def rows_of(store: Store, kinds: frozenset[Kind]) -> tuple[int, Rows]:
    """Return the revision and a snapshot of `kinds`, of one moment."""
    with store.reading() as deployment:
        return deployment.revision, {
            (put.kind, put.row.id): put.row for put in deployment.snapshot(kinds)
        }


def apply(rows: Rows, events: Sequence[Put | Delete]) -> Rows:
    """Return `rows` with `events` applied, as a reader of the feed does it."""
    applied = dict(rows)
    for event in events:
        match event:
            case Put(kind, row):
                applied[kind, row.id] = row
            case Delete(kind, row_id):
                applied.pop((kind, row_id), None)
    return applied


def take(store: Store, step: Step) -> None:
    """Take one step; one that is refused changes nothing, which is a step too."""
    what, which, number = step
    try:
        _STEPS[what % len(_STEPS)](store, which, number)
    except Refusal:
        pass
    except ValueError as error:
        # A key in use is refused as bad input.
        if "in use" not in str(error):
            raise


def _org(which: int) -> str:
    return _ORGS[which % 2]


def _network(which: int) -> str:
    return _NETWORKS[which // 2 % 2]


def _narrow(which: int) -> tuple[str, ...] | None:
    return (_network(which),) if which // 4 % 2 else None


def _machine(which: int, number: int) -> NewMachine:
    return NewMachine(
        network=Label(_network(which)),
        app=Label("web"),
        peer=Label(f"peer-{number}"),
        name=Label(f"web-{number}"),
        region=None,
        process_group=Label("app"),
        ports=(Port(Label("http"), 8080, Protocol.TCP),),
        metadata={"rack": f"r{number}"},
    )


def _announce(store: Store, slug: str, new: NewMachine) -> None:
    address = peer.shown(store, slug, new.network, new.peer).peer.address
    lease.announce(store, slug, address, new, lease_s=15, now=NOW)


def _gateway_key(store: Store) -> PublicKey:
    with store.reading() as deployment:
        return deployment.gateways()[0].public_key


def _sealed_peer(store: Store, number: int) -> NewPeer:
    return new_peer(number, preshared_key=sealed_to(_gateway_key(store), number))


def _sealed_key(store: Store, number: int) -> NewKey:
    sealed = sealed_to(_gateway_key(store), number)
    return NewKey(key(number), needs_forwarding=False, preshared_key=sealed)


_STEPS: tuple[Callable[[Store, int, int], object], ...] = (
    lambda s, w, n: add_peer(s, _org(w), n, network=_network(w)),
    lambda s, w, n: add_peer(s, _org(w), n + 8, network=_network(w)),
    lambda s, w, n: machine.add(s, _org(w), _machine(w, n), now=NOW),
    lambda s, w, _: org.add(s, Label(_org(w)), now=NOW),
    lambda s, w, _: network.add(s, _org(w), Label(_network(w)), now=NOW),
    lambda s, w, _: app.add(s, _org(w), _network(w), Label("web"), now=NOW),
    lambda s, w, n: machine.set_state(
        s, _org(w), _network(w), f"web-{n}", list(MachineState)[w // 4 % 2]
    ),
    lambda s, w, n: peer.rekey(
        s, _org(w), _network(w), f"peer-{n}", NewKey(key(100 + n), needs_forwarding=False), now=NOW
    ),
    lambda s, w, n: peer.remove(s, _org(w), _network(w), f"peer-{n}"),
    lambda s, w, n: machine.remove(s, _org(w), _network(w), f"web-{n}"),
    lambda s, w, _: app.remove(s, _org(w), _network(w), "web"),
    lambda s, w, _: network.remove(s, _org(w), _network(w)),
    lambda s, w, n: org.remove(s, _org(w)) if n == 0 else None,
    lambda s, w, n: register(s, number=n % 2, forwards=bool(w % 2)),
    lambda s, w, n: peer.add(s, _org(w), new_peer(n), now=NOW + n),
    lambda s, w, n: peer.add(s, _org(w), _sealed_peer(s, n), now=NOW),
    lambda s, w, n: peer.rekey(s, _org(w), _network(w), f"peer-{n}", _sealed_key(s, n), now=NOW),
    lambda s, w, n: machine.set_check(
        s, _org(w), _network(w), f"web-{n}", replace(CHECK, rise=1 + w // 4)
    ),
    lambda s, w, n: machine.set_check(s, _org(w), _network(w), f"web-{n}", None),
    lambda s, w, n: _announce(s, _org(w), _machine(w, n)),
    lambda s, w, n: lease.end(s, [(_org(w), n), (_org(w), n + 4)]),
    lambda s, w, n: app.set_flycast(s, _org(w), _network(w), "web", flycast=n > 0),
    lambda s, w, n: member.add(
        s, _org(w), Label(f"m-{n}"), MemberRole.MEMBER, networks=_narrow(w), now=NOW
    ),
    lambda s, w, n: member.change(s, _org(w), f"m-{n}", role=list(MemberRole)[w % 3]),
    lambda s, w, n: member.remove(s, _org(w), f"m-{n}"),
    lambda s, w, n: mint(s, _org(w), f"t-{n}", owner=f"m-{n}", networks=_narrow(w)),
    lambda s, w, n: mint(
        s, _org(w), f"p-{n}", kind=TokenKind.PEER, peer=(_network(w), f"peer-{n}")
    ),
    lambda s, w, n: token.revoke(s, _org(w), f"t-{n}"),
)


def steps(*, most: int) -> st.SearchStrategy[list[Step]]:
    """Return walks of up to `most` steps, after a start that gives them something to walk on."""
    start: list[Step] = [(13, 0, 0), (3, 0, 1), (3, 1, 1), (5, 0, 0), (4, 2, 0), (5, 2, 0)]
    step = st.tuples(st.integers(0, len(_STEPS) - 1), st.integers(0, 7), st.integers(0, 3))
    return st.lists(step, max_size=most).map(lambda walked: start + walked)
