"""Ways to ask the applications: in this process, or over a real Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import uvicorn
from fastapi import FastAPI

from tests.store.samples import NOW
from wgctl.api.context import Bell, Context
from wgctl.core.schema import Problem
from wgctl.daemon.unix import listen
from wgctl.services.observe import Observations
from wgctl.store.store import Store


def context_of(store: Store, *, bell: Bell | None = None) -> Context:
    return Context(
        store=store,
        observations=Observations(),
        bell=bell or Bell(),
        now=lambda: NOW,
        started_at=NOW - 60,
    )


def refusal(response: httpx2.Response, status: int, name: str) -> str:
    """Return the detail of a problem document, which must be whole and of this kind."""
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    problem = Problem.model_validate_json(response.content)
    assert (problem.type, problem.status) == (name, status)
    assert problem.detail
    assert problem.detail.isprintable()
    return problem.detail


@asynccontextmanager
async def served(app: FastAPI, socket: Path) -> AsyncIterator[uvicorn.Server]:
    """Serve `app` on the Unix socket at `socket` for the block."""
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve([listen(socket, group=None)]))
    try:
        yield server
    finally:
        server.should_exit = True
        app.state.context.bell.close()
        await serving
