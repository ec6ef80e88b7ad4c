"""Keeps a machine announced while its program runs: announces, renews, tells its health, withdraws.

Runs beside the program, in a thread of its own; the program is `wgctl.drivers.child`.
"""

import math
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address

from wgctl.client.internal import InternalApi
from wgctl.core.errors import Conflict, Denied, Exhausted, Invalid, NotFound, Refusal
from wgctl.core.lease import pause_s
from wgctl.core.lease_schema import NewLease, Renewal
from wgctl.drivers.own_check import Check

__all__ = ["Announcer"]

_CHECK_S = 2.0
_CHECK_FAILING_S = 0.5
_LAST_WORDS_S = 10.0

_REFUSED = (Conflict, Denied, Exhausted, NotFound)


class Announcer:
    """The lease of one machine; one with a check is announced as unhealthy until that passes."""

    def __init__(
        self, api: InternalApi, new: NewLease, *, check: Check | None, tell: Callable[[str], None]
    ) -> None:
        """Announce `new` at `api`; `tell` hears what goes wrong, and that it goes on."""
        self._api = api
        self._new = new.model_copy(update={"healthy": check is None})
        self._check = check
        self._tell = tell
        self._healthy = check is None
        self._address: IPv6Address | None = None
        self._failures = 0
        self._renew_at = 0.0
        self._check_at = math.inf if check is None else 0.0
        self._over = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def begin(self) -> None:
        """Announce the machine; raises what it is refused with.

        An API that is not reached, or fails, has refused nothing: it is tried again for as long as
        it takes.
        """
        try:
            self._announce()
        except _REFUSED:
            raise
        except Refusal as error:
            self._failed(error)
        else:
            self._wait_again()

    def start(self) -> None:
        """Go on in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Withdraw the machine, and come back when that is done, or cannot be."""
        self._stopping.set()
        if self._thread.ident is None:
            self._withdraw()
        else:
            self._thread.join(_LAST_WORDS_S)

    def _run(self) -> None:
        while not self._stopping.wait(self._idle_s()):
            if time.monotonic() >= self._check_at:
                self._look()
            if time.monotonic() >= self._renew_at:
                self._say()
        self._withdraw()

    def _withdraw(self) -> None:
        if self._address is not None and not self._over:
            with suppress(Refusal, Invalid):
                self._api.withdraw(self._new.name, self._new.holder)

    def _idle_s(self) -> float | None:
        """Return how long there is nothing to do; None: nothing any more."""
        if self._over:
            return None
        return max(0.0, min(self._renew_at, self._check_at) - time.monotonic())

    def _look(self) -> None:
        """Check the machine, and renew at once when its health has changed."""
        if self._check is not None and self._address is not None:
            healthy = self._check(self._address)
            if healthy != self._healthy:
                self._healthy = healthy
                self._renew_at = 0.0
        pause = _CHECK_S if self._healthy else _CHECK_FAILING_S
        self._check_at = time.monotonic() + pause

    def _say(self) -> None:
        """Announce or renew, whichever it is time for."""
        try:
            if self._address is None:
                self._announce()
            else:
                self._renew()
        except (Refusal, Invalid) as error:
            self._failed(error)
        else:
            if self._failures and not self._over:
                self._tell(f"machine {self._new.name} is announced again")
            self._failures = 0
            self._wait_again()

    def _announce(self) -> None:
        said = self._new.model_copy(update={"healthy": self._healthy})
        self._address = self._api.announce(said).address

    def _renew(self) -> None:
        try:
            self._api.renew(self._new.name, Renewal(holder=self._new.holder, healthy=self._healthy))
        except NotFound:
            # Its lease had ended while nobody could be reached.
            self._address = None
            self._announce()
        except Conflict as error:
            self._over = True
            self._tell(f"{error}; the command goes on unannounced")

    def _failed(self, error: Exception) -> None:
        if not self._failures:
            self._tell(f"machine {self._new.name} is not announced: {error}; trying again")
        self._failures += 1
        self._wait_again()

    def _wait_again(self) -> None:
        pause = pause_s(
            self._new.ttl_s,
            failures=self._failures,
            draw=random.random(),  # noqa: S311  # jitter
        )
        self._renew_at = time.monotonic() + pause
