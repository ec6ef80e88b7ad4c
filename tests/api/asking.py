"""Ways to ask the applications: in this process, or over a real Unix socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from tests.store.samples import NOW
from wgctl.api.changes import Changes
from wgctl.api.context import Bell, Context
from wgctl.core.schema import Problem
from wgctl.daemon.unix import listen
from wgctl.daemon.users import may_act
from wgctl.drivers.http_unix import credited
from wgctl.services.observe import Observations
from wgctl.store.store import Store


def context_of(store: Store, *, bell: Bell | None = None) -> Context:
    return Context(
        store=store,
        changes=Changes(store),
        observations=Observations(),
        bell=bell or Bell(),
        now=lambda: NOW,
        started_at=NOW - 60,
        may_act=may_act,
    )


def walked(door: "Door", path: str, *, limit: int, **query: str) -> list[dict[str, Any]]:
    """Return every item of a list, asked for `limit` at a time."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        part = door.get(path, params={**query, "cursor": cursor, "limit": limit}).json()
        items += part["items"]
        cursor = part["next"]

        assert len(part["items"]) == limit or cursor is None
    return items


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


class Door:
    """An application, asked in this process, from a test without a loop of its own."""

    def __init__(self, app: FastAPI, *, fails: bool = False, uid: int | None = 0) -> None:
        """Ask `app` as `uid`; with `fails`, what it raises is answered as to a real client."""
        self._runner = asyncio.Runner()

        async def asked(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {} if uid is None else {"uid": uid}}, receive, send)

        transport = httpx2.ASGITransport(app=asked, raise_app_exceptions=not fails)
        self._client = httpx2.AsyncClient(transport=transport, base_url="http://controller")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        content: bytes | None = None,
    ) -> httpx2.Response:
        asked = self._client.request(
            method, path, json=json, params=params, headers=headers, content=content
        )
        return self._runner.run(asked)

    def get(self, path: str, *, params: Mapping[str, str | int] | None = None) -> httpx2.Response:
        return self.request("GET", path, params=params)

    def post(self, path: str, *, json: object) -> httpx2.Response:
        return self.request("POST", path, json=json)

    def put(self, path: str, *, json: object) -> httpx2.Response:
        return self.request("PUT", path, json=json)

    def patch(self, path: str, *, json: object) -> httpx2.Response:
        return self.request("PATCH", path, json=json)

    def delete(self, path: str) -> httpx2.Response:
        return self.request("DELETE", path)

    def send(
        self, path: str, content: str | bytes, content_type: str, **headers: str
    ) -> httpx2.Response:
        """POST a body as it is."""
        said = {"content-type": content_type} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self._runner.run(self._client.post(path, content=content, headers=said))


@asynccontextmanager
async def served(app: FastAPI, socket: Path) -> AsyncIterator[uvicorn.Server]:
    """Serve `app` on the Unix socket at `socket` for the block."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=credited(), log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
    )
    serving = asyncio.create_task(server.serve([listen(socket, group=None)]))
    try:
        yield server
    finally:
        server.should_exit = True
        app.state.context.bell.close()
        await serving
