"""The internal API role: who one is, inside the networks, from this role's own copy.

Listens on the tunnel's device alone, and again when that device was made anew.
"""

import asyncio
import contextlib
import os
import socket
import time
from ipaddress import IPv6Address

import structlog
import uvicorn
from fastapi import FastAPI

from wgctl.api.internal import PORT, internal_app
from wgctl.core.model import Role
from wgctl.core.schema import SelfReply
from wgctl.core.settings import Settings
from wgctl.daemon.follow import Follower, open_copy
from wgctl.daemon.life import pulse, until_stopped
from wgctl.daemon.reports import Reports
from wgctl.drivers.systemd import Service
from wgctl.drivers.tunnel_socket import interface_index, listen_on
from wgctl.services.identity import who
from wgctl.store.copy import Copy

__all__ = ["run"]

_WATCH_S = 0.25
_MAX_CONNECTIONS = 256

_log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    copy = open_copy(settings.role_dir(Role.INTERNAL_API) / "copy.sqlite")
    try:
        asyncio.run(_run(settings, copy))
    finally:
        copy.close()


async def _run(settings: Settings, copy: Copy) -> None:
    def identify(address: IPv6Address) -> SelfReply | None:
        return who(copy, address, now=int(time.time()))

    reports = Reports(copy, role=Role.INTERNAL_API, socket=settings.node_socket)
    follower = Follower(
        copy,
        role=Role.INTERNAL_API,
        socket=settings.node_socket,
        on_commit=lambda _changes: reports.soon(),
    )
    service = Service.of(os.environ)
    app = internal_app(identify)
    tasks = [
        asyncio.create_task(follower.run()),
        asyncio.create_task(reports.run()),
        asyncio.create_task(_serve(app, settings.gateway.interface, service)),
        asyncio.create_task(pulse(service)),
    ]
    await until_stopped(tasks, service=service)


async def _serve(app: FastAPI, interface: str, service: Service) -> None:
    while True:
        index = interface_index(interface)
        if index is not None:
            with contextlib.suppress(OSError):
                await _serve_on(app, interface, service, index=index)
        service.status(f"waits for {interface}")
        service.ready()  # The interface is taken up as soon as it is there.
        await asyncio.sleep(_WATCH_S)


async def _serve_on(app: FastAPI, interface: str, service: Service, *, index: int) -> None:
    """Serve on `interface` for as long as it has `index`."""
    listener = listen_on(interface, PORT, kind=socket.SOCK_STREAM)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="asyncio",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )
    # `_serve`, not `serve`: the latter would take the signals of the process.
    serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001
    _log.info("internal API ready", interface=interface, port=PORT)
    service.status(f"answers on {interface}, port {PORT}")
    service.ready()
    try:
        while interface_index(interface) == index and not serving.done():  # noqa: ASYNC110  # the kernel has no event for us here
            await asyncio.sleep(_WATCH_S)
    finally:
        server.should_exit = True
        await serving
