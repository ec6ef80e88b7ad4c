"""Tokens for tests, made as an operator makes them."""

import itertools
from typing import Any

from peers.names import Label
from tests.store.samples import NOW
from wgctl.core.access import Caller
from wgctl.core.bearer import Bearer
from wgctl.core.model import MemberRole, TokenKind
from wgctl.services import member as members
from wgctl.services import token as tokens
from wgctl.services.entry import caller_with
from wgctl.services.token import NewToken
from wgctl.store.store import Store

__all__ = ["bearer", "mint"]


def mint(
    store: Store,
    org: str,
    name: str,
    *,
    kind: TokenKind = TokenKind.ORG,
    expires_in_s: int = 3600,
    **rest: Any,
) -> Bearer:
    """Return a new token of `org`, by default an operator's; `rest` are fields of a NewToken."""
    new = NewToken(Label(name), kind, expires_in_s, **rest)
    return tokens.add(store, org, new, now=NOW)[1]


_NUMBERS = itertools.count(1)


def bearer(store: Store, org: str, *, role: MemberRole | None = None, **rest: Any) -> Caller:
    """Return who comes with a new token: an operator's, or that of a new member with `role`."""
    number = next(_NUMBERS)
    owner = None
    if role is not None:
        owner = f"{role}-{number}"
        members.add(store, org, Label(owner), role, networks=None, now=NOW)
    made = mint(store, org, f"token-{number}", owner=owner, **rest)
    return caller_with(store, made.render(), origin="198.51.100.9", now=NOW)
