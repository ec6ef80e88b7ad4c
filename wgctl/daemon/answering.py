"""A process that answers datagrams and does nothing else.

It reads the copy beside the process that fills it, which tells it of every change; what it cannot
answer from there it passes on to that process. So nothing that is parsed, asked or written
elsewhere holds up the names of a network.
"""

import gc
import select
import socket
import time
from typing import Never

import structlog

from wgctl.core.model import Role
from wgctl.core.region import Vantage
from wgctl.core.responder import Answer, answer
from wgctl.core.settings import Settings
from wgctl.daemon.views import Views
from wgctl.daemon.workers import (
    SEQUENCE_BYTES,
    Channel,
    Failing,
    Follow,
    Order,
    Refused,
    Standings,
)
from wgctl.drivers.crowd import NETWORK_BYTES
from wgctl.drivers.dns_datagrams import Allowance, DnsDatagrams, Question
from wgctl.drivers.dns_server import DNS_PORT, Listening
from wgctl.drivers.kept import Kept
from wgctl.drivers.processor import take_short_turns
from wgctl.drivers.tunnel_socket import interface_index, listen_on
from wgctl.store.copy_reader import CopyReader

__all__ = ["COPY_NAME", "work"]

COPY_NAME = "copy.sqlite"
"""The resolver's copy, in its folder."""

_TICK_S = 0.25
# A network that nobody has asked from for one to two of these costs nothing.
_SWEEP_S = 60.0
# So many batches are answered before orders and time have their turn.
_BATCHES = 16
_NEVER = 1_000_000_000
_MOST_OWED = 4096
_OWED_S = 10.0
_MOST_REPLY_BYTES = 65536

_log = structlog.get_logger()


def work(settings: Settings, channel: Channel) -> None:
    """Answer until the other end of `channel` is closed; the first order is to begin."""
    try:
        channel.orders.recv()
        worker = _Worker(settings, channel)
        # What a garbage collection would walk through grows with what is kept, and takes longer
        # than any reply may: what is here for good is left out, and nothing old is walked through.
        gc.freeze()
        gc.set_threshold(2_000, _NEVER, _NEVER)
        take_short_turns()
        worker.run()
    except EOFError:
        return


class _Worker:
    """The datagrams of one socket, the views they are answered from, and what is owed to askers."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        self._orders, self._questions = channel.orders, channel.questions
        self._questions.setblocking(False)
        self._device = settings.gateway.interface
        self._forwards = bool(settings.resolver.upstreams)
        allowance = settings.resolver.queries_per_s
        self._allowance = Allowance(allowance, allowance)
        self._copy = CopyReader(
            settings.role_dir(Role.RESOLVER) / COPY_NAME, on_damage=self._note_damage
        )
        self._damaged = False
        self._views = Views(
            self._copy,
            now=lambda: int(time.time()),
            here=Vantage(settings.gateway.region, settings.resolver.distances),
            stale=self._suspend,
        )
        self._poll = select.epoll()
        for end in (self._orders.fileno(), self._questions.fileno()):
            self._poll.register(end, select.EPOLLIN)
        self._bound: tuple[int, socket.socket, DnsDatagrams] | None = None
        self._told: Listening | None = None
        self._owed: dict[bytes, tuple[float, bytes]] = {}
        self._number = 0

    def run(self) -> Never:
        """Answer until the other end is closed; raises EOFError then."""
        tick = sweep = time.monotonic()
        while True:
            ready = self._poll.poll(max(0.0, tick - time.monotonic()))
            now = time.monotonic()
            for fd, _ in ready:
                self._serve(fd, now)
            if now >= tick:
                self._look_after(now)
                tick = now + _TICK_S
            if now >= sweep:
                self._forget()
                sweep = now + _SWEEP_S

    def _serve(self, fd: int, now: float) -> None:
        if fd == self._orders.fileno():
            self._obey(self._orders.recv())
        elif fd == self._questions.fileno():
            self._pass_back()
        elif self._bound is not None:
            datagrams = self._bound[2]
            for _ in range(_BATCHES):
                if not datagrams.exchange(now):
                    break

    def _obey(self, order: Order) -> None:
        match order:
            case Follow():
                changes = order.changes()
                if order.lacking:
                    self._copy.hold(changes.events, epoch="", revision=changes.revision)
                else:
                    self._copy.let_go()
                if changes.replaced:
                    self._copy.reopen()
                self._views.take(changes)
            case Failing(network_id, machines):
                self._views.leave_out(network_id, machines)
            case Standings(standings):
                self._views.hear(standings)

    def _answer(self, question: Question, kept: Kept, turn: int) -> Answer | None:
        """Return the reply to a question that is not kept; None for none, or later."""
        try:
            view = self._views.of(question.asker[:NETWORK_BYTES])
            if view is not None:
                kept.renew(view)
            found = answer(
                question.message, view=view, forwards=self._forwards, stream=False, turn=turn
            )
        except Exception:  # noqa: BLE001  # one query must not end the answers to all others
            message = question.message[:512].hex()
            _log.exception("query failed", asker=question.asker.hex(), query=message)
            return None
        if found is None or (isinstance(found, Answer) and not self._damaged):
            return found
        # The process that fills the copy finds the damage too, and has it mended.
        self._damaged = False
        self._ask(question)
        return None

    def _ask(self, question: Question) -> None:
        """Pass `question` on; what there is no room for is asked again by who asked."""
        if len(self._owed) >= _MOST_OWED:
            return
        self._number = (self._number + 1) % 2 ** (8 * SEQUENCE_BYTES)
        number = self._number.to_bytes(SEQUENCE_BYTES, "big")
        try:
            self._questions.send(number + question.asker + question.message)
        except BlockingIOError:
            return
        self._owed[number] = time.monotonic(), question.envelope

    def _pass_back(self) -> None:
        """Send a reply on to who has asked."""
        reply = self._questions.recv(_MOST_REPLY_BYTES)
        if not reply:
            raise EOFError
        _, envelope = self._owed.pop(reply[:SEQUENCE_BYTES], (0.0, b""))
        if envelope and self._bound is not None:
            self._bound[2].send(envelope, reply[SEQUENCE_BYTES:])

    def _look_after(self, now: float) -> None:
        """Do what time asks for: another device, views that are over, and news of who floods."""
        self._follow_device()
        self._views.look_after()
        # Where as much goes as comes, none is due by count, and what is young grows all the while:
        # after a minute of changes it took 42 ms to walk through.
        gc.collect(0)
        refused = {} if self._bound is None else self._bound[2].refused()
        if refused:
            self._orders.send(Refused(refused))
        late = [number for number, (at, _) in self._owed.items() if now - at > _OWED_S]
        for number in late:
            del self._owed[number]

    def _forget(self) -> None:
        if self._bound is not None:
            self._views.forget(self._bound[2].sweep())

    def _suspend(self, network: bytes) -> None:
        if self._bound is not None:
            self._bound[2].suspend(network)

    def _note_damage(self, found: str) -> None:
        self._damaged = True
        _log.error("copy damaged", found=found)

    def _follow_device(self) -> None:
        """Listen on the device that has the name; it may come late, vanish, and come back."""
        index = interface_index(self._device)
        if self._bound is not None and self._bound[0] != index:
            self._bound[1].close()
            self._bound = None
        if self._bound is not None:
            return
        reason = None
        if index is not None:
            try:
                datagrams = listen_on(self._device, DNS_PORT, kind=socket.SOCK_DGRAM)
            except OSError as error:
                index, reason = None, str(error)
            else:
                exchange = DnsDatagrams(datagrams, self._answer, allowance=self._allowance)
                self._bound = index, datagrams, exchange
                self._poll.register(datagrams, select.EPOLLIN)
        self._tell(Listening(self._device, index, reason))

    def _tell(self, listening: Listening) -> None:
        if listening != self._told:
            self._told = listening
            self._orders.send(listening)
