"""A real listener with TLS on the loopback, asked by the client that commands use."""

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from fastapi import APIRouter
from structlog.testing import capture_logs

from tests.daemon.running import free_port, host
from tests.drivers.pebble import NAME as _NAME
from tests.drivers.pebble import Pebble, running_pebble, weak_certificate
from tests.patience import HANG_S
from wgctl.api.door import build, needs
from wgctl.client.asking import Answer, ask
from wgctl.client.https import Https, authority_at
from wgctl.core import authority
from wgctl.core.access import Asker, Scope
from wgctl.core.model import Role
from wgctl.core.pin import ControllerUrl
from wgctl.core.renewal import Standing, Wanted
from wgctl.core.settings import ApiSettings, Settings
from wgctl.daemon.issuing import CERTIFICATE, ISSUED, STANDING
from wgctl.daemon.remote import Remote
from wgctl.drivers.files import put

_GOOD_FOR_S = 24
"""Renewed while a test waits, and not while a handshake does."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return host(tmp_path)


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with running_pebble(tmp_path_factory.mktemp("pebble"), good_for_s=_GOOD_FOR_S) as made:
        yield made


def _with_a_ca(settings: Settings, pebble: Pebble) -> Settings:
    api = ApiSettings(
        listen=f"127.0.0.1:{pebble.proof_port}",
        names=(_NAME,),
        acme=pebble.directory,
        acme_ca=pebble.roots,
    )
    return settings.model_copy(update={"api": api})


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


class _Client:
    """One connection to the API, for the name, that trusts what the CA vouches for alone."""

    def __init__(self, port: int, *, roots: str) -> None:
        tls = ssl.create_default_context(cadata=roots)
        plain = socket.create_connection(("127.0.0.1", port), timeout=HANG_S)
        self._socket = tls.wrap_socket(plain, server_hostname=_NAME)
        self.shown = self._socket.getpeercert(binary_form=True)
        self._http = http.client.HTTPConnection(_NAME)
        self._http.sock = self._socket
        # It would connect by the name.
        self._http.auto_open = 0

    def asks(self) -> int:
        self._http.request("GET", "/v1/thing")
        answer = self._http.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._http.close()


def test_a_ca_vouches_for_it_by_name_and_the_pinned_authority_as_before(
    settings: Settings, pebble: Pebble
) -> None:
    """Also while it is renewed: who is connected stays so, and others see the new one."""
    roots, port = pebble.issuer(), pebble.proof_port
    url = f"https://127.0.0.1:{port}"
    pin = authority.fingerprint(settings.authority_file.read_bytes())

    async def scene() -> None:
        remote = _remote(_with_a_ca(settings, pebble), port)
        async with _running(remote):
            await _until(lambda: remote.server.started)
            assert (await asyncio.to_thread(_ask, settings, port)).status == 200
            await _until(_issued(settings).exists)
            first = await asyncio.to_thread(_client_as_soon_as, port, roots)
            assert await asyncio.to_thread(first.asks) == 200
            assert (await asyncio.to_thread(_ask, settings, port)).status == 200
            # By the address that it was always reached at, as other programs than ours do.
            tls = ssl.create_default_context(cafile=settings.authority_file)
            assert await asyncio.to_thread(_shakes_hands, port, tls, "127.0.0.1")
            pinned = ControllerUrl.parse(f"{url}#{pin}")
            assert await asyncio.to_thread(authority_at, pinned)

            kept = _issued(settings).read_bytes()
            async with asyncio.timeout(HANG_S):
                while _issued(settings).read_bytes() == kept:
                    assert await asyncio.to_thread(first.asks) == 200
                    await asyncio.sleep(0.1)
            while (second := await asyncio.to_thread(_client_as_soon_as, port, roots)).shown == (
                first.shown
            ):
                second.close()
            assert await asyncio.to_thread(second.asks) == 200
            assert await asyncio.to_thread(first.asks) == 200
            first.close()
            second.close()
            assert remote.problem is None

    with capture_logs() as logs:
        asyncio.run(scene())

    assert {log["event"] for log in logs if log["log_level"] != "debug"} == {
        "API ready",
        "certificate issued",
    }


def _shakes_hands(port: int, tls: ssl.SSLContext, name: str) -> bool:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as plain,
        tls.wrap_socket(plain, server_hostname=name) as talking,
    ):
        return talking.version() is not None


def _issued(settings: Settings) -> Path:
    return settings.role_dir(Role.CONTROLLER) / ISSUED / CERTIFICATE


def _client_as_soon_as(port: int, roots: str) -> _Client:
    """Return a client once what is on the disk is shown too."""
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        with suppress(ssl.SSLCertVerificationError):
            return _Client(port, roots=roots)
    pytest.fail(f"not within {HANG_S} s")


def test_nobody_believes_it_by_name_until_the_ca_has_vouched(
    settings: Settings, tmp_path: Path, pebble: Pebble
) -> None:
    """A login that trusts whom its host trusts must send its token to nobody else."""
    port = free_port()
    absent = f"https://127.0.0.1:{free_port()}/dir"
    api = ApiSettings(listen=f"127.0.0.1:{port}", names=(_NAME,), acme=absent)

    async def scene() -> str | None:
        remote = _remote(settings.model_copy(update={"api": api}), port)
        async with _running(remote):
            await _until(lambda: remote.problem is not None)
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.to_thread(_Client, port, roots=pebble.issuer())
            assert (await asyncio.to_thread(_ask, settings, port)).status == 200
            return remote.problem

    with capture_logs():
        problem = asyncio.run(scene())

    assert "no certificate issued: 127.0.0.1:" in str(problem)


def test_what_is_kept_and_cannot_be_used_holds_no_start_up(settings: Settings) -> None:
    own = authority.make(now=int(time.time()))
    kept = authority.issue(own, [_NAME], now=int(time.time()))
    put(_issued(settings), kept.key + kept.certificate + weak_certificate())
    port = free_port()
    absent = f"https://127.0.0.1:{free_port()}/dir"
    api = ApiSettings(listen=f"127.0.0.1:{port}", names=(_NAME,), acme=absent)

    async def scene() -> tuple[Answer, bool]:
        remote = _remote(settings.model_copy(update={"api": api}), port)
        async with _running(remote):
            await _until(lambda: remote.server.started)
            await _until(lambda: remote.problem is not None)
            tls = ssl.create_default_context(cafile=settings.authority_file)
            by_name = await asyncio.to_thread(_shakes_hands, port, tls, _NAME)
            return await asyncio.to_thread(_ask, settings, port), by_name

    with capture_logs() as logs:
        answer, by_name = asyncio.run(scene())

    assert (answer.status, by_name) == (200, True)
    assert "CA_KEY_TOO_SMALL" in str(logs[0]["reason"])


def test_what_is_kept_is_shown_from_the_start(settings: Settings, pebble: Pebble) -> None:
    with_a_ca, port = _with_a_ca(settings, pebble), pebble.proof_port
    own = authority.make(now=int(time.time()))
    kept = authority.issue(own, [_NAME], now=int(time.time()))
    put(_issued(settings), kept.key + kept.certificate)
    wanted = Wanted(pebble.directory, (_NAME,))
    begun = Standing.begun(None, wanted, now=int(time.time()), chance=0)
    put(_issued(settings).with_name(STANDING), begun.render())

    async def scene() -> int:
        remote = _remote(with_a_ca, port)
        async with _running(remote):
            await _until(lambda: remote.server.started)
            client = await asyncio.to_thread(_Client, port, roots=own.certificate.decode())
            status = await asyncio.to_thread(client.asks)
            client.close()
            return status

    with capture_logs():
        assert asyncio.run(scene()) == 200
