"""Who may do what: scopes, who has them by the door they came through, by role and by token.

Decides by tables alone; how an asker proves who they are is `wgctl.api`. A caller has what the kind
of their token and the role of its owner both give.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from peers.names import Label
from wgctl.core.kinds import OPERATOR, MemberRole, TokenKind

if TYPE_CHECKING:
    from wgctl.core.model import Member, Org, Token

__all__ = [
    "CONTROLLER",
    "KINDS",
    "ROLES",
    "SCOPES",
    "WHOLE",
    "Asker",
    "Caller",
    "Extent",
    "Narrowing",
    "Scope",
    "allowed",
    "may_tag",
]


class Scope(StrEnum):
    """What a route needs: a noun and a verb."""

    ORG_READ = "org:read"
    ORG_WRITE = "org:write"
    NETWORK_READ = "network:read"
    NETWORK_WRITE = "network:write"
    PEER_READ = "peer:read"
    PEER_ENROL = "peer:enrol"
    PEER_REKEY = "peer:rekey"
    PEER_REMOVE = "peer:remove"
    APP_READ = "app:read"
    APP_WRITE = "app:write"
    MACHINE_READ = "machine:read"
    MACHINE_WRITE = "machine:write"
    MACHINE_ANNOUNCE = "machine:announce"
    GATEWAY_READ = "gateway:read"
    MEMBER_READ = "member:read"
    MEMBER_WRITE = "member:write"
    TOKEN_READ = "token:read"  # noqa: S105 - a scope, no secret
    TOKEN_WRITE = "token:write"  # noqa: S105 - a scope, no secret
    AUDIT_READ = "audit:read"
    CALLER_READ = "caller:read"
    DEPLOYMENT_READ = "deployment:read"
    STATUS_READ = "status:read"
    STORE_READ = "store:read"
    FEED_READ = "feed:read"
    NODE_WRITE = "node:write"
    SELF_READ = "self:read"
    DOCUMENT_READ = "document:read"

    @property
    def verb(self) -> str:
        """What is done to the noun."""
        return self.partition(":")[2]


class Asker(StrEnum):
    """What an asker is, by the door that they came through."""

    OPERATOR = "operator"
    NODE = "node"
    PEER = "peer"
    BEARER = "bearer"


class Extent(StrEnum):
    """Which of a noun's things a scope reaches: all in reach, or those that the caller owns."""

    ALL = "all"
    OWN = "own"


_OF_ROLES = frozenset({Scope.FEED_READ, Scope.NODE_WRITE})
_OF_PEERS = frozenset({Scope.SELF_READ, Scope.MACHINE_ANNOUNCE})
_OF_OPERATORS = frozenset(
    {Scope.ORG_WRITE, Scope.DEPLOYMENT_READ, Scope.STATUS_READ, Scope.STORE_READ}
)

SCOPES: Mapping[Asker, frozenset[Scope]] = MappingProxyType(
    {
        Asker.OPERATOR: frozenset(Scope) - _OF_ROLES - _OF_PEERS,
        Asker.NODE: _OF_ROLES,
        Asker.PEER: _OF_PEERS,
        Asker.BEARER: frozenset(Scope) - _OF_ROLES - _OF_PEERS - _OF_OPERATORS,
    }
)
"""What each door is for; of a bearer it is the most. Everything that is not listed is denied."""


def allowed(asker: Asker, scope: Scope) -> bool:
    """Whether the door of `asker` has `scope`."""
    return scope in SCOPES.get(asker, frozenset())


def _all(*scopes: Scope) -> dict[Scope, Extent]:
    return dict.fromkeys(scopes, Extent.ALL)


def _own(*scopes: Scope) -> dict[Scope, Extent]:
    return dict.fromkeys(scopes, Extent.OWN)


_ANYBODY = (Scope.CALLER_READ, Scope.DOCUMENT_READ)
_DIRECTORY = (
    *_ANYBODY,
    Scope.ORG_READ,
    Scope.NETWORK_READ,
    Scope.PEER_READ,
    Scope.APP_READ,
    Scope.MACHINE_READ,
    Scope.GATEWAY_READ,
    Scope.MEMBER_READ,
)
_OWN_TOKENS = (Scope.TOKEN_READ, Scope.TOKEN_WRITE)
_PEERS = (Scope.PEER_ENROL, Scope.PEER_REKEY, Scope.PEER_REMOVE)

ROLES: Mapping[MemberRole, Mapping[Scope, Extent]] = MappingProxyType(
    {
        MemberRole.ADMIN: MappingProxyType(_all(*SCOPES[Asker.BEARER])),
        MemberRole.MEMBER: MappingProxyType(
            _all(*_DIRECTORY, Scope.APP_WRITE, Scope.MACHINE_WRITE) | _own(*_PEERS, *_OWN_TOKENS)
        ),
        MemberRole.VIEWER: MappingProxyType(_all(*_DIRECTORY) | _own(*_OWN_TOKENS)),
    }
)
"""What a role may do in its org, or in the networks that its member is narrowed to."""

_IN_A_NETWORK = frozenset(
    {
        *_ANYBODY,
        *(Scope.ORG_READ, Scope.GATEWAY_READ, Scope.NETWORK_READ),
        *(Scope.PEER_READ, *_PEERS, Scope.APP_READ, Scope.APP_WRITE),
        *(Scope.MACHINE_READ, Scope.MACHINE_WRITE),
    }
)
"""All that is left to a caller who is narrowed to networks."""

_READING = frozenset(scope for scope in SCOPES[Asker.BEARER] if scope.verb == "read")
_ALL_BUT_TOKENS = frozenset(Scope) - {Scope.TOKEN_WRITE}

KINDS: Mapping[TokenKind, frozenset[Scope]] = MappingProxyType(
    {
        TokenKind.ORG: SCOPES[Asker.BEARER],
        TokenKind.NETWORK: _IN_A_NETWORK,
        TokenKind.READ_ONLY: _READING,
        TokenKind.ENROL: frozenset({Scope.PEER_ENROL, *_ANYBODY}),
        TokenKind.PEER: frozenset({Scope.PEER_READ, Scope.PEER_REKEY, *_ANYBODY}),
    }
)
"""What a token of each kind can be used for at the most."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What was taken from a token without asking the controller.

    `networks` None: it reaches as far as the token; `expires_at` None: as long.
    """

    networks: frozenset[str] | None = None
    expires_at: int | None = None
    read_only: bool = False

    def and_also(self, other: "Narrowing") -> "Narrowing":
        """Return what is left when both hold."""
        ends = [end for end in (self.expires_at, other.expires_at) if end is not None]
        return Narrowing(
            networks=common(self.networks, other.networks),
            expires_at=min(ends, default=None),
            read_only=self.read_only or other.read_only,
        )


WHOLE = Narrowing()
"""The narrowing that takes nothing away."""


def common(*limits: frozenset[str] | None) -> frozenset[str] | None:
    """Return the names that are in each of `limits`; one that is None limits nothing."""
    given = [limit for limit in limits if limit is not None]
    return frozenset.intersection(*given) if given else None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from, and what for.

    `origin` is where from, in words. Without a token a caller stands above orgs; with one `org` is
    the token's, and `member` its owner: None for a token that an operator owns. `doing` is the
    scope that the route declared, None before there is one. `as_of` is the revision at which org,
    member and token were so; None: nobody knows.
    """

    asker: Asker
    origin: str
    org: "Org | None" = None
    member: "Member | None" = None
    token: "Token | None" = None
    narrowing: Narrowing = WHOLE
    doing: Scope | None = None
    as_of: int | None = None

    @property
    def name(self) -> str:
        """Return the member's name, or what the caller is."""
        if self.member is not None:
            return self.member.name
        return OPERATOR if self.asker is Asker.BEARER else self.asker.value

    @property
    def title(self) -> str:
        """Return the caller's role, or what the caller is."""
        return self.name if self.member is None else f"{self.member.role} {self.member.name}"

    @property
    def networks(self) -> frozenset[str] | None:
        """The names of the networks in reach, None for all."""
        if self.token is None:
            return None
        of_member = None if self.member is None else self.member.networks
        return common(_names(of_member), _names(self.token.networks), self.narrowing.networks)

    def extent(self, scope: Scope) -> Extent | None:
        """Return how far `scope` reaches for this caller, None if they do not have it."""
        if self.asker is not Asker.BEARER:
            return Extent.ALL if allowed(self.asker, scope) else None
        if self.token is None or not all(scope in limit for limit in self._limits(self.token)):
            return None
        role = MemberRole.ADMIN if self.member is None else self.member.role
        return ROLES.get(role, {}).get(scope)

    def _limits(self, token: "Token") -> Iterator[frozenset[Scope]]:
        yield KINDS.get(token.kind, frozenset())
        if self.networks is not None:
            yield _IN_A_NETWORK
        if self.narrowing.read_only:
            yield _READING
        if self.narrowing != WHOLE:
            # What was made narrower must not become wide again by making another token.
            yield _ALL_BUT_TOKENS

    def expired(self, *, now: int) -> bool:
        """Whether the caller's token is over at `now`."""
        if self.token is None:
            return False
        ends_at = self.narrowing.expires_at
        return self.token.expires_at <= now or (ends_at is not None and ends_at <= now)

    def may_touch(self, owner: str) -> bool:
        """Whether what this caller is doing reaches a thing of `owner`."""
        if self.doing is None:
            return self.asker is not Asker.BEARER
        extent = self.extent(self.doing)
        return extent is Extent.ALL or (extent is Extent.OWN and owner == self.name)


def may_tag(caller: Caller, tags: frozenset[Label]) -> bool:
    """Whether `caller` may give `tags`: who enrols everybody's peers, by a token for that its own.

    A peer's owner must not choose what others go by.
    """
    if not tags:
        return True
    token = caller.token
    its_own = token is None or token.kind is not TokenKind.ENROL or tags.issubset(token.tags)
    return its_own and caller.extent(Scope.PEER_ENROL) is Extent.ALL


def _names(networks: tuple[Label, ...] | None) -> frozenset[str] | None:
    return None if networks is None else frozenset(networks)


CONTROLLER = Caller(Asker.OPERATOR, origin="controller")
"""The controller itself, which nobody asked."""
