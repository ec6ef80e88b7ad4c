"""All upstreams of this host: each question is asked once for everybody who waits for it.

Joins cache, health and load of `wgctl.core.forward` to the ways to the upstreams; which names may
leave the network at all is `wgctl.core.responder`.

    kept and still good     that, at once
    kept and too old        the upstreams' answer within 1.8 s, else what is kept (RFC 8767)
    failed a moment ago     SERVFAIL, at once (RFC 9520)
    being asked             what comes of that
    anything else           one upstream after the other within 4.5 s, else SERVFAIL
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never

from peers.addresses import RESOLVER_NUMBER
from wgctl.core.errors import Invalid
from wgctl.core.forward.answer import Answer, Failure, Fault, Ours, reply_of
from wgctl.core.forward.cache import Cache, Found, State
from wgctl.core.forward.health import BUDGET_S, Condition, Health, patience_s
from wgctl.core.forward.load import Load
from wgctl.core.forward.question import LIVELY, Question, letters, question_of
from wgctl.core.forward.upstream import Transport, Upstream
from wgctl.core.wire import ExtendedError, Query, Rcode, Reply, pack_reply
from wgctl.drivers.crowd import NETWORK_BYTES
from wgctl.drivers.dns_stream import Asker
from wgctl.drivers.upstream.asking import Asking
from wgctl.drivers.upstream.turnstile import Turnstile

__all__ = ["Upstreams"]

# RFC 8767, section 5: clients ask again after 2 s.
_STALE_AFTER_S = 1.8
_PROBE_S = 2.0
# An eighth of all, so that one network's dead domains leave the others room. A flight holds a
# socket, a waiter 3 KB.
_FLIGHTS, _FLIGHTS_OF_NETWORK = 512, 64
_WAITERS, _WAITERS_OF_NETWORK = 4096, 512
# With so many letters another asker hits upon the same spelling once in 4,096 times.
_TELLING_LETTERS = 12
_USELESS = frozenset({Rcode.FORMERR, Rcode.NOTIMP, Rcode.REFUSED})
_RESOLVER = RESOLVER_NUMBER.to_bytes(16 - NETWORK_BYTES, "big")
_MAX_REASON = 200
_TOO_MANY = b"too many questions are under way"


@dataclass(slots=True)
class _Flight:
    """A question under way: how it was spelled each time, and whether it came back to us."""

    spellings: set[bytes] = field(default_factory=set)
    looped: bool = False
    task: "asyncio.Task[Answer | Failure] | None" = None


class Upstreams:
    """The upstreams of this host, and what is known from them."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        ours: Ours = lambda _: False,
        tls_ca: Path | None = None,
        notify: Callable[[], None] = lambda: None,
        pace: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask `upstreams`, the first before the others; `ours` says which addresses are ours.

        Over TLS those are believed whom the certificates in `tls_ca` vouch for, None: the host's.
        `notify` is called when `conditions` are others. All patience is `pace` times as long, and
        answers grow old by `clock`. Raises Invalid when `tls_ca` is unusable.
        """
        self._pace = pace
        self._clock = clock
        tls = _tls(upstreams, tls_ca)
        self._asking = {one: Asking(one, ours=ours, tls=tls) for one in upstreams}
        self._addresses = frozenset(one.address for one in upstreams)
        # The networks' own resolvers have such addresses; which are there changes.
        self._suspects = {one: one.address for one in upstreams if _like_ours(one)}
        self._ours = ours
        self._notify = notify
        self._health = Health(upstreams, pace=pace)
        self._cache = Cache()
        self._flights: dict[Question, _Flight] = {}
        self._flying = Load(in_all=_FLIGHTS, of_network=_FLIGHTS_OF_NETWORK)
        self._waiting = Load(in_all=_WAITERS, of_network=_WAITERS_OF_NETWORK)
        self._ailing = asyncio.Event()
        self._doubted: set[Upstream] = set()
        self._turnstile = Turnstile()

    def __bool__(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._asking)

    def conditions(self) -> list[Condition]:
        """Return how each upstream does."""
        return self._health.conditions()

    def ask(self, query: Query, asker: Asker) -> bytes | Awaitable[bytes]:
        """Return the reply to `query`, now or later: an upstream's, what is kept, or an error.

        SERVFAIL when no upstream gives an answer or a firm no in 4.5 s, and when a network has 64
        questions under way or 512 waiting, or all networks eight times as much; REFUSED for a
        query that one of the upstreams has sent on to us.
        """
        question = question_of(query)
        found = self._cache.find(question, now=self._clock())
        if found.pause:
            return _Outlook(query, question, asker.stream).kept(found)
        return self._later(_Outlook(query, question, asker.stream), asker, found)

    async def run(self) -> Never:
        """Ask upstreams that have failed or are in doubt how they do, until cancelled."""
        while True:
            self._ailing.clear()
            due = self._doubted.union(self._health.due(now=self._clock()))
            self._doubted.clear()
            await asyncio.gather(*map(self._probe, due))
            next_at = self._health.next_probe_at()
            try:
                async with asyncio.timeout_at(next_at and self._loop_time(next_at)):
                    await self._ailing.wait()
            except TimeoutError:
                pass

    def close(self) -> None:
        """End what is under way, and close what is open."""
        for flight in self._flights.values():
            if flight.task is not None:
                flight.task.cancel()
        for asking in self._asking.values():
            asking.close()

    async def _later(self, outlook: "_Outlook", asker: Asker, found: Found) -> bytes:
        flight = self._flights.get(outlook.question)
        if flight is not None and self._has_come_back(flight, outlook, asker):
            flight.looped = True
            return outlook.refused()
        network = asker.address[:NETWORK_BYTES]
        if not self._waiting.begin(network):
            return outlook.kept(found, note=_TOO_MANY)
        try:
            flight = flight or self._begin(outlook.question, network)
            if flight is None or flight.task is None:
                return outlook.kept(found, note=_TOO_MANY)
            async with asyncio.timeout(_STALE_AFTER_S * self._pace if found.answer else None):
                outcome = await asyncio.shield(flight.task)
        except TimeoutError:
            return outlook.kept(found)
        finally:
            self._waiting.end(network)
        if isinstance(outcome, Answer):
            return outlook.answered(outcome)
        return outlook.kept(found._replace(error=outcome.error))

    def _has_come_back(self, flight: _Flight, outlook: "_Outlook", asker: Asker) -> bool:
        """Whether an upstream asks us what we ask it.

        It is known by its address, or by a spelling that nobody else would hit upon. What stays
        unknown waits for the flight as everybody does, and starts nothing.
        """
        if asker.address in self._addresses:
            return True
        question = outlook.question
        return (
            letters(question.name) >= _TELLING_LETTERS
            and not outlook.query.question.startswith(question.name)
            and outlook.query.question in flight.spellings
        )

    def _begin(self, question: Question, network: bytes) -> _Flight | None:
        """Return a new flight, None if there are too many."""
        if not self._flying.begin(network):
            return None
        flight = self._flights[question] = _Flight()

        def over(task: "asyncio.Task[Answer | Failure]") -> None:
            del self._flights[question]
            self._flying.end(network)
            if not task.cancelled():
                task.exception()  # Whoever would have seen it may be gone.

        flight.task = asyncio.create_task(self._fly(flight, question))
        flight.task.add_done_callback(over)
        return flight

    async def _fly(self, flight: _Flight, question: Question) -> Answer | Failure:
        outcome = await self._first_good(flight, question)
        if isinstance(outcome, Answer):
            self._cache.keep(question, outcome, now=self._clock())
        else:
            self._cache.fail(question, error=outcome.error, now=self._clock())
        return outcome

    async def _first_good(self, flight: _Flight, question: Question) -> Answer | Failure:
        """Ask one upstream after the other; one that was only silent has another turn."""
        turns = deque(self._health.order())
        deadline = self._clock() + BUDGET_S * self._pace
        failure = Failure(Fault.FAILED, ExtendedError.NO_REACHABLE_AUTHORITY)
        tries = 0
        while turns and (left_s := deadline - self._clock()) > 0:
            upstream = turns.popleft()
            wait_s = min(patience_s(tries, others=len(turns)) * self._pace, left_s)
            outcome = await self._try(upstream, flight, question, wait_s=wait_s)
            if isinstance(outcome, Answer):
                return outcome
            if outcome is None:
                tries += 1
                turns.append(upstream)
            elif outcome.error is not None:
                failure = outcome
        return failure

    async def _try(
        self, upstream: Upstream, flight: _Flight, question: Question, *, wait_s: float
    ) -> Answer | Failure | None:
        """Return what `upstream` says; None for silence."""
        await self._turnstile.through()
        asking, asked_at = self._asking[upstream], self._clock()
        if self._is_us(upstream):
            self._failed(upstream, "it is this resolver itself", asked_at)
            return Failure(Fault.FAILED)
        spelled = asking.spell(question)
        flight.spellings.add(spelled)
        try:
            async with asyncio.timeout(wait_s):
                outcome = await asking.ask(question, spelled)
        except TimeoutError:
            self._failed(upstream, "no reply in time", asked_at)
            return None
        except OSError as error:
            self._failed(upstream, error.strerror or str(error), asked_at)
            return Failure(Fault.FAILED)
        if flight.looped:
            self._failed(upstream, "it sends our questions back to us", asked_at)
        elif not isinstance(outcome, Failure) or outcome.rcode not in _USELESS:
            self._worked(upstream)
        elif question == LIVELY:
            self._failed(upstream, f"it replies {Rcode(outcome.rcode).name}", asked_at)
        else:
            # The question may be at fault (1.1.1.1 has NOTIMP for ANY), which a probe tells.
            self._doubted.add(upstream)
            self._ailing.set()
        return outcome

    async def _probe(self, upstream: Upstream) -> None:
        await self._try(upstream, _Flight(), LIVELY, wait_s=_PROBE_S * self._pace)

    def _failed(self, upstream: Upstream, reason: str, asked_at: float) -> None:
        reason, now = reason[:_MAX_REASON], self._clock()
        planned = self._health.next_probe_at()
        if self._health.failed(upstream, reason, asked_at=asked_at, now=now):
            self._notify()
        if self._health.next_probe_at() != planned:
            self._ailing.set()

    def _worked(self, upstream: Upstream) -> None:
        if self._health.worked(upstream, now=self._clock()):
            self._notify()

    def _is_us(self, upstream: Upstream) -> bool:
        """Whether `upstream` is the `::3` of a network of ours."""
        return upstream in self._suspects and self._ours(self._suspects[upstream])

    def _loop_time(self, moment: float) -> float:
        return asyncio.get_running_loop().time() + moment - self._clock()


@dataclass(frozen=True, slots=True)
class _Outlook:
    """A query, and the replies that it may get."""

    query: Query
    question: Question
    stream: bool

    def answered(self, answer: Answer, *, age_s: int = 0, stale: bool = False) -> bytes:
        return self._pack(reply_of(answer, age_s=age_s, stale=stale))

    def kept(self, found: Found, *, note: bytes = b"") -> bytes:
        """Return the reply when nobody is asked, or in vain."""
        if found.answer is not None:
            stale = found.state is not State.FRESH
            return self.answered(found.answer, age_s=found.age_s, stale=stale)
        error = ExtendedError.OTHER if found.error is None else found.error
        return self._pack(Reply(Rcode.SERVFAIL, error=error, note=note))

    def refused(self) -> bytes:
        note = b"this question came back to the one that asked it"
        return self._pack(Reply(Rcode.REFUSED, note=note))

    def _pack(self, reply: Reply) -> bytes:
        return pack_reply(self.query, reply, stream=self.stream, forwards=True)


def _like_ours(upstream: Upstream) -> bool:
    return upstream.address[NETWORK_BYTES:] == _RESOLVER


def _tls(upstreams: Sequence[Upstream], tls_ca: Path | None) -> ssl.SSLContext | None:
    """Return what judges certificates; None where none are shown."""
    if all(one.transport is not Transport.TLS for one in upstreams):
        return None
    try:
        return ssl.create_default_context(cafile=tls_ca)
    except OSError as error:
        raise Invalid(f"resolver.tls_ca: {tls_ca}: {error}: expected certificates") from error
