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
from functools import partial
from pathlib import Path
from typing import Never, TypeVar

import structlog

from wgctl.core.authority import Certified
from wgctl.core.errors import Invalid, Unavailable
from wgctl.core.issued import Issued, new_key
from wgctl.core.renewal import Standing, Wanted
from wgctl.drivers.files import put
from wgctl.drivers.tls import require_usable
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
_Done = TypeVar("_Done")

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

        It gives a try up after `longest_s`; what comes of that one later changes nothing, and
        until then no other begins.
        """
        self.proofs = Proofs()
        self._wanted = wanted
        self._folder = folder
        self._roots = roots
        self._now = now
        self._chance = chance
        self._look_s, self._longest_s = look_s, longest_s
        self._trouble: str | None = None
        self._asking: threading.Thread | None = None
        for left in folder.glob(".*"):
            # What a kill left half written, which may hold a key.
            with suppress(OSError):
                left.unlink()
        self._issued = self._read(CERTIFICATE, _usable)
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
        again = f"at {_at(standing.again_at)}"
        if self._is_asking() and self._now() >= standing.again_at:
            again = "once that try has ended"
        return f"no certificate issued: {standing.problem}; tried again {again}{shown}"

    async def run(self, got: Callable[[], Awaitable[None]]) -> Never:
        """Ask for what is due, for ever, and have `got` done when there is another to show."""
        while True:
            try:
                if self._is_due() and await self._try():
                    await got()
            except Exception as error:  # noqa: BLE001  # whatever it was, it may not be the next time
                self._tell(f"certificates are not seen to: {error!r}")
            await asyncio.sleep(self._look_s)

    def _is_due(self) -> bool:
        if self._is_asking():
            # One that was given up: a CA is spoken to by one at a time.
            return False
        standing = self._standing
        if standing is None or (self._issued is None and not standing.failures):
            return True
        return standing.is_due(self._wanted, now=self._now())

    def _is_asking(self) -> bool:
        return self._asking is not None and self._asking.is_alive()

    def _begin(self) -> Standing:
        return Standing.begun(self._standing, self._wanted, now=self._now(), chance=self._chance())

    async def _try(self) -> bool:
        """Ask once; return whether that gave a certificate."""
        begun = self._begin()
        try:
            account = await asyncio.to_thread(self._account)
            await self._put(STANDING, begun.render())
        except OSError as error:
            self._tell(f"no certificate asked for: {error}")
            return False
        self._tell(None)
        try:
            async with asyncio.timeout(self._longest_s):
                self._asking, asked = _aside(partial(self._obtain, account))
                issued = await asked
        except TimeoutError:
            # Its pause is to begin only here.
            failed = self._begin()
        except Exception as error:  # noqa: BLE001  # a try that failed is a try
            reason = str(error) if isinstance(error, Unavailable) else repr(error)
            told_s = getattr(error, "told_s", 0)
            failed = begun.failed(reason, told_s=told_s, now=self._now())
        else:
            await self._keep(issued, begun)
            return True
        self._standing = failed
        _log.error("no certificate issued", reason=failed.problem)
        try:
            await self._put(STANDING, failed.render())
        except OSError as error:
            self._tell(f"what came of asking for a certificate is not kept: {error}")
        return False

    def _obtain(self, account: bytes) -> Issued:
        from wgctl.drivers import acme

        return acme.obtain(
            self._wanted, account=account, roots=self._roots, shower=self.proofs.shown
        )

    async def _keep(self, issued: Issued, begun: Standing) -> None:
        """Have what is `issued` shown, whether or not it can be kept."""
        self._issued = issued
        self._standing = begun.got(
            begins=issued.begins, ends=issued.ends, now=self._now(), chance=self._chance()
        )
        _log.info("certificate issued", names=",".join(self._wanted.names))
        try:
            await self._put(CERTIFICATE, issued.render())
            # Not without the certificate: a role that restarts is then to ask again.
            await self._put(STANDING, self._standing.render())
        except OSError as error:
            self._tell(f"the certificate that was issued is not kept: {error}")

    async def _put(self, name: str, content: bytes) -> None:
        await asyncio.to_thread(put, self._folder / name, content)

    def _account(self) -> bytes:
        path = self._folder / ACCOUNT
        try:
            return path.read_bytes()
        except FileNotFoundError:
            put(path, key := new_key())
            return key

    def _tell(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            _log.error("certificate not as it should be", reason=trouble)
        self._trouble = trouble

    def _read(self, name: str, parse: Callable[[bytes], _Kept]) -> _Kept | None:
        """Return what is kept; None: nothing that can be used, and that is told."""
        try:
            return parse((self._folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, Invalid, Unavailable) as error:
            _log.error("not what was kept", file=str(self._folder / name), reason=str(error))
            return None


def _usable(text: bytes) -> Issued:
    issued = Issued.parse(text)
    require_usable(certificate=issued.certified.certificate, key=issued.certified.key)
    return issued


def _at(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def _aside(work: Callable[[], _Done]) -> tuple[threading.Thread, asyncio.Future[_Done]]:
    """Do `work` in a thread that the process does not wait for when it ends; return both."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Done] = loop.create_future()

    def settle(tell: Callable[[], None]) -> None:
        if not done.done():
            tell()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # who awaits it has it
            tell: Callable[[], None] = partial(done.set_exception, error)
        else:
            tell = partial(done.set_result, result)
        with suppress(RuntimeError):  # The loop has been closed meanwhile.
            loop.call_soon_threadsafe(settle, tell)

    thread = threading.Thread(target=run, name="issuing", daemon=True)
    thread.start()
    return thread, done
