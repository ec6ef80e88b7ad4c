"""The scoped door's members and tokens.

A token goes with its owner or with the one peer that it is for; a network that goes is taken out of
what members and tokens are narrowed to, so that a later one of that name is none of theirs.
"""

from collections.abc import Iterable
from functools import cache

from sqlalchemy import ColumnElement, Table, Update, bindparam, null, update

from peers.names import Label
from wgctl.core.errors import Denied
from wgctl.core.feed import Kind
from wgctl.core.model import OPERATOR, Member, MemberRole, Network, Peer, Token
from wgctl.store import rows, tables
from wgctl.store.prepared import Prepared
from wgctl.store.rows import NewTokenRow
from wgctl.store.scoped import EVERYTHING, Scoped, lists, past
from wgctl.store.unique import taken

__all__ = ["Members"]


class Members(Scoped):
    """Who is in an org, and what they prove themselves with."""

    def members(self, *, after: str = "", limit: int = EVERYTHING) -> list[Member]:
        """Return up to `limit` members of the org by name, from the first one past `after`."""
        found = self._page(tables.members, having={}, after=past(after), limit=limit)
        return [rows.member_of(row) for row in found]

    def has_admin(self) -> bool:
        """Return whether a member is an admin of the whole org."""
        its = tables.members.c
        whole = self._select(tables.members, its.role == MemberRole.ADMIN, its.networks.is_(null()))
        return bool(self._rows(whole.limit(1)))

    def member(self, name: str) -> Member:
        """Return the member `name`; raises NotFound."""
        return rows.member_of(self._named(tables.members, name, what="member", within=None))

    def owner_for(self, wanted: str | None) -> str:
        """Return whose a new thing is to be: by default the caller's.

        Raises Denied when the caller may not give it to them, and NotFound for nobody's name.
        """
        own = self.caller.name
        if wanted is None or wanted == own:
            return own
        if wanted == OPERATOR:
            raise Denied(f"{self.caller.title} may not make what an operator owns")
        self.require_own(wanted, "this one")
        return self.member(wanted).name

    def add_member(
        self, name: Label, role: MemberRole, *, networks: tuple[Label, ...] | None, now: int
    ) -> Member:
        """Add the member `name`; raises Conflict when the name is taken."""
        with taken(members_name=f"member {name!a} exists already in org {self.org.slug!a}"):
            row = self._rows(
                self._insert(
                    tables.members,
                    name=name,
                    role=role,
                    networks=_listed(networks),
                    created_at=now,
                )
            )[0]
        member = rows.member_of(row)
        self._record.put(Kind.MEMBER, member)
        return member

    def set_role(
        self, member: Member, role: MemberRole, *, networks: tuple[Label, ...] | None
    ) -> Member:
        """Give `member` this role, in these networks; the same again changes nothing."""
        if (member.role, member.networks) == (role, networks):
            return member
        values = {"role": role, "networks": _listed(networks)}
        changed = rows.member_of(self._rows(self._update(tables.members, member.id, **values))[0])
        self._record.put(Kind.MEMBER, changed, before=member)
        return changed

    def remove_member(self, member: Member) -> None:
        """Remove `member` and their tokens; what else they own is removed before."""
        for token in self.tokens(owner=member.name):
            self.remove_token(token)
        self._execute(self._delete(tables.members, member.id))
        self._record.delete(Kind.MEMBER, member)

    def remove_everybody(self) -> None:
        """Remove every member and every token."""
        for token in self.tokens():
            self.remove_token(token)
        for member in self.members():
            self.remove_member(member)

    def tokens(
        self, *, owner: str | None = None, after: str = "", limit: int = EVERYTHING
    ) -> list[Token]:
        """Return up to `limit` tokens by name, from the first one past `after`.

        Of the org, or of one owner.
        """
        having = {} if owner is None else {"owner": owner}
        found = self._page(tables.tokens, having=having, after=past(after), limit=limit)
        return [rows.token_of(row) for row in found]

    def tokens_added_by(self, name: str) -> list[Token]:
        """Return the tokens that `name` has made, by name."""
        return self._tokens(tables.tokens.c.added_by == name)

    def count_tokens(self, *, owner: str) -> int:
        """Count the tokens of one owner."""
        return self._count(tables.tokens, tables.tokens.c.owner == owner)

    def token(self, name: str) -> Token:
        """Return the token `name`; raises NotFound."""
        return rows.token_of(self._named(tables.tokens, name, what="token", within=None))

    def last_used(self, token: Token) -> int | None:
        """Return when `token` was last used, to about a minute; None if it never was."""
        found: int | None = self._having(tables.tokens, id=token.id)[0]["last_used_at"]
        return found

    def add_token(self, new: NewTokenRow) -> Token:
        """Add a token; raises Conflict when the name is taken."""
        with taken(tokens_name=f"token {new.name!a} exists already in org {self.org.slug!a}"):
            row = self._rows(
                self._insert(
                    tables.tokens,
                    name=new.name,
                    kind=new.kind,
                    owner=new.owner,
                    added_by=new.added_by,
                    networks=_listed(new.networks),
                    only_peer_id=new.only_peer_id,
                    uses_left=new.uses_left,
                    tags=list(new.tags),
                    public_key=new.proof.public_key,
                    secret_hash=new.proof.secret_hash,
                    created_at=new.created_at,
                    expires_at=new.expires_at,
                )
            )[0]
        token = rows.token_of(row)
        self._record.put(Kind.TOKEN, token)
        return token

    def remove_token(self, token: Token) -> None:
        """Remove `token`: whoever comes with it, or with a narrower one, is unknown."""
        self.require_own(token.owner, f"token {token.name!a}")
        self._execute(self._delete(tables.tokens, token.id))
        self._record.delete(Kind.TOKEN, token)

    def spend_use(self) -> None:
        """Take one use from the caller's token, where they are counted.

        Raises Denied when none is left.
        """
        token = self.caller.token
        if token is None or token.uses_left is None:
            return
        values = {"org": self.org.id, "token": token.id}
        spent = _spending().rows(self._connection, values)
        if not spent:
            raise Denied(
                f"token {token.name!a} was used as often as it may be: ask for another one"
            )
        self._record.put(Kind.TOKEN, rows.token_of(spent[0]), before=token)

    def end_tokens_for(self, peers: Iterable[Peer]) -> None:
        """Record that the tokens that are for one of `peers` alone go with it."""
        for peer in peers:
            for row in self._having(tables.tokens, only_peer_id=peer.id):
                self._execute(self._delete(tables.tokens, row["id"]))
                self._record.delete(Kind.TOKEN, rows.token_of(row))

    def forget_network(self, network: Network) -> None:
        """Take `network` out of what members and tokens are narrowed to."""
        for member in self._members(*_narrowed_to(tables.members, network)):
            self.set_role(member, member.role, networks=_without(member.networks, network))
        for token in self._tokens(*_narrowed_to(tables.tokens, network)):
            values = {"networks": _listed(_without(token.networks, network))}
            row = self._rows(self._update(tables.tokens, token.id, **values))[0]
            self._record.put(Kind.TOKEN, rows.token_of(row), before=token)

    def _members(self, *where: ColumnElement[bool]) -> list[Member]:
        table: Table = tables.members
        found = self._rows(self._select(table, *where).order_by(table.c.name))
        return [rows.member_of(row) for row in found]

    def _tokens(self, *where: ColumnElement[bool]) -> list[Token]:
        table: Table = tables.tokens
        found = self._rows(self._select(table, *where).order_by(table.c.name))
        return [rows.token_of(row) for row in found]


@cache
def _spending() -> Prepared[Update]:
    """Return what takes a use from a token that has one left."""
    tokens = tables.tokens
    return Prepared(
        update(tokens)
        .where(
            tokens.c.org_id == bindparam("org"),
            tokens.c.id == bindparam("token"),
            tokens.c.uses_left > 0,
        )
        .values(uses_left=tokens.c.uses_left - 1)
        .returning(tokens)
    )


def _narrowed_to(table: Table, network: Network) -> tuple[ColumnElement[bool], ...]:
    """Return what finds rows that list `network`, among those that list networks at all.

    SQLite takes the index of the latter only where both are said.
    """
    networks = table.c.networks
    return networks.is_not(null()), lists(networks, network.name)


def _listed(networks: tuple[Label, ...] | None) -> list[str] | None:
    return None if networks is None else list(networks)


def _without(networks: tuple[Label, ...] | None, gone: Network) -> tuple[Label, ...]:
    return tuple(name for name in networks or () if name != gone.name)
