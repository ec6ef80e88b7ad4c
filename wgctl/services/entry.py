"""Who comes with a token: whether it is good, whose it is, and how far it reaches.

Every refusal is the same, so that nobody learns from it what a wrong token lacks.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from wgctl.core.access import Asker, Caller
from wgctl.core.bearer import Bearer, judge
from wgctl.core.errors import Invalid, Unidentified
from wgctl.store.standing import Standing
from wgctl.store.store import Store

__all__ = ["NOT_VALID", "Entry", "caller_with"]

NOT_VALID = "no valid token came with the request: it may be wrong, revoked or expired"

_NOTED_EVERY_S = 60
"""How exact a token's last use is: noting each would cost a write to the disk for every request."""

_MOST_KNOWN = 4_096


@dataclass(frozen=True, slots=True)
class _Known:
    """A caller without their origin, and when the token's use was last noted."""

    caller: Caller
    noted_at: int


class Entry:
    """Who came with a token, and is known again until anything in the store changes.

    Looking at a token anew costs five times what it costs to see that nothing has changed. What is
    wrong is never remembered, nor is a token's text. Safe to use from several threads.
    """

    def __init__(self, store: Store, *, most: int = _MOST_KNOWN) -> None:
        """Know nobody yet, and `most` tokens later: those that were looked at last."""
        self._store = store
        self._most = most
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, text: str, *, origin: str, now: int) -> Caller | None:
        """Return who comes with the token `text`; None when that is to be looked at.

        Asks the store for one number, so that a loop may call it.
        """
        name = _name(text)
        with self._lock:
            found = self._known.get(name)
        if found is None or now - found.noted_at >= _NOTED_EVERY_S:
            return None
        still = found.caller.as_of == self._store.revision()
        if not still or found.caller.expired(now=now):
            return None
        return replace(found.caller, origin=origin)

    def look(self, text: str, *, origin: str, now: int) -> Caller:
        """Return who comes with the token `text`; raises Unidentified when it is not good."""
        caller, noted_at = _looked_at(self._store, text, origin=origin, now=now)
        name = _name(text)
        with self._lock:
            self._known[name] = _Known(replace(caller, origin=""), noted_at)
            self._known.move_to_end(name)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return caller


def caller_with(store: Store, text: str, *, origin: str, now: int) -> Caller:
    """Return who comes with the token `text`; raises Unidentified when it is not good."""
    return _looked_at(store, text, origin=origin, now=now)[0]


def _looked_at(store: Store, text: str, *, origin: str, now: int) -> tuple[Caller, int]:
    """Return who it is, and when the token's use was last noted."""
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
        as_of=found.revision,
    )
    if caller.expired(now=now):
        raise Unidentified(NOT_VALID)
    return caller, _note_use(store, found, now=now)


def _note_use(store: Store, found: Standing, *, now: int) -> int:
    """Note that the token was used, unless that was noted of late; return when it last was."""
    if found.last_used_at is not None and now - found.last_used_at < _NOTED_EVERY_S:
        return found.last_used_at
    with store.noting() as deployment:
        deployment.note_use(found.token, now=now)
    return now


def _name(text: str) -> bytes:
    """Return what a token is remembered by: no dump of the memory shows it."""
    return hashlib.sha256(text.encode()).digest()
