import resource
import socket
import ssl
import threading
import time

import pytest

from tests.patience import HANG_S
from wgctl.core import authority
from wgctl.core.authority import Certified
from wgctl.core.errors import Unavailable
from wgctl.core.pin import NAME
from wgctl.drivers.tls import server_tls, show_by_name, use

_NOW = int(time.time())


def _issued() -> tuple[Certified, Certified]:
    own = authority.make(now=_NOW)
    return own, authority.issue(own, [], now=_NOW)


def _client() -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return client


def _shake(
    server: ssl.SSLContext, client: ssl.SSLContext, *, name: str | None = NAME
) -> tuple[str | None, bytes | None]:
    """Return the version that both agree on, and the certificate that is shown."""
    ours, theirs = socket.socketpair()
    ours.settimeout(HANG_S)
    theirs.settimeout(HANG_S)

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except ssl.SSLError:
            theirs.close()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as talking:
            return talking.version(), talking.getpeercert(binary_form=True)
    finally:
        serving.join()


def test_a_certificate_is_shown_and_the_next_one_in_its_place() -> None:
    server = server_tls()
    seen = []
    for _ in range(2):
        own, shown = _issued()
        use(server, certificate=shown.certificate, key=shown.key)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(cadata=own.certificate.decode())
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        seen.append(_shake(server, client))

    assert [version for version, _ in seen] == ["TLSv1.3"] * 2
    assert seen[0][1] != seen[1][1]


def test_tls_1_2_is_the_oldest() -> None:
    server = server_tls()
    _, shown = _issued()
    use(server, certificate=shown.certificate, key=shown.key)
    client = _client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    assert _shake(server, client)[0] == "TLSv1.2"

    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        client.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _shake(server, client)


def test_a_name_can_have_another_certificate_and_be_the_only_one() -> None:
    server, named = server_tls(), server_tls()
    for tls in (server, named):
        _, shown = _issued()
        use(tls, certificate=shown.certificate, key=shown.key)
    before = _shake(server, _client())
    show_by_name(server, {NAME: named})
    seen = {name: _shake(server, _client(), name=name) for name in (NAME, "a.example", None)}

    assert seen["a.example"] == seen[None] == before
    assert _shake(server, _client(), name=NAME.upper()) == seen[NAME]
    assert seen[NAME] == _shake(named, _client()) != before

    show_by_name(server, {NAME: named}, others=ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
    assert _shake(server, _client()) == seen[NAME]
    for name in ("a.example", None):
        with pytest.raises(ssl.SSLError, match="unrecognized name"):
            _shake(server, _client(), name=name)


@pytest.mark.parametrize("broken", ["another key", "no key", "no certificate", "with a password"])
def test_what_does_not_belong_together_is_unavailable(broken: str) -> None:
    own, shown = _issued()
    other = authority.issue(own, ["a.example"], now=_NOW)
    locked = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAo=\n-----END ENCRYPTED PRIVATE KEY-----\n"
    certificate, key = {
        "another key": (other.certificate, shown.key),
        "no key": (shown.certificate, b""),
        "no certificate": (b"", shown.key),
        "with a password": (shown.certificate, locked),
    }[broken]

    server = server_tls()
    use(server, certificate=shown.certificate, key=shown.key)
    before = _shake(server, _client())

    with pytest.raises(Unavailable, match="expected a chain in PEM"):
        use(server, certificate=certificate, key=key)
    assert _shake(server, _client()) == before


def test_where_nothing_more_can_be_opened_it_is_unavailable() -> None:
    _, shown = _issued()
    server = server_tls()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(Unavailable, match="Too many open files"):
            use(server, certificate=shown.certificate, key=shown.key)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
