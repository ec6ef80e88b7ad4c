"""What a client holds on to of a deployment's authority, and the URL that can carry it.

What an authority is, is `wgctl.core.authority`; a connection that is held against it is
`wgctl.client.https`.
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Self
from urllib.parse import urlsplit

from peers.endpoint import Endpoint
from wgctl.core.errors import Invalid

__all__ = ["NAME", "ControllerUrl", "fingerprint"]

NAME = "controller.wgctl.invalid"
"""What every certificate of an authority bears, so that who has pinned the authority needs no other
name: no host can have it (RFC 6761, section 6.4)."""

_HTTPS_PORT = 443
_PIN = re.compile(r"SHA256:[A-Za-z0-9_-]{43}")

_EXPECTED = "expected https://HOST:PORT, or https://HOST:PORT#FINGERPRINT of its authority"


def fingerprint(certificate: bytes) -> str:
    """Return `SHA256:` and 43 characters of base64, as for URLs, that stand for one in DER."""
    digest = urlsafe_b64encode(sha256(certificate).digest())
    return f"SHA256:{digest.decode().rstrip('=')}"


@dataclass(frozen=True, slots=True)
class ControllerUrl:
    """Where a controller is; `pin` is the fingerprint of its authority, None where none is told."""

    place: Endpoint
    pin: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `https://HOST[:PORT][#FINGERPRINT]`; raises Invalid."""
        try:
            parts = urlsplit(text)
            port = parts.port or _HTTPS_PORT
        except ValueError as error:
            raise Invalid(f"URL {text!a}: {error}, {_EXPECTED}") from error
        beside = parts.path.rstrip("/"), parts.query, parts.username, parts.password
        if parts.scheme != "https" or not parts.hostname or any(beside):
            raise Invalid(f"URL {text!a}, {_EXPECTED}")
        if parts.fragment and not _PIN.fullmatch(parts.fragment):
            raise Invalid(f"URL {text!a}: {parts.fragment!a} is no fingerprint, {_EXPECTED}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(Endpoint.parse(f"{host}:{port}"), parts.fragment or None)

    def __str__(self) -> str:
        """Return the URL without its pin: the name that a login has."""
        return f"https://{self.place}"
