"""The internal API role: who one is, inside the networks, and leases, from this role's own copy.

Listens on the tunnel's device alone, and again when that device was made anew.
"""

import asyncio
import os
import socket
import time
from ipaddress import IPv6Address

import structlog
import uvicorn
from fastapi import FastAPI

from wgctl.api.internal import PORT, internal_app
from wgctl.client.node import Node
from wgctl.core.model import Role
from wgctl.core.schema import SelfReply
from wgctl.core.settings import Settings
from wgctl.daemon.follow import Changes, Follower, open_copy
from wgctl.daemon.leases import Leases
from wgctl.daemon.life import collect_garbage, pulse, until_stopped
from wgctl.daemon.reports import Reports
from wgctl.drivers.http_stream import guarded
from wgctl.drivers.systemd import Service
from wgctl.drivers.tunnel_socket import interface_index, listen_on
from wgctl.services.identity import who
from wgctl.store.copy import Copy

__all__ = ["run"]

_WATCH_S = 0.25

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
    leases = Leases(copy, node=Node(settings.node_socket), path=settings.leases_file)

    def take(changes: Changes) -> None:
        leases.take(changes)
        reports.soon()

    follower = Follower(copy, role=Role.INTERNAL_API, socket=settings.node_socket, on_commit=take)
    service = Service.of(os.environ)
    app = internal_app(identify, leases.desk)
    tasks = [
        asyncio.create_task(follower.run()),
        asyncio.create_task(leases.run()),
        asyncio.create_task(reports.run()),
        asyncio.create_task(_serve(app, settings.gateway.interface, reports, service)),
        asyncio.create_task(pulse(service)),
    ]
    collect_garbage()
    await until_stopped(tasks, service=service)


async def _serve(app: FastAPI, interface: str, reports: Reports, service: Service) -> None:
    while True:
        index = interface_index(interface)
        listener = None if index is None else _listener(interface, reports)
        if index is not None and listener is not None:
            service.status(f"answers on {interface}, port {PORT}")
            service.ready()
            await _serve_on(app, interface, index, listener)
        service.status(f"waits for {interface}")
        service.ready()  # The interface is taken up as soon as it is there.
        await asyncio.sleep(_WATCH_S)


def _listener(interface: str, reports: Reports) -> socket.socket | None:
    """Listen on `interface`; tell why not, once, where that cannot be."""
    try:
        listener = listen_on(interface, PORT, kind=socket.SOCK_STREAM)
    except OSError as error:
        problem = f"not listening on port {PORT} of {interface}: {error.strerror}"
        if reports.trouble(problem):
            _log.error("not listening", interface=interface, port=PORT, reason=error.strerror)
        return None
    reports.trouble(None)
    return listener


async def _serve_on(app: FastAPI, interface: str, index: int, listener: socket.socket) -> None:
    """Serve `listener` for as long as `interface` has `index`."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=guarded(),
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="asyncio",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    # `_serve`, not `serve`: the latter would take the signals of the process.
    serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001
    _log.info("internal API ready", interface=interface, port=PORT)
    try:
        while interface_index(interface) == index and not serving.done():  # noqa: ASYNC110  # the kernel has no event for us here
            await asyncio.sleep(_WATCH_S)
    finally:
        server.should_exit = True
        await serving
