"""Certificates of Debian's pebble, a real CA of RFC 8555 for tests."""

import asyncio
import http.client
import http.server
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from tests.daemon.running import free_port
from tests.drivers.pebble import NAME, Pebble, running_pebble, weak_certificate
from tests.drivers.serving import served
from tests.patience import HANG_S
from wgctl.core.authority import Certified
from wgctl.core.issued import Issued, new_key
from wgctl.core.renewal import MOST_TOLD_S, Wanted
from wgctl.drivers.acme import NotIssued, obtain
from wgctl.drivers.tls_alpn import Proofs

_NAMES = (NAME, "api.example.org")


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with running_pebble(tmp_path_factory.mktemp("pebble")) as made:
        yield made


def _unshown(_: Mapping[str, Certified]) -> AbstractContextManager[None]:
    return nullcontext()


def _obtain(
    pebble: Pebble,
    *,
    account: bytes | None = None,
    roots_told: bool = True,
    directory: str | None = None,
) -> Issued:
    """Ask, with a server beside that shows the proofs where the CA looks for them."""
    proofs = Proofs()

    async def scene() -> Issued:
        async with served(proofs=proofs, port=pebble.proof_port):
            return await asyncio.to_thread(
                obtain,
                Wanted(directory or pebble.directory, _NAMES),
                account=account or new_key(),
                roots=pebble.roots if roots_told else None,
                shower=proofs.shown,
            )

    return asyncio.run(scene())


def _refused(pebble: Pebble, directory: str | None = None, roots: Path | None = None) -> NotIssued:
    """Ask without a server that could show a proof; return why that gave nothing."""
    with pytest.raises(NotIssued) as caught:
        obtain(
            Wanted(directory or pebble.directory, (NAME,)),
            account=new_key(),
            roots=roots or pebble.roots,
            shower=_unshown,
        )
    return caught.value


def test_names_that_lead_here_get_a_certificate_that_its_ca_vouches_for(pebble: Pebble) -> None:
    issued = _obtain(pebble)
    leaf, between, *_ = x509.load_pem_x509_certificates(issued.certified.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert set(names.get_values_for_type(x509.DNSName)) == set(_NAMES)
    leaf.verify_directly_issued_by(between)
    between.verify_directly_issued_by(x509.load_pem_x509_certificate(pebble.issuer().encode()))
    assert issued.ends - issued.begins == pytest.approx(86_400, abs=1)


def test_an_account_is_made_once_and_each_certificate_has_a_key_of_its_own(
    pebble: Pebble,
) -> None:
    account, before = new_key(), pebble.said()
    first, second = _obtain(pebble, account=account), _obtain(pebble, account=account)

    assert first.certified.key != second.certified.key
    assert pebble.said().removeprefix(before).count("accounts in memory") == 1


def test_what_the_ca_takes_for_proved_is_not_proved_again(tmp_path: Path) -> None:
    account = new_key()
    with running_pebble(tmp_path, AUTHZREUSE="100") as pebble:
        _obtain(pebble, account=account)
        before = pebble.said().count("Pulled a task from the Tasks queue")
        _obtain(pebble, account=account)

        assert before == len(_NAMES)
        assert pebble.said().count("Pulled a task from the Tasks queue") == before


def test_a_name_that_does_not_lead_here_gets_none_and_the_ca_says_why(pebble: Pebble) -> None:
    said = str(_refused(pebble))

    assert f"{NAME}: " in said
    assert "Failed to connect" in said


def test_a_ca_that_refuses_every_request_is_given_up(tmp_path: Path) -> None:
    with running_pebble(tmp_path, WFE_NONCEREJECT="100") as pebble:
        assert "invalid anti-replay nonce" in str(_refused(pebble))


def test_a_ca_that_is_not_there_is_named(pebble: Pebble) -> None:
    url = f"https://127.0.0.1:{free_port()}/dir"

    assert str(_refused(pebble, url)).endswith(": not reached: Connection refused")


def test_a_name_of_the_ca_that_leads_nowhere_is_told(pebble: Pebble) -> None:
    said = str(_refused(pebble, "https://ca.invalid/directory"))

    assert said.startswith("ca.invalid: not reached: ")
    assert "HTTPSConnectionPool" not in said


def test_a_url_that_is_no_directory_is_told_with_its_status(pebble: Pebble) -> None:
    said = str(_refused(pebble, pebble.directory.replace("/dir", "/wrong")))

    assert "404" in said
    assert "/wrong" in said


def test_a_ca_that_nobody_known_here_vouches_for_is_not_spoken_to(
    pebble: Pebble, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text(pebble.issuer())

    before = pebble.said()

    assert "self-signed certificate" in str(_refused(pebble, roots=other))
    assert " /dir -> " not in pebble.said().removeprefix(before)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_whom_the_host_trusts_vouches_for_the_ca_unless_told(
    pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Not whom a bundle of requests does."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_FILE", str(pebble.roots if kind == "file" else tmp_path / "none"))
    if kind == "folder":
        (tmp_path / "own.pem").write_bytes(pebble.roots.read_bytes())
        subprocess.run(["openssl", "rehash", tmp_path], check=True)
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    _obtain(pebble, roots_told=False)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_roots_that_cannot_be_read_are_told(
    pebble: Pebble, tmp_path: Path, content: str | None
) -> None:
    roots = tmp_path / "mine.pem"
    if content is not None:
        roots.write_text(content)

    said = str(_refused(pebble, roots=roots))

    assert "mine.pem" in said


def test_a_damaged_account_key_is_told(pebble: Pebble) -> None:
    with pytest.raises(NotIssued, match="account's key"):
        obtain(
            Wanted(pebble.directory, (NAME,)),
            account=b"-----BEGIN secret",
            roots=pebble.roots,
            shower=_unshown,
        )


@contextmanager
def _ca(pebble: Pebble, answer: tuple[int, dict[str, str], bytes]) -> Iterator[str]:
    """Answer every request over TLS with the same thing, and give the URL."""

    class Same(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            status, headers, body = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_POST = do_GET  # noqa: N815  # likewise

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _served_over_tls(pebble, Same) as place:
        yield f"https://{place}/directory"


_Change = Callable[[str, http.client.HTTPMessage, bytes], bytes]


@contextmanager
def _between(pebble: Pebble, change: _Change) -> Iterator[str]:
    """Hand on what is asked of pebble, and its answers as `change` has them; give the URL.

    It takes an answer's path, its headers, which it may change, and its body, and returns that.
    """
    tls = ssl.create_default_context(cafile=pebble.roots)
    place = urlsplit(pebble.directory).netloc

    class Between(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with closing(http.client.HTTPSConnection(place, context=tls, timeout=HANG_S)) as ca:
                ca.request(self.command, self.path, asked, dict(self.headers))
                answer = ca.getresponse()
                body = change(self.path, answer.headers, answer.read())
            self.send_response(answer.status)
            del answer.headers["Content-Length"], answer.headers["Transfer-Encoding"]
            answer.headers["Content-Length"] = str(len(body))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_POST = do_GET  # noqa: N815  # likewise

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _served_over_tls(pebble, Between) as here:
        yield f"https://{here}/dir"


@contextmanager
def _served_over_tls(
    pebble: Pebble, handler: type[http.server.BaseHTTPRequestHandler]
) -> Iterator[str]:
    """Answer with `handler`, as who vouches for pebble vouches for too; give the place."""
    port = free_port()
    with http.server.HTTPServer(("127.0.0.1", port), handler) as server:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(
            pebble.roots.with_name("pebble.pem"), pebble.roots.with_name("pebble.key")
        )
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'"x"',
        b'{"meta": 1}',
        b'{"newNonce": 1}',
        b"\xff\xfe",
        b"[" * 9999,
    ],
)
def test_an_answer_of_another_shape_is_told_and_harms_nothing(pebble: Pebble, body: bytes) -> None:
    with _ca(pebble, (200, {"Content-Type": "application/json"}, body)) as url:
        said = str(_refused(pebble, url))

    assert "expected its directory at" in said or "Invalid URL" in said


@pytest.mark.parametrize(
    ("header", "told_s"), [("7200", 7200), ("9" * 20, MOST_TOLD_S), ("soon", 0)]
)
def test_how_long_a_ca_wants_to_be_left_alone_is_handed_on(
    pebble: Pebble, header: str, told_s: int
) -> None:
    problem = b'{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too\\u001b many"}'
    headers = {"Retry-After": header, "Content-Type": "application/problem+json"}
    with _ca(pebble, (429, headers, problem)) as url:
        refused = _refused(pebble, url)

    assert refused.told_s == told_s
    assert str(refused).endswith("too  many")


def test_a_chain_that_openssl_refuses_is_none(pebble: Pebble) -> None:
    """Else it would take the place of one that can be shown."""

    def change(path: str, _: http.client.HTTPMessage, body: bytes) -> bytes:
        return body + weak_certificate() if path.startswith("/certZ/") else body

    with (
        _between(pebble, change) as url,
        pytest.raises(NotIssued, match=r"cannot be used \(CA_KEY_TOO_SMALL\)"),
    ):
        _obtain(pebble, directory=url)


@pytest.fixture(params=["Etc/GMT-12", "Etc/GMT+12"])
def _far_from_greenwich(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
@pytest.mark.parametrize("header", ["a date", "0"])
def test_a_ca_that_is_not_done_is_asked_again_after_a_pause(pebble: Pebble, header: str) -> None:
    """Wherever this host is: 12 hours east it would ask without end, and west never."""
    looked_at = []

    def change(path: str, headers: http.client.HTTPMessage, body: bytes) -> bytes:
        if not path.startswith("/my-order/"):
            return body
        looked_at.append(time.monotonic())
        if len(looked_at) > 1:
            return body
        in_2_s = formatdate(time.time() + 2, usegmt=True)
        headers["Retry-After"] = in_2_s if header == "a date" else header
        order = json.loads(body) | {"status": "processing"}
        order.pop("certificate", None)
        return json.dumps(order).encode()

    with _between(pebble, change) as url:
        _obtain(pebble, directory=url)

    first, second = looked_at
    assert second - first >= 1.0
