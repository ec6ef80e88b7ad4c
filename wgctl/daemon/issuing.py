"""A certificate of a CA: kept in a folder, and asked for anew before it ends.

When that is due is `wgctl.core.renewal`; how it is asked for, `wgctl.drivers.acme`, which is loaded
only here and only where it is wanted. A try that fails takes nothing away: it is told, and another
follows; how it went is on the disk before the CA hears of it, so that restarts try no sooner.
"""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Never, TypeVar

import structlog

from wgctl.core.authority import Certified
from wgctl.core.errors import Invalid
from wgctl.core.issued import Issued, new_key
from wgctl.core.renewal import Standing, Wanted
from wgctl.drivers.files import put
from wgctl.drivers.tls_alpn import Proofs

__all__ = ["ACCOUNT", "CERTIFICATE", "ISSUED", "STANDING", "Issuing"]

ISSUED = "acme"
"""The folder, in the controller's own."""

ACCOUNT = "account.key"
"""The key of the account with the CA, in PEM."""

CERTIFICATE = "certificate.pem"
"""The certificate's key, and its chain."""

STANDING = "standing.json"
"""How the last try went, and when the next is due."""

_LOOK_S = 1.0
_LONGEST_S = 900.0
"""After how long a try is given up: each step of one has an end of its own, far sooner, unless the
CA keeps sending a little."""

_Kept = TypeVar("_Kept")

_log = structlog.get_logger()


class Issuing:
    """What is `wanted`, in a folder of the controller's own; `roots` vouch for the CA.

    Times of `now` are seconds since the epoch; `chance` gives numbers from 0 to below 1.
    """

    def __init__(
        self,
        wanted: Wanted,
        folder: Path,
        *,
        roots: Path | None = None,
        now: Callable[[], int] = lambda: int(time.time()),
        chance: Callable[[], float] = random.random,  # noqa: S311  # spreads, and hides nothing
        look_s: float = _LOOK_S,
        longest_s: float = _LONGEST_S,
    ) -> None:
        """Read what is kept; `run` asks for what is due, and looks each `look_s` whether it is.

        It gives a try up after `longest_s`.
        """
        self.proofs = Proofs()
        self._wanted = wanted
        self._folder = folder
        self._roots = roots
        self._now = now
        self._chance = chance
        self._look_s, self._longest_s = look_s, longest_s
        self._trouble: str | None = None
        for left in folder.glob(".*"):
            # What a kill left half written, which may hold a key.
            with suppress(OSError):
                left.unlink()
        self._issued = self._read(CERTIFICATE, Issued.parse)
        self._standing = self._read(STANDING, Standing.parse)

    @property
    def certified(self) -> Certified | None:
        """The certificate to show, also when it has ended; None: there has been none yet."""
        return None if self._issued is None else self._issued.certified

    @property
    def problem(self) -> str | None:
        """Why there is none, or no newer one, and when that is tried again; None: all is well."""
        if self._trouble is not None:
            return self._trouble
        standing = self._standing
        if standing is None or not standing.problem or standing.wanted != self._wanted:
            return None
        shown = "" if self._issued is None else f"; the one shown ends at {_at(self._issued.ends)}"
        again = _at(standing.again_at)
        return f"no certificate issued: {standing.problem}; tried again at {again}{shown}"

    async def run(self, got: Callable[[], Awaitable[None]]) -> Never:
        """Ask for what is due, for ever, and have `got` done when there is another to show."""
        while True:
            if self._is_due():
                try:
                    async with asyncio.timeout(self._longest_s):
                        is_there = await _aside(self._try)
                except TimeoutError:
                    is_there, self._standing = False, self._read(STANDING, Standing.parse)
                    _log.error("no certificate issued", reason=self.problem)
                if is_there:
                    await got()
            await asyncio.sleep(self._look_s)

    def _is_due(self) -> bool:
        standing = self._standing
        if standing is None or (self._issued is None and not standing.failures):
            return True
        return standing.is_due(self._wanted, now=self._now())

    def _try(self) -> bool:
        """Ask once; return whether that gave a certificate."""
        begun = Standing.begun(self._standing, self._wanted, now=self._now(), chance=self._chance())
        try:
            account = self._account()
            put(self._folder / STANDING, begun.render())
        except OSError as error:
            self._tell(f"no certificate asked for: {error}")
            return False
        self._tell(None)
        after = self._asked(begun, account)
        self._standing = after
        try:
            put(self._folder / STANDING, after.render())
        except OSError as error:
            self._tell(f"what came of asking for a certificate is not kept: {error}")
        return not after.failures

    def _asked(self, begun: Standing, account: bytes) -> Standing:
        """Ask, and keep what there is to show; return how that went."""
        from wgctl.drivers import acme

        told_s = 0
        try:
            issued = acme.obtain(
                self._wanted, account=account, roots=self._roots, shower=self.proofs.shown
            )
            put(self._folder / CERTIFICATE, issued.render())
        except (acme.NotIssued, OSError) as error:
            reason, told_s = str(error), getattr(error, "told_s", 0)
        else:
            self._issued = issued
            _log.info("certificate issued", names=",".join(self._wanted.names))
            return begun.got(
                begins=issued.begins, ends=issued.ends, now=self._now(), chance=self._chance()
            )
        _log.error("no certificate issued", reason=reason)
        return begun.failed(reason, told_s=told_s, now=self._now())

    def _account(self) -> bytes:
        path = self._folder / ACCOUNT
        try:
            return path.read_bytes()
        except FileNotFoundError:
            put(path, key := new_key())
            return key

    def _tell(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            _log.error("no certificate asked for", reason=trouble)
        self._trouble = trouble

    def _read(self, name: str, parse: Callable[[bytes], _Kept]) -> _Kept | None:
        """Return what is kept; None: nothing that can be used, and that is told."""
        try:
            return parse((self._folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, Invalid) as error:
            _log.error("not what was kept", file=str(self._folder / name), reason=str(error))
            return None


def _at(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


async def _aside(work: Callable[[], bool]) -> bool:
    """Return what `work` does in a thread that the process does not wait for when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def settle(result: bool) -> None:  # noqa: FBT001  # what work returned
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result = work()
        with suppress(RuntimeError):  # The loop has been closed meanwhile.
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="issuing", daemon=True).start()
    return await done
