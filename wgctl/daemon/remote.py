"""The API for those who come from elsewhere: a listener with TLS, whose certificate stays good.

Whatever keeps it from listening is told, tried again, and no reason to end: operators and roles
of this host come by other doors.
"""

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import Never

import structlog
import uvicorn
from fastapi import FastAPI

from wgctl.core.errors import Unavailable
from wgctl.core.model import Role
from wgctl.core.renewal import Wanted
from wgctl.core.settings import Settings
from wgctl.daemon.certificates import Certificates
from wgctl.daemon.issuing import ISSUED, Issuing
from wgctl.drivers import https, tls

__all__ = ["Remote"]

_BACKLOG = 512
_GRACE_S = 2
_AGAIN_S = 5.0
_LOOK_S = 0.25
_RENEW_S = 3600.0

_log = structlog.get_logger()


class Remote:
    """The listener that `[api] listen` asks for."""

    def __init__(
        self, app: FastAPI, settings: Settings, listen: str, *, again_s: float = _AGAIN_S
    ) -> None:
        """Serve `app` at `listen`, an address and a port; `run` does, and tries each `again_s`."""
        host, _, port = listen.rpartition(":")
        self._place = host.strip("[]"), int(port)
        self._listen = listen
        self._again_s = again_s
        handed = os.environ.get("CREDENTIALS_DIRECTORY")
        self._certificates = Certificates(settings, None if handed is None else Path(handed))
        self._issuing = _issuing(settings)
        # Who has pinned the own authority asks for none of the names that a CA vouches for.
        self._tls, self._named = tls.server_tls(), tls.server_tls()
        if self._issuing is not None:
            tls.show_by_name(self._tls, dict.fromkeys(settings.api.names, self._named))
        self.server = _server(app)
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """What keeps it from listening, or its certificate from staying good; None: nothing."""
        issuing = None if self._issuing is None else self._issuing.problem
        return "; ".join(filter(None, [self._problem, issuing])) or None

    async def run(self) -> None:
        """Listen until the server is to exit."""
        listener = await self._begin()
        if listener is None:
            return
        _log.info("API ready", listen=self._listen)
        beside: list[asyncio.Task[Never]] = [asyncio.create_task(self._renew())]
        proofs = None
        if self._issuing is not None:
            proofs = self._issuing.proofs
            beside.append(asyncio.create_task(self._issuing.run(self._show)))
        try:
            await https.serve(self.server, listener, self._tls, proofs=proofs)
        finally:
            for task in beside:
                task.cancel()

    async def _begin(self) -> socket.socket | None:
        """Return the listener, as soon as there can be one; None when the server is to exit."""
        while not self.server.should_exit:
            try:
                await self._certify()
                listener = _bound(self._place)
            except Unavailable as error:
                self._tell(str(error))
            except OSError as error:
                self._tell(f"[api] listen {self._listen}: {error.strerror}")
            else:
                self._tell(None)
                return listener
            await self._pause()
        return None

    async def _pause(self) -> None:
        again_at = time.monotonic() + self._again_s
        while not self.server.should_exit and time.monotonic() < again_at:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(_LOOK_S)

    async def _renew(self) -> Never:
        while True:
            await asyncio.sleep(_RENEW_S)
            await self._show()

    async def _show(self) -> None:
        try:
            await self._certify()
            self._tell(None)
        except Unavailable as error:
            self._tell(str(error))
        except Exception as error:  # noqa: BLE001  # whatever it was, it may not be the next time
            self._tell(f"the certificate is not renewed: {error!r}")

    async def _certify(self) -> None:
        now = int(time.time())
        own = await asyncio.to_thread(self._certificates.present, now=now)
        issued = None if self._issuing is None else self._issuing.certified
        for context, shown in ((self._tls, own), (self._named, issued or own)):
            tls.use(context, certificate=shown.certificate, key=shown.key)

    def _tell(self, problem: str | None) -> None:
        """Log what is new of a problem; None: there is none."""
        if problem is not None and problem != self._problem:
            _log.error("API not as it should be", listen=self._listen, reason=problem)
        self._problem = problem


def _issuing(settings: Settings) -> Issuing | None:
    api = settings.api
    if api.acme is None:
        return None
    folder = settings.role_dir(Role.CONTROLLER) / ISSUED
    wanted = Wanted(api.acme, tuple(dict.fromkeys(api.names)))
    return Issuing(wanted, folder, roots=api.acme_ca)


def _bound(place: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _server(app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="asyncio",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    config.load()
    return uvicorn.Server(config)
