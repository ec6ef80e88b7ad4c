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
from wgctl.core.model import Proof
from wgctl.store.standing import Standing
from wgctl.store.store import Store

__all__ = ["NOT_VALID", "Entry", "caller_with"]

NOT_VALID = "no valid token came with the request: it may be wrong, revoked or expired"

_NOTED_EVERY_S = 60
"""How exact a token's last use is: noting each would cost a write to the disk for every request."""

_MOST_KNOWN = 4_096


@dataclass(frozen=True, slots=True)
class _Known:
    """A caller without their origin, what proved them, when the token's use was last noted."""

    caller: Caller
    proof: Proof
    noted_at: int

    def at(self, standing: Standing) -> "_Known | None":
        """Return who it is at the revision of `standing`; None when that is not what it was."""
        was = (self.caller.token, self.proof, self.caller.org, self.caller.member)
        if was != (standing.token, standing.proof, standing.org, standing.member):
            return None
        return replace(self, caller=replace(self.caller, as_of=standing.revision))


class Entry:
    """Who came with a token, and is known again until the token, its org or its owner changes.

    Looking at a token anew costs many times what it costs to see how it stands. What is wrong is
    never remembered, nor is a token's text. Safe to use from several threads.
    """

    def __init__(self, store: Store, *, most: int = _MOST_KNOWN) -> None:
        """Know nobody yet, and `most` tokens later: those that were looked at last."""
        self._store = store
        self._most = most
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, text: str, *, origin: str, now: int) -> Caller | None:
        """Return who comes with the token `text`; None when that is to be looked at.

        Asks the store for one number, or for one row where that has changed, so that a loop may
        call it.
        """
        name = _name(text)
        with self._lock:
            found = self._known.get(name)
        if found is None or now - found.noted_at >= _NOTED_EVERY_S:
            return None
        if found.caller.as_of != self._store.revision():
            found = self._again(name, found)
        if found is None or found.caller.expired(now=now):
            return None
        return replace(found.caller, origin=origin)

    def look(self, text: str, *, origin: str, now: int) -> Caller:
        """Return who comes with the token `text`; raises Unidentified when it is not good."""
        known = _looked_at(self._store, text, now=now)
        name = _name(text)
        with self._lock:
            self._known[name] = known
            self._known.move_to_end(name)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return replace(known.caller, origin=origin)

    def _again(self, name: bytes, known: _Known) -> _Known | None:
        """Return `known` as of now; None when it is to be looked at."""
        token = known.caller.token
        standing = None if token is None else self._store.standing(token)
        found = None if standing is None else known.at(standing)
        if found is not None:
            with self._lock:
                if name in self._known:
                    self._known[name] = found
        return found


def caller_with(store: Store, text: str, *, origin: str, now: int) -> Caller:
    """Return who comes with the token `text`; raises Unidentified when it is not good."""
    return replace(_looked_at(store, text, now=now).caller, origin=origin)


def _looked_at(store: Store, text: str, *, now: int) -> _Known:
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
        origin="",
        org=found.org,
        member=found.member,
        token=found.token,
        narrowing=narrowing,
        as_of=found.revision,
    )
    if caller.expired(now=now):
        raise Unidentified(NOT_VALID)
    return _Known(caller, found.proof, _note_use(store, found, now=now))


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
