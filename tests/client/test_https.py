"""Requests over real TLS, held against what is trusted."""

import socket
import time

import pytest

from tests.client.tls_server import tls_server
from tests.patience import HANG_S
from wgctl.client.asking import Answer, ask
from wgctl.client.https import Https, authority_at
from wgctl.core import authority
from wgctl.core.authority import Certified
from wgctl.core.errors import Denied, Unavailable
from wgctl.core.pin import ControllerUrl

_NOW = int(time.time())
_OWN = authority.make(now=_NOW)
_OTHER = authority.make(now=_NOW)


def _shown(own: Certified = _OWN, *, now: int = _NOW) -> Certified:
    return authority.issue(own, ["127.0.0.1"], now=now)


def _url(port: int, pin: str | None = None) -> ControllerUrl:
    return ControllerUrl.parse(f"https://127.0.0.1:{port}" + (f"#{pin}" if pin else ""))


def _pem(certified: Certified) -> str:
    return certified.certificate.decode()


def _ask(way: Https) -> Answer:
    return ask(way, "GET", "/v1/orgs", body=None, timeout_s=HANG_S)


def test_a_token_goes_to_who_is_vouched_for_by_the_pinned_authority() -> None:
    with tls_server(authority.issue(_OWN, [], now=_NOW)) as server:
        answer = _ask(Https(_url(server.port), "secret", _pem(_OWN)))

    assert answer == Answer(200, b"ok")
    assert b"authorization: bearer secret\r\n" in server.asked[0].lower()


@pytest.mark.parametrize(
    "shown",
    [
        _shown(_OTHER),
        _shown(now=_NOW - authority.LIFETIME_S - 86400),
        _shown(now=_NOW + 10 * 86400),
    ],
    ids=["another authority", "expired", "of later"],
)
def test_it_goes_to_nobody_else(shown: Certified) -> None:
    with tls_server(shown) as server:
        way = Https(_url(server.port), "secret", _pem(_OWN))
        with pytest.raises(OSError, match="verify failed") as refused:
            _ask(way)

    assert server.asked == []
    assert isinstance(refusal := way.unreached(refused.value), Denied)
    assert "the authority that was pinned" in str(refusal)
    assert "nothing was sent" in str(refusal)


def test_without_a_pin_an_authority_that_this_host_does_not_know_is_not_trusted() -> None:
    with tls_server(_shown()) as server:
        way = Https(_url(server.port), "secret")
        with pytest.raises(OSError, match="verify failed") as refused:
            _ask(way)

    assert server.asked == []
    assert "an authority known here" in str(way.unreached(refused.value))
    assert f"{way}#SHA256:..., as wgctl init showed" in str(way.unreached(refused.value))


def test_nobody_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        way = Https(_url(listener.getsockname()[1]), "secret")
    with pytest.raises(OSError, match="refused") as refused:
        _ask(way)

    assert isinstance(refusal := way.unreached(refused.value), Unavailable)
    assert "Connection refused" in str(refusal)
    with pytest.raises(Unavailable, match="Connection refused"):
        authority_at(way.url)


def test_a_token_is_in_no_text_about_it() -> None:
    assert "secret" not in repr(Https(_url(1), "secret"))


def test_the_authority_is_looked_up_and_held_against_the_pin() -> None:
    pin = authority.fingerprint(_OWN.certificate)
    other = authority.fingerprint(_OTHER.certificate)
    with tls_server(_shown()) as server:
        found = authority_at(_url(server.port))
        pinned = authority_at(_url(server.port, pin))
        with pytest.raises(Denied, match=f"shows authority {pin}, expected {other}"):
            authority_at(_url(server.port, other))

    assert found == pinned == _pem(_OWN)
    assert server.asked == []
