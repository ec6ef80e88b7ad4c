"""The controller role: the store behind two sockets, one for operators and one for roles.

Opens no network port but the one that `[api] listen` asks for, and programs no kernel.
"""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Never

import structlog
import uvicorn
from fastapi import FastAPI

from wgctl.api.backup import forget_copies
from wgctl.api.changes import Changes
from wgctl.api.context import Bell, Context
from wgctl.api.nodes import nodes_app
from wgctl.api.operators import operators_app
from wgctl.api.remote import remote_app
from wgctl.core.errors import Unavailable
from wgctl.core.model import Role
from wgctl.core.settings import STORE_NAME, Settings
from wgctl.daemon.leaving import let_leave
from wgctl.daemon.life import collect_garbage, pulse
from wgctl.daemon.locks import only_one
from wgctl.daemon.remote import Remote
from wgctl.daemon.unix import NODES_GROUP, OPERATORS_GROUP, listen, remove
from wgctl.daemon.users import may_act
from wgctl.drivers.http_unix import credited
from wgctl.drivers.systemd import Service
from wgctl.services.observe import Observations
from wgctl.store.store import Store

__all__ = ["run"]

_GRACE_S = 2

# Requests that read much, and tokens that are looked at, each in a thread.
_AT_ONCE = 40
_STARTING_S = 0.01

_log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises Unavailable when another controller has the store."""
    folder = settings.role_dir(Role.CONTROLLER)
    path = folder / STORE_NAME
    if not path.exists():
        raise Unavailable(f"no store at {path}: make one with wgctl init")
    with only_one(folder):
        forget_copies(folder)
        bell = Bell()
        store = Store(path, on_commit=lambda _revision: bell.ring())
        context = Context(
            store=store,
            changes=Changes(store),
            observations=Observations(),
            bell=bell,
            now=lambda: int(time.time()),
            started_at=int(time.time()),
            may_act=may_act,
        )
        try:
            asyncio.run(_serve(settings, context))
        finally:
            context.changes.close()
            store.close()


async def _serve(settings: Settings, context: Context) -> None:
    settings.runtime_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    context.bell.attach(loop)
    loop.set_default_executor(ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="request"))
    remote: Remote | None = None
    # The remote door is made of this context too, so it is there only when it is asked.
    context = replace(context, problem=lambda: None if remote is None else remote.problem)
    remote = _remote(settings, context)
    doors = [
        (operators_app(context), settings.api_socket, OPERATORS_GROUP),
        (nodes_app(context), settings.node_socket, NODES_GROUP),
    ]
    service = Service.of(os.environ)
    servers = [_server(app) for app, _, _ in doors]
    ending = [*servers, *([] if remote is None else [remote.server])]
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, _stop, ending, context.bell, service)
    sockets = [listen(path, group=group) for _, path, group in doors]
    collect_garbage()
    _log.info("controller ready", api=str(settings.api_socket), node=str(settings.node_socket))
    beside = [
        asyncio.create_task(_tell_life(service, servers, settings)),
        asyncio.create_task(let_leave(context)),
    ]
    try:
        # `_serve`, not `serve`: the latter takes the signals of the process for each server alone.
        await asyncio.gather(
            *(server._serve([socket]) for server, socket in zip(servers, sockets, strict=True)),  # noqa: SLF001
            *([] if remote is None else [remote.run()]),
        )
    finally:
        for task in beside:
            task.cancel()
    for _, path, _ in doors:
        remove(path)
    _log.info("controller stopped")


def _remote(settings: Settings, context: Context) -> Remote | None:
    listen = settings.api.listen
    if listen is None:
        return None
    app = remote_app(context, requests_per_s=settings.api.requests_per_s)
    return Remote(app, settings, listen)


def _server(app: FastAPI) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=credited(),
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="asyncio",
            ws="none",
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )


async def _tell_life(service: Service, servers: list[uvicorn.Server], settings: Settings) -> Never:
    while not all(server.started for server in servers):  # noqa: ASYNC110  # it has no event
        await asyncio.sleep(_STARTING_S)
    service.status(f"answers at {settings.api_socket}")
    service.ready()
    await pulse(service)


def _stop(servers: list[uvicorn.Server], bell: Bell, service: Service) -> None:
    service.stopping()
    bell.close()
    for server in servers:
        server.should_exit = True
