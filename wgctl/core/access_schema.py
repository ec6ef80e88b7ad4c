"""The JSON shapes of who may do what: members, tokens, and who one is.

What follows from a role or a kind is `wgctl.core.access`.
"""

from datetime import datetime
from ipaddress import IPv6Address
from typing import Annotated, ClassVar

from pydantic import Field

from wgctl.core.access import Extent, Scope
from wgctl.core.kinds import MemberRole, TokenKind
from wgctl.core.schema import LabelText, Tags
from wgctl.core.shape import Shape

__all__ = [
    "DEFAULT_EXPIRY_S",
    "AuditRecord",
    "CallerReply",
    "GonePeer",
    "Member",
    "MemberChange",
    "MintedToken",
    "NewMember",
    "NewToken",
    "PlacedName",
    "Removal",
    "Token",
]

DEFAULT_EXPIRY_S = 30 * 86_400
_LONGEST_S = 366 * 86_400
_MOST_USES = 10_000

_Networks = Annotated[list[LabelText], Field(max_length=1_000)]


class NewMember(Shape):
    """A member to add. `networks` None: the role holds in all of them, else in these alone."""

    name: LabelText
    role: MemberRole = MemberRole.MEMBER
    networks: _Networks | None = None


class MemberChange(Shape):
    """What a member is to have from now on; what is left out stays as it is."""

    role: MemberRole | None = None
    networks: _Networks | None = None


class Member(Shape):
    """A member, and how many peers and tokens are theirs."""

    OBSERVED: ClassVar = frozenset({"peers", "tokens"})

    name: str
    org: str
    role: MemberRole
    networks: list[str] | None
    peers: int
    tokens: int
    created_at: datetime


class PlacedName(Shape):
    """A thing of a network, by both names."""

    network: str
    name: str


class GonePeer(PlacedName):
    """A peer that goes, and the address that ends with it."""

    address: IPv6Address


class Removal(Shape):
    """What goes with a member, or would, and what is left to do elsewhere."""

    member: str
    dry_run: bool
    peers: list[GonePeer]
    machines: list[PlacedName]
    tokens: list[str]
    left_to_do: list[str]


class NewToken(Shape):
    """A token to make. `owner` None: who asks; `networks` None: every network of the org.

    `peer` is the one that a token of kind `peer` is for, `uses` how often one of kind `enrol` can
    be used: once, unless it says otherwise. `tags` are those of the peers that it adds.
    """

    name: LabelText
    kind: TokenKind = TokenKind.ORG
    owner: LabelText | None = None
    networks: _Networks | None = None
    peer: PlacedName | None = None
    uses: Annotated[int, Field(ge=1, le=_MOST_USES, strict=True)] | None = None
    tags: Tags = Field(default=[])
    expires_in_s: int = Field(default=DEFAULT_EXPIRY_S, ge=1, le=_LONGEST_S, strict=True)


class Token(Shape):
    """A token without what proves it; `last_used_at` is exact to a minute."""

    OBSERVED: ClassVar = frozenset({"last_used_at"})

    name: str
    org: str
    kind: TokenKind
    owner: str
    added_by: str
    networks: list[str] | None
    peer: str | None
    uses_left: int | None
    tags: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class MintedToken(Token):
    """A token as it was made: `token` is its text, which is shown this once."""

    token: str


class CallerReply(Shape):
    """Who one is, and what one may do: each scope, and how far it reaches.

    `org` and `token` are None for an operator; `member` for a token that an operator owns.
    `networks` None: every one. `expires_at` is the end of the token, or of the narrower one.
    """

    caller: str
    org: str | None
    member: str | None
    role: MemberRole | None
    token: str | None
    networks: list[str] | None
    expires_at: datetime | None
    scopes: dict[Scope, Extent]


class AuditRecord(Shape):
    """A record of an audit trail: `body` is JSON as the text that was hashed, the hashes are hex.

    How a hash is made of `previous`, `place`, `at` and `body` is `wgctl.core.audit`.
    """

    place: int
    at: datetime
    body: str
    previous: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
