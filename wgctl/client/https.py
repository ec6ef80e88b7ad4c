"""The way to a controller elsewhere: TLS that is held against what is trusted, and a token.

Who has pinned a deployment's own authority trusts that one alone, at whatever name or address the
controller is reached. Everybody else trusts whom this host trusts, for the name in the URL.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from wgctl.core.errors import Denied, Refusal, Unavailable
from wgctl.core.pin import NAME, ControllerUrl, fingerprint

__all__ = ["Https", "authority_at", "known_here"]

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Https:
    """A controller at `url`; `authority` is the pinned one in PEM, None: whom this host trusts."""

    url: ControllerUrl
    token: str = field(repr=False)
    authority: str | None = None

    def __str__(self) -> str:
        return str(self.url)

    @property
    def headers(self) -> Mapping[str, str]:
        """Say who asks."""
        return {"Authorization": f"Bearer {self.token}"}

    def opened(self, *, timeout_s: float) -> http.client.HTTPConnection:
        """Connect; raises OSError, and of it ssl.SSLError when the other side is not trusted."""
        tls = ssl.create_default_context(cadata=self.authority)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        name = self.url.place.host if self.authority is None else NAME
        connection = _Connection(self.url, tls, name=name, timeout_s=timeout_s)
        connection.connect()
        return connection

    def unreached(self, error: OSError) -> Refusal:
        """Say what of the other side is not trusted, or that there is none."""
        if isinstance(error, ssl.SSLCertVerificationError):
            if self.authority:
                whom, cure = (
                    "the authority that was pinned",
                    "if it has a new one, wgctl login again",
                )
            else:
                whom = "an authority known here"
                cure = f"if it has one of its own, {self}#SHA256:..., as wgctl init showed it there"
            return Denied(
                f"{self} is not vouched for by {whom} ({error.verify_message}): nothing was sent; "
                f"{cure}"
            )
        return Unavailable(f"the controller does not answer at {self}: {_reason(error)}")


def known_here(url: ControllerUrl) -> bool:
    """Whether this host trusts whoever vouches for the controller at `url`; raises Unavailable."""
    way = Https(url, "")
    try:
        way.opened(timeout_s=_TIMEOUT_S).close()
    except ssl.SSLCertVerificationError:
        return False
    except OSError as error:
        raise way.unreached(error) from error
    return True


def authority_at(url: ControllerUrl) -> str:
    """Return the certificate, in PEM, of the authority that the controller at `url` shows.

    It is the one that is pinned, if `url` says which: raises Denied for another one. Without, it is
    believed by nobody yet. Raises Unavailable when nobody answers, or shows none.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    connection = _Connection(url, tls, name=NAME, timeout_s=_TIMEOUT_S)
    try:
        connection.connect()
        shown = _chain(connection.sock)
    except OSError as error:
        raise Unavailable(f"the controller does not answer at {url}: {_reason(error)}") from error
    finally:
        connection.close()
    if url.pin is None:
        return ssl.DER_cert_to_PEM_cert(shown[-1])
    for certificate in shown:
        if fingerprint(certificate) == url.pin:
            return ssl.DER_cert_to_PEM_cert(certificate)
    raise Denied(f"{url} shows authority {fingerprint(shown[-1])}, expected {url.pin}")


def _chain(connection: socket.socket) -> list[bytes]:
    """Return the certificates that are shown, in DER, the last one the nearest to an authority."""
    if not isinstance(connection, ssl.SSLSocket):
        raise TypeError("no TLS")
    # It has had a name of its own since Python 3.13.
    found = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found]


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


class _Connection(http.client.HTTPSConnection):
    """One whose certificate is held against `name`, wherever it leads."""

    def __init__(
        self, url: ControllerUrl, tls: ssl.SSLContext, *, name: str, timeout_s: float
    ) -> None:
        super().__init__(url.place.host, url.place.port, timeout=timeout_s, context=tls)
        self._tls = tls
        self._name = name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        try:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)
        except BaseException:
            self.close()
            raise
