"""The three kinds of WireGuard key, each 32 bytes that are checked when the value is made.

Leaves to others where keys are kept and who may see them.
"""

import base64
import binascii
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from peers.errors import InvalidKey

__all__ = ["PresharedKey", "PrivateKey", "PublicKey"]

_KEY_BYTES = 32

# 32 bytes are 43 characters of 6 bits, of which the last has two bits to spare: they must be zero.
_CANONICAL = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")

# The order of the field, 2**255 - 19 (RFC 7748, section 4.1).
_FIELD_ORDER = 2**255 - 19
_HIGHEST = _FIELD_ORDER >> 248

# The points of order 1, 2, 4 and 8 on the curve and on its twist: an exchange with any of them
# gives zero. The kernel's own list (tools/testing/selftests/wireguard/netns.sh) has seven; the
# other two, the field order and the number above it, are second spellings of 0 and 1.
_LOW_ORDER = frozenset(
    number.to_bytes(_KEY_BYTES, "little")
    for number in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _FIELD_ORDER - 1,
    )
)


@dataclass(frozen=True, slots=True)
class _Key:
    """32 raw bytes; their order is the wire's."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != _KEY_BYTES:
            raise InvalidKey(f"{len(self.raw)} bytes, expected {_KEY_BYTES}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 44 characters of canonical base64, with no white space around them.

        Raises InvalidKey on anything else, also on a second spelling of the same 32 bytes.
        """
        return cls(_decoded(text))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Take 32 raw bytes.

        Raises InvalidKey on any other number of them.
        """
        return cls(bytes(raw))

    def text(self) -> str:
        """Return the 44 characters of base64 that `parse` reads."""
        return base64.b64encode(self.raw).decode("ascii")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Secret(_Key):
    """A key that shows itself only to those who call `text` or take `raw`."""

    def __post_init__(self) -> None:
        _Key.__post_init__(self)
        if not any(self.raw):
            raise InvalidKey("all bytes are zero, which means no key to WireGuard; make a new one")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self.raw, other.raw)

    def __hash__(self) -> int:
        return hash((type(self), self.raw))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PrivateKey(_Secret):
    """A private key, its bytes kept as given: WireGuard clamps whatever it is handed.

    Two private keys that differ only in clamped bits are unequal and have one public key.
    """

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's randomness, clamped as `wg genkey` does."""
        raw = bytearray(secrets.token_bytes(_KEY_BYTES))
        raw[0] &= 248
        raw[31] = (raw[31] & 127) | 64
        return cls(bytes(raw))

    def public(self) -> "PublicKey":
        """Return the public half."""
        return PublicKey(
            X25519PrivateKey.from_private_bytes(self.raw).public_key().public_bytes_raw()
        )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PresharedKey(_Secret):
    """A symmetric key that two peers add to their handshake."""

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's randomness."""
        return cls(secrets.token_bytes(_KEY_BYTES))


@dataclass(frozen=True, slots=True, order=True, repr=False)
class PublicKey(_Key):
    """A public key: a point given by 32 bytes, least significant first, in its only spelling.

    Raises InvalidKey for a second spelling of a point (the top bit set, or a number not below the
    field order) and for the points of low order, with which no handshake can succeed.
    """

    def __post_init__(self) -> None:
        _Key.__post_init__(self)
        highest = self.raw[-1]
        if highest > _HIGHEST:
            raise InvalidKey(
                "the top bit is set, which Curve25519 ignores: a public key has it clear"
            )
        if highest == _HIGHEST and int.from_bytes(self.raw, "little") >= _FIELD_ORDER:
            raise InvalidKey("not below 2^255 - 19: a second spelling of another public key")
        if self.raw in _LOW_ORDER:
            raise InvalidKey("a point of low order, with which no handshake can succeed")

    def __repr__(self) -> str:
        return f"PublicKey({self.text()!r})"

    def __str__(self) -> str:
        return self.text()


def _decoded(text: str) -> bytes:
    if _CANONICAL.fullmatch(text):
        return binascii.a2b_base64(text)
    raise InvalidKey(_flaw(text))


def _flaw(text: str) -> str:
    expected = "expected 44 characters of base64"
    if any(character.isspace() for character in text):
        return f"white space in or around the key, {expected} alone"
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return f"{len(text)} characters that are not base64, {expected}"
    if len(raw) != _KEY_BYTES:
        return f"{len(raw)} bytes, expected {_KEY_BYTES}"
    return "the last character has bits that no byte holds, expected canonical base64"
