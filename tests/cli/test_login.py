"""Logging in over real TLS to a server that answers as it is told."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Wgctl
from tests.client.tls_server import Server, tls_server
from wgctl.api.examples import SHAPES
from wgctl.cli.logins import read_logins
from wgctl.core import authority

_NOW = int(time.time())
_OWN = authority.make(now=_NOW)
_PIN = authority.fingerprint(_OWN.certificate)
_TOKEN = "wgctl_secret"  # noqa: S105  # a text
_JSON = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"


def _reply(status: str, document: object, kind: str = "application/json") -> bytes:
    body = json.dumps(document).encode()
    return _JSON % (status.encode(), kind.encode(), len(body), body)


@pytest.fixture
def server() -> Iterator[Server]:
    shown = authority.issue(_OWN, [], now=_NOW)
    caller = _reply("200 OK", SHAPES["CallerReply"])
    listed = _reply("200 OK", {"items": [], "next": None})
    with tls_server(shown, replies={"/v1/caller": caller}, reply=listed) as server:
        yield server


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{_TOKEN}\n")
    return str(path)


def _url(server: Server, *, pin: str | None = _PIN) -> str:
    return f"https://127.0.0.1:{server.port}" + (f"#{pin}" if pin else "")


def _logins(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "wgctl" / "logins.json"


def _sent(server: Server) -> list[str]:
    """Return the tokens that came."""
    return [
        line.split(" ")[-1]
        for head in server.asked
        for line in head.decode().splitlines()
        if line.lower().startswith("authorization")
    ]


def test_after_a_login_commands_speak_to_that_controller_until_a_logout(
    bare: Wgctl, server: Server, token: str, tmp_path: Path
) -> None:
    come = bare("login", "--url", _url(server), "--token-file", token, "--json")
    listed = bare("org", "list", "--json")
    gone = bare("logout")
    after = bare("logout")

    assert come.document == {
        "url": _url(server, pin=None),
        "authority": _PIN,
        "org": "acme",
    }
    assert (listed.exit_code, listed.document) == (0, [])
    assert _sent(server) == [_TOKEN] * 2
    assert (gone.exit_code, after.exit_code) == (0, 2)
    assert _TOKEN not in _logins(tmp_path).read_text()
    for result in (come, listed, gone, after):
        assert _TOKEN not in result.stdout + result.stderr


def test_a_token_of_the_environment_needs_no_login(bare: Wgctl, server: Server) -> None:
    environment = {"WGCTL_URL": _url(server), "WGCTL_TOKEN": "wgctl_other"}
    listed = bare("org", "list", "--json", env=environment)

    assert (listed.exit_code, listed.document) == (0, [])
    assert _sent(server) == ["wgctl_other"]


def test_a_url_without_a_token_says_how_to_get_one(bare: Wgctl, server: Server) -> None:
    result = bare("--url", _url(server), "org", "list")

    assert result.exit_code == 3
    assert f"wgctl login --url {_url(server, pin=None)}" in result.stderr
    assert server.asked == []


def test_a_token_that_the_controller_does_not_know_is_not_kept(
    bare: Wgctl, token: str, tmp_path: Path
) -> None:
    problem = {"type": "unidentified", "title": "x", "status": 401, "detail": "no valid token"}
    refused = _reply("401 Unauthorized", problem, "application/problem+json")
    with tls_server(authority.issue(_OWN, [], now=_NOW), reply=refused) as server:
        result = bare("login", "--url", _url(server), "--token-file", token)

    assert (result.exit_code, result.stderr) == (3, "wgctl: no valid token\n")
    assert not _logins(tmp_path).exists()


def test_an_authority_that_nobody_pinned_is_shown_and_nothing_is_sent(
    bare: Wgctl, server: Server, token: str, tmp_path: Path
) -> None:
    result = bare("login", "--url", _url(server, pin=None), "--token-file", token)

    assert result.exit_code == 2
    assert f"--url {_url(server)}" in result.stderr
    assert server.asked == []
    assert not _logins(tmp_path).exists()


def test_another_authority_than_the_pinned_one_gets_nothing(
    bare: Wgctl, server: Server, token: str
) -> None:
    other = authority.fingerprint(authority.make(now=_NOW).certificate)
    result = bare("login", "--url", _url(server, pin=other), "--token-file", token)

    assert result.exit_code == 3
    assert f"shows authority {_PIN}, expected {other}" in result.stderr
    assert server.asked == []


@pytest.mark.parametrize("text", ["", "two words", "wgctl_\x00", "é", "x" * 9000])
def test_what_is_no_token_is_refused_and_not_said_again(
    bare: Wgctl, server: Server, text: str
) -> None:
    result = bare("login", "--url", _url(server), "--token-file", "-", stdin=text)

    assert result.exit_code == 2
    assert "not a token" in result.stderr
    assert not text or text not in result.stderr


def test_without_a_terminal_a_token_comes_from_a_file(bare: Wgctl, server: Server) -> None:
    result = bare("login", "--url", _url(server))

    assert result.exit_code == 2
    assert "expected --token-file FILE, or WGCTL_TOKEN" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["login"], "no URL: expected --url"),
        (["login", "--url", "http://x"], "expected https://HOST:PORT"),
        (["logout"], "not logged in anywhere"),
        (["logout", "--url", "https://x"], "no login to https://x:443"),
        (["--url", "https://x", "doctor"], "this command is about the host that it runs on"),
        (["--url", "https://x", "serve"], "this command is about the host that it runs on"),
    ],
)
def test_what_makes_no_sense_is_told(bare: Wgctl, words: list[str], said: str) -> None:
    result = bare(*words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_named_config_goes_before_a_login_and_the_environment(
    wgctl: Wgctl, server: Server, token: str, tmp_path: Path
) -> None:
    come = wgctl("login", "--url", _url(server), "--token-file", token, env={"HOME": str(tmp_path)})
    before = len(server.asked)
    listed = wgctl("org", "list", env={"HOME": str(tmp_path)})

    assert (come.exit_code, listed.exit_code) == (0, 0)
    assert len(server.asked) == before
    assert read_logins(_logins(tmp_path)).current == _url(server, pin=None)
