"""The server's side of TLS: versions, and a certificate that can be changed while it runs.

Where the certificate comes from is `wgctl.daemon.remote`.
"""

import os
import ssl

from wgctl.core.errors import Unavailable

__all__ = ["server_tls", "use"]


def server_tls() -> ssl.SSLContext:
    """Return TLS 1.2 or newer, for HTTP/1.1, that has no certificate yet."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.set_alpn_protocols(["http/1.1"])
    return tls


def use(tls: ssl.SSLContext, *, certificate: bytes, key: bytes) -> None:
    """Let those who connect from now on see `certificate`, a chain in PEM, whose key is `key`.

    Raises Unavailable when the two do not belong together, or are none.
    """
    # OpenSSL reads keys from files alone: one in memory that has no name leaves nothing behind.
    descriptor = os.memfd_create("wgctl-tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(key.rstrip() + b"\n" + certificate)
        tls.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except ssl.SSLError as error:
        raise Unavailable(
            f"the API's certificate and its key cannot be used ({error.reason}): "
            "expected a chain in PEM, and its key without a password"
        ) from error
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Keep OpenSSL from asking at the terminal."""
    return ""
