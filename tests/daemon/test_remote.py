"""A real listener with TLS on the loopback, asked by the client that commands use."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import APIRouter
from structlog.testing import capture_logs

from tests.daemon.running import free_port, host
from tests.patience import HANG_S
from wgctl.api.door import build, needs
from wgctl.client.asking import Answer, ask
from wgctl.client.https import Https
from wgctl.core.access import Asker, Scope
from wgctl.core.pin import ControllerUrl
from wgctl.core.settings import Settings
from wgctl.daemon.remote import Remote


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return host(tmp_path)


def _remote(settings: Settings, port: int) -> Remote:
    router = APIRouter()

    @router.get("/thing", dependencies=[needs(Scope.ORG_READ)])
    def thing() -> str:
        return "done"

    listen = f"127.0.0.1:{port}"
    return Remote(build(Asker.OPERATOR, [router]), settings, listen, again_s=0.1)


@asynccontextmanager
async def _running(remote: Remote) -> AsyncIterator[None]:
    running = asyncio.create_task(remote.run())
    try:
        yield
    finally:
        remote.server.should_exit = True
        async with asyncio.timeout(HANG_S):
            await running


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.02)


def _ask(settings: Settings, port: int) -> Answer:
    url = ControllerUrl.parse(f"https://127.0.0.1:{port}")
    way = Https(url, "secret", settings.authority_file.read_text())
    return ask(way, "GET", "/v1/thing", body=None, timeout_s=HANG_S)


def test_who_has_pinned_the_authority_is_answered(settings: Settings) -> None:
    async def scene() -> Answer:
        port = free_port()
        remote = _remote(settings, port)
        async with _running(remote):
            await _until(lambda: remote.server.started)
            return await asyncio.to_thread(_ask, settings, port)

    with capture_logs() as logs:
        answer = asyncio.run(scene())

    assert answer == Answer(200, b'"done"')
    assert [log["event"] for log in logs if log["log_level"] != "debug"] == ["API ready"]


@pytest.mark.parametrize("trouble", ["the port is taken", "no authority"])
def test_what_keeps_it_from_listening_is_told_and_no_reason_to_end(
    settings: Settings, trouble: str
) -> None:
    aside = settings.authority_file.with_suffix(".aside")

    async def scene(taken: socket.socket) -> tuple[str | None, str | None, Answer]:
        port = taken.getsockname()[1]
        remote = _remote(settings, port)
        if trouble == "no authority":
            taken.close()
            settings.authority_file.rename(aside)
        async with _running(remote):
            await _until(lambda: remote.problem is not None)
            problem = remote.problem
            taken.close()
            if aside.exists():
                aside.rename(settings.authority_file)
            await _until(lambda: remote.server.started)
            return problem, remote.problem, await asyncio.to_thread(_ask, settings, port)

    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as logs:
        problem, after, answer = asyncio.run(scene(taken))

    assert problem is not None
    assert ("Address already in use" in problem) == (trouble == "the port is taken")
    assert (after, answer.status) == (None, 200)
    assert [log["event"] for log in logs if log["log_level"] != "debug"] == [
        "API not as it should be",
        "API ready",
    ]


def test_it_ends_while_it_waits_to_listen(settings: Settings) -> None:
    async def scene(taken: socket.socket) -> None:
        remote = _remote(settings, taken.getsockname()[1])
        async with _running(remote):
            await _until(lambda: remote.problem is not None)

    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs():
        asyncio.run(scene(taken))
