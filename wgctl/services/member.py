"""Members of an org: adding, listing, giving roles, and removing them with all that is theirs.

The last admin of the whole org stays, whoever asks: that is looked at where it is written.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from peers.names import Label
from wgctl.core.errors import Conflict, Invalid
from wgctl.core.model import OPERATOR, Member, MemberRole, Network, Peer, Token
from wgctl.services.condition import Condition, always
from wgctl.store.org import OrgDoor
from wgctl.store.scoped import EVERYTHING
from wgctl.store.store import Store

__all__ = ["UNCHANGED", "MemberFacts", "Removal", "add", "change", "listed", "remove", "shown"]


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A member, and how much is theirs."""

    member: Member
    peers: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes with a member, and what somebody has to do elsewhere."""

    member: Member
    peers: tuple[tuple[Network, Peer], ...]
    machines: tuple[tuple[Network, Label], ...]
    tokens: tuple[Token, ...]
    left_to_do: tuple[str, ...]


class _Unchanged:
    """Stands for networks that are left as they are: None means all of them."""


UNCHANGED = _Unchanged()


def add(
    store: Store,
    org: str,
    name: Label,
    role: MemberRole,
    *,
    networks: Iterable[str] | None,
    now: int,
) -> MemberFacts:
    """Add a member, in all networks for None; raises Conflict when there is one of that name.

    Raises NotFound for a network that is not there, and Invalid for the name of the operators.
    """
    if name == OPERATOR:
        raise Invalid(f"member {name!a}: what operators own is said to be theirs: choose another")
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        within = _networks(door, networks)
        return MemberFacts(door.add_member(name, role, networks=within, now=now), 0, 0)


def listed(
    store: Store, org: str, *, after: str = "", limit: int = EVERYTHING
) -> list[MemberFacts]:
    """Return up to `limit` members of `org` by name, past the name `after`."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        return [_facts(door, member) for member in door.members(after=after, limit=limit)]


def shown(store: Store, org: str, name: str) -> MemberFacts:
    """Return the member `name`; raises NotFound."""
    with store.reading() as deployment:
        door = deployment.owned_by(org)
        return _facts(door, door.member(name))


def change(
    store: Store,
    org: str,
    name: str,
    *,
    role: MemberRole | None = None,
    networks: Iterable[str] | _Unchanged | None = UNCHANGED,
    check: Condition[MemberFacts] = always,
) -> MemberFacts:
    """Give a member another role, other networks, or both; None for a role leaves it.

    Raises NotFound, and Conflict when the org would have no admin any more.
    """
    with store.writing() as deployment:
        door = deployment.owned_by(org)
        member = door.member(name)
        check(_facts(door, member))
        within = member.networks if isinstance(networks, _Unchanged) else _networks(door, networks)
        changed = door.set_role(member, role or member.role, networks=within)
        if not changed.administers:
            _require_an_admin(door, member)
        return _facts(door, changed)


def remove(
    store: Store,
    org: str,
    name: str,
    *,
    dry_run: bool = False,
    check: Condition[MemberFacts] = always,
) -> Removal:
    """Remove a member, their tokens, their peers and the machines on these, all or nothing.

    `dry_run`: only say what would go. Raises NotFound, and Conflict for the last admin.
    """
    with store.reading() if dry_run else store.writing() as deployment:
        door = deployment.owned_by(org)
        member = door.member(name)
        check(_facts(door, member))
        removal = _removal(door, member)
        if not dry_run:
            for _network, peer in removal.peers:
                door.remove_peer(peer)
            door.remove_member(member)
            _require_an_admin(door, member)
        return removal


def _require_an_admin(door: OrgDoor, changed: Member) -> None:
    if changed.administers and not door.has_admin():
        raise Conflict(
            f"{changed.name!a} is the last admin of org {door.org.slug!a}: make another one first, "
            f"with wgctl member set-role NAME admin --org {door.org.slug}"
        )


def _networks(door: OrgDoor, names: Iterable[str] | None) -> tuple[Label, ...] | None:
    """Return the names in their order, each once; raises NotFound for one that is not there."""
    return None if names is None else tuple(door.network(name).name for name in sorted(set(names)))


def _facts(door: OrgDoor, member: Member) -> MemberFacts:
    return MemberFacts(
        member,
        peers=door.count_peers(owner=member.name),
        tokens=door.count_tokens(owner=member.name),
    )


def _removal(door: OrgDoor, member: Member) -> Removal:
    peers = door.peers_of(member.name)
    machines = [
        (network, machine.name) for network, peer in peers for machine in door.machines_on(peer)
    ]
    return Removal(
        member,
        peers=tuple(peers),
        machines=tuple(sorted(machines, key=lambda one: (one[0].name, one[1]))),
        tokens=tuple(door.tokens(owner=member.name)),
        left_to_do=tuple(_left_to_do(door, member)),
    )


def _left_to_do(door: OrgDoor, member: Member) -> Iterable[str]:
    """Yield what no controller can do: whoever made a token for another has seen it."""
    for token in door.tokens_added_by(member.name):
        if token.owner != member.name:
            yield (
                f"token {token.name} of {token.owner} was made by {member.name}, who may have kept "
                f"it: wgctl token revoke {token.name} --org {door.org.slug}"
            )
    yield f"the account of {member.name} where your organisation keeps accounts, and on its hosts"
    yield f"secrets of your own services that {member.name} knows"
