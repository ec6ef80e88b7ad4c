import asyncio
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.daemon.running import (
    folder_of_a_socket,
    free_port,
    host,
    listening,
    running,
    stop,
    until,
)
from tests.patience import HANG_S
from tests.store.samples import key
from wgctl.client.node import Node
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Commit
from wgctl.core.model import Role
from wgctl.core.renewal import Standing
from wgctl.core.settings import STORE_NAME, ApiSettings, Settings
from wgctl.daemon import controller
from wgctl.daemon.issuing import ACCOUNT, ISSUED, STANDING

_LAPTOP = {"name": "laptop", "public_key": str(key(1))}


@pytest.fixture
def settings() -> Iterator[Settings]:
    with folder_of_a_socket() as folder:
        yield host(folder)


def _ask(socket: Path, method: str, path: str, body: object = None) -> httpx2.Response:
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket))) as client:
        return client.request(method, f"http://controller{path}", json=body)


def _wait_until_ready(settings: Settings) -> None:
    until(lambda: listening(settings.api_socket) and listening(settings.node_socket))


@pytest.fixture(scope="module")
def first() -> Iterator[Settings]:
    """A host whose controller runs."""
    with folder_of_a_socket() as folder:
        settings = host(folder)
        with running(Role.CONTROLLER, settings):
            _wait_until_ready(settings)
            yield settings


def test_operators_and_roles_have_a_socket_each(first: Settings) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (first.api_socket, first.node_socket)]

    assert modes[0] in {0o600, 0o660}
    assert modes[1] == 0o600
    assert _ask(first.api_socket, "GET", "/v1/orgs/acme").status_code == 200
    assert _ask(first.node_socket, "GET", "/v1/orgs/acme").status_code == 404
    assert _ask(first.node_socket, "GET", "/v1/feed?role=king").status_code == 400
    assert _ask(first.api_socket, "GET", "/v1/feed?role=gateway").status_code == 404


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can be somebody else")
def test_a_user_of_no_role_who_gets_at_the_roles_socket_is_told_nothing(first: Settings) -> None:
    path, folder = first.node_socket, first.runtime_dir.parent
    with socket.socket(socket.AF_UNIX) as connection:
        folder.chmod(0o711)
        path.chmod(0o666)
        os.seteuid(54_321)
        try:
            connection.connect(str(path))
        finally:
            os.seteuid(0)
            path.chmod(0o600)
            folder.chmod(0o700)
        connection.sendall(b"GET /v1/feed?role=resolver HTTP/1.0\r\n\r\n")
        with connection.makefile() as answer:
            said = answer.read()

    assert said.startswith("HTTP/1.1 403 ")
    assert "user 54321 may not speak for the resolver" in said


def test_a_second_controller_on_the_same_store_is_refused(first: Settings) -> None:
    """Two would each believe the revision theirs."""
    with pytest.raises(Unavailable, match="another controller runs"):
        controller.run(first)

    assert _ask(first.api_socket, "GET", "/v1/status").status_code == 200


def test_a_second_deployment_does_not_take_the_sockets_of_the_first(
    first: Settings, settings: Settings
) -> None:
    second = settings.model_copy(update={"runtime_dir": first.runtime_dir})

    with pytest.raises(Unavailable, match="answers at"):
        controller.run(second)
    assert _ask(first.api_socket, "GET", "/v1/status").status_code == 200


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_though_a_role_follows(
    settings: Settings, signum: signal.Signals
) -> None:
    """It logs its own life, and neither requests nor what was in them."""

    async def follow_and_stop(process: subprocess.Popen[str]) -> None:
        async for events in Node(settings.node_socket).follow(Role.GATEWAY, epoch="", since=0):
            if any(isinstance(event, Commit) for event in events):
                process.send_signal(signum)

    with running(Role.CONTROLLER, settings) as process:
        _wait_until_ready(settings)
        _ask(settings.api_socket, "POST", "/v1/orgs/acme/peers", _LAPTOP)
        asyncio.run(asyncio.wait_for(follow_and_stop(process), HANG_S))
        _, said = process.communicate(timeout=HANG_S)

    assert process.returncode == 0, said
    assert [line.split('"')[1] for line in said.splitlines()] == [
        "controller ready",
        "controller stopped",
    ]
    assert not settings.api_socket.exists()
    assert not settings.node_socket.exists()


def test_a_signal_stops_it_cleanly_though_a_ca_keeps_it_waiting(settings: Settings) -> None:
    """And operators are answered meanwhile, and no key is in what it logs."""
    with socket.create_server(("127.0.0.1", 0)) as ca:
        api = ApiSettings(
            listen=f"127.0.0.1:{free_port()}",
            names=("vpn.example.org",),
            acme=f"https://127.0.0.1:{ca.getsockname()[1]}/dir",
        )
        asking = settings.model_copy(update={"api": api})
        with running(Role.CONTROLLER, asking) as process:
            ca.settimeout(HANG_S)
            held, _ = ca.accept()
            with held:
                assert _ask(settings.api_socket, "GET", "/v1/status").status_code == 200
                status, said = stop(process)

    assert status == 0
    assert "controller stopped" in said
    folder = settings.role_dir(Role.CONTROLLER) / ISSUED
    secret = (folder / ACCOUNT).read_text().splitlines()[1]
    assert secret not in said
    assert Standing.parse((folder / STANDING).read_bytes()).failures == 1


def test_what_was_acknowledged_outlives_a_kill(settings: Settings) -> None:
    with running(Role.CONTROLLER, settings) as process:
        _wait_until_ready(settings)
        added = _ask(settings.api_socket, "POST", "/v1/orgs/acme/peers", _LAPTOP).json()
        process.kill()
        process.wait()
    assert settings.api_socket.exists()
    with running(Role.CONTROLLER, settings):
        _wait_until_ready(settings)
        again = _ask(settings.api_socket, "POST", "/v1/orgs/acme/peers", _LAPTOP)

    assert (again.status_code, again.json()) == (200, added)


def test_without_a_store_it_does_not_start(settings: Settings) -> None:
    (settings.role_dir(Role.CONTROLLER) / STORE_NAME).unlink()

    with pytest.raises(Unavailable, match="wgctl init"):
        controller.run(settings)
