"""The server's side of TLS: versions, and a certificate that can be changed while it runs.

Where certificates come from is `wgctl.daemon.certificates` and `wgctl.daemon.issuing`.
"""

import os
import ssl
from collections.abc import Mapping

from wgctl.core.errors import Unavailable

__all__ = ["require_usable", "server_tls", "show_by_name", "use"]


def server_tls(protocol: str = "http/1.1") -> ssl.SSLContext:
    """Return TLS 1.2 or newer, for one protocol, that has no certificate yet."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.set_alpn_protocols([protocol])
    return tls


def show_by_name(
    tls: ssl.SSLContext, by_name: Mapping[str, ssl.SSLContext], *, others: int | None = None
) -> None:
    """Let who asks for a name in `by_name`, in lower case there, have that TLS in place of `tls`.

    Who asks for none of them is refused with the alert `others`; None: has `tls` itself.
    """

    def choose(asker: ssl.SSLObject, name: str | None, _tls: ssl.SSLContext) -> int | None:
        named = by_name.get((name or "").lower())
        if named is None:
            return others
        asker.context = named
        return None

    tls.sni_callback = choose


def use(tls: ssl.SSLContext, *, certificate: bytes, key: bytes) -> None:
    """Let those who connect from now on see `certificate`, a chain in PEM, whose key is `key`.

    Raises Unavailable when the two do not belong together, or are none; `tls` is as before then.
    """
    # OpenSSL reads keys from files alone: one in memory that has no name leaves nothing behind.
    try:
        with os.fdopen(os.memfd_create("wgctl-tls", os.MFD_CLOEXEC), "wb", buffering=0) as file:
            file.write(key.rstrip() + b"\n" + certificate)
            # What OpenSSL refuses half-way has already taken the place of what was there.
            for context in (server_tls(), tls):
                context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_no_password)
    except ssl.SSLError as error:
        raise Unavailable(
            f"the API's certificate and its key cannot be used ({error.reason}): "
            "expected a chain in PEM, and its key without a password"
        ) from error
    except OSError as error:
        raise Unavailable(
            f"the API's certificate cannot be handed to OpenSSL: {error.strerror}"
        ) from error


def require_usable(*, certificate: bytes, key: bytes) -> None:
    """Raise Unavailable, as `use` does, unless both can be used: OpenSSL refuses weak ones too."""
    use(server_tls(), certificate=certificate, key=key)


def _no_password() -> str:
    """Keep OpenSSL from asking at the terminal."""
    return ""
