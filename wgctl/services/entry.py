"""Who comes with a token: whether it is good, whose it is, and how far it reaches.

Every refusal is the same, so that nobody learns from it what a wrong token lacks.
"""

from wgctl.core.access import Asker, Caller
from wgctl.core.bearer import Bearer, judge
from wgctl.core.errors import Invalid, Unidentified
from wgctl.core.model import Token
from wgctl.store.standing import Standing
from wgctl.store.store import Store

__all__ = ["NOT_VALID", "caller_with"]

NOT_VALID = "no valid token came with the request: it may be wrong, revoked or expired"

_NOTED_EVERY_S = 60
"""How exact a token's last use is: noting each would cost a write to the disk for every request."""


def caller_with(store: Store, text: str, *, origin: str, now: int) -> Caller:
    """Return who comes with the token `text`; raises Unidentified when it is not good."""
    try:
        bearer = Bearer.parse(text)
        with store.reading() as deployment:
            found = deployment.standing(bearer.public_key)
        if found is None:
            raise Unidentified(NOT_VALID)
        narrowing = judge(bearer, found.proof)
    except Invalid:
        raise Unidentified(NOT_VALID) from None
    caller = Caller(
        Asker.BEARER,
        origin,
        org=found.org,
        member=found.member,
        token=found.token,
        narrowing=narrowing,
    )
    if caller.expired(now=now):
        raise Unidentified(NOT_VALID)
    _note_use(store, found, found.token, now=now)
    return caller


def _note_use(store: Store, found: Standing, token: Token, *, now: int) -> None:
    if found.last_used_at is None or now - found.last_used_at >= _NOTED_EVERY_S:
        with store.noting() as deployment:
            deployment.note_use(token, now=now)
