"""Who is probed, and who is left out of the answers for it.

Follows the checks, machines and peers of the copy; when a probe comes round is
`wgctl.daemon.rounds`, how it is made `wgctl.drivers.probe`, and what it means `wgctl.core.health`.
Needs no controller.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from typing import Protocol

import structlog

from wgctl.core.check import Target
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.health import Health, State, Verdict, after
from wgctl.core.model import Check, Machine, MachineState
from wgctl.daemon.follow import Changes
from wgctl.daemon.ledger import Ledger
from wgctl.daemon.rounds import Rounds
from wgctl.store.copy import Copy

__all__ = ["Checkup", "Probe"]

_log = structlog.get_logger()


class Probe(Protocol):
    """Asks `target` at `address`; raises Unavailable when this host could not ask."""

    def __call__(
        self, address: IPv6Address, target: Target, *, timeout_s: float
    ) -> Awaitable[Verdict]:
        """Return what was found within `timeout_s`."""


class Checkup:
    """The machines that are probed and where each stands; used in one loop.

    A machine begins where it stood when this role last ended. Where nothing is known of it, it is
    answered until it fails: a resolver that starts must not empty the answers. So is one that a
    check is put on. One that is started while it has a check is not answered until it passes.
    """

    def __init__(
        self,
        copy: Copy,
        ledger: Ledger,
        rounds: Rounds,
        *,
        probe: Probe,
        on_failing: Callable[[int, frozenset[int]], None],
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        """Probe what `copy` says, with `probe`; nothing is probed before `start`.

        `on_failing` hears of each network which of its machines are to be left out, by their ids,
        when that changes; `on_news` of each change of a machine's health.
        """
        self._copy = copy
        self._ledger = ledger
        self._rounds = rounds
        self._probe = probe
        self._failing: dict[int, frozenset[int]] = {}
        self._on_failing = on_failing
        self._on_news = on_news
        self._checks: dict[int, Check] = {}
        self._machines: dict[int, int] = {}
        self._watched: dict[int, _Watched] = {}

    def start(self) -> None:
        """Begin to probe what there is, each machine for the first time within its interval."""
        self._take_all()

    def take(self, changes: Changes) -> None:
        """Do what `changes` of the copy ask for, at once."""
        if changes.replaced:
            self._take_all()
        for event in changes.events:
            match event:
                case Put(row=Check() as check):
                    self._put(check)
                case Delete(kind=Kind.CHECK, id=check_id):
                    self._remove(check_id)
                case Put(row=Machine() as machine) if machine.id in self._checks:
                    self._start_or_stop(machine)

    def _take_all(self) -> None:
        checks = {check.id: check for check in self._copy.checks()}
        for check_id in self._machines.keys() - checks.keys():
            self._remove(check_id)
        for check in checks.values():
            begun = self._going_on(check) or State(self._ledger.of(check.machine_id).health)
            wait_s = random.uniform(0, check.interval_s)  # noqa: S311  # spreads the load
            self._know(check)
            self._watch(check, begun, reason="check read anew", first_in_s=wait_s)
        # A copy without a position lacks rows that the next snapshot brings back.
        if self._copy.position[0]:
            self._ledger.keep(self._checks)

    def _put(self, check: Check) -> None:
        new = State(Health.UNKNOWN, self._clock() + check.grace_s)
        begun = self._going_on(check) or new
        self._know(check)
        self._watch(check, begun, reason="check put on")

    def _going_on(self, check: Check) -> State | None:
        """Return where a machine stands whose check has other times and counts at the most."""
        last = self._watched.get(check.machine_id)
        return last.state if last is not None and last.check.target == check.target else None

    def _start_or_stop(self, machine: Machine) -> None:
        check = self._checks[machine.id]
        if machine.state is not MachineState.STARTED:
            self._leave(machine.id)
        elif machine.id not in self._watched:
            begun = State(Health.STARTING, self._clock() + check.grace_s)
            self._watch(check, begun, reason="machine started")

    def _know(self, check: Check) -> None:
        self._checks[check.machine_id] = check
        self._machines[check.id] = check.machine_id

    def _remove(self, check_id: int) -> None:
        machine_id = self._machines.pop(check_id, None)
        if machine_id is not None:
            self._leave(machine_id)
            del self._checks[machine_id]
            self._ledger.forget([machine_id])

    def _watch(self, check: Check, begun: State, *, reason: str, first_in_s: float = 0) -> None:
        machine = self._copy.machine(check.machine_id)
        peer = None if machine is None else self._copy.peer(machine.peer_id)
        if machine is None or peer is None or machine.state is not MachineState.STARTED:
            self._leave(check.machine_id)
            return
        # The address stays with the peer for ever: it is read this once.
        watched = _Watched(check, peer.address, begun)
        self._watched[machine.id] = watched
        self._note(watched, reason)
        self._rounds.start(
            machine.id,
            partial(self._ask, watched),
            lane=check.network_id,
            every_s=check.interval_s,
            first_in_s=first_in_s,
        )

    def _leave(self, machine_id: int) -> None:
        self._rounds.stop(machine_id)
        watched = self._watched.pop(machine_id, None)
        if watched is not None:
            self._set_failing(watched.check, failing=False)

    async def _ask(self, watched: "_Watched") -> None:
        check = watched.check
        try:
            verdict = await self._probe(watched.address, check.target, timeout_s=check.timeout_s)
        except Unavailable as error:
            _log.debug("not probed", machine=check.machine_id, reason=str(error))
            return
        watched.state = after(watched.state, passed=verdict.passed, check=check, now=self._clock())
        self._note(watched, verdict.reason)

    def _note(self, watched: "_Watched", reason: str) -> None:
        """Make answers and memory say where `watched` stands."""
        check, health = watched.check, watched.state.health
        record = self._ledger.of(check.machine_id)
        if record.health is not health:
            _log.info(
                "health",
                machine=check.machine_id,
                network=check.network_id,
                before=record.health.value,
                after=health.value,
                reason=reason,
            )
            self._ledger.note(record.moved(health, at=int(time.time()), reason=reason))
            self._on_news()
        self._set_failing(check, failing=not watched.state.answered)

    def _set_failing(self, check: Check, *, failing: bool) -> None:
        known = self._failing.get(check.network_id, frozenset())
        if (check.machine_id in known) is failing:
            return
        failing_now = known ^ {check.machine_id}
        if failing_now:
            self._failing[check.network_id] = failing_now
        else:
            del self._failing[check.network_id]
        self._on_failing(check.network_id, failing_now)

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Watched:
    """A machine that is probed, at its peer's address, and where it stands."""

    check: Check
    address: IPv6Address
    state: State
