"""Handshake initiations, as far as the one they are meant for can read them without answering.

Tells who knocks; whether that is a peer, and what becomes of it, is the reader's business. The
message and its cryptography are those of the WireGuard whitepaper, sections 5.4.1, 5.4.2 and 5.4.4:

    type, reserved   4 bytes     1, 0, 0, 0
    sender           4
    ephemeral       32           e
    static          32 + 16      sealed with a key from X25519(e, our private key)
    timestamp       12 + 16      TAI64N, sealed with a key from X25519(static, our private key)
    mac1            16           of all before it, keyed with our public key
    mac2            16           of no interest here

Anybody who knows our public key can make a message with a right mac1, which costs 1 microsecond to
check; a static key that can be opened, at 50, proves nothing by itself either. Only a timestamp
that can be opened, at 45 more and at 6 again, is from whoever has the private key, or repeats what
they once sent.
"""

import hmac
from hashlib import blake2s
from typing import NamedTuple, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import load_der_public_key

from peers.errors import InvalidInitiation, InvalidKey
from peers.keys import PrivateKey, PublicKey

__all__ = ["INITIATION_BYTES", "INITIATION_TYPE", "TIMESTAMP_BYTES", "Initiator", "Reader"]

INITIATION_BYTES = 148

INITIATION_TYPE = bytes((1, 0, 0, 0))
"""What an initiation begins with: its type, and three bytes that are reserved."""

TIMESTAMP_BYTES = 12

_EPHEMERAL = slice(8, 40)
_STATIC = slice(40, 88)
_TIMESTAMP = slice(88, 116)
_MAC1 = slice(116, 132)

_CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
_IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
_MAC1_LABEL = b"mac1----"

# What stands before a point in DER (RFC 8410, section 4), which is loaded in two thirds of the time
# that X25519PublicKey.from_public_bytes takes: that looks for its backend each time.
_BEFORE_POINT = bytes.fromhex("302a300506032b656e032100")

# Each key seals one message.
_NONCE = bytes(12)

# The two pads of HMAC (RFC 2104): what turns a key of 32 bytes into them, and what stands after it.
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST, _OUTER_REST = b"\x36" * 32, b"\x5c" * 32


class Initiator(NamedTuple):
    """Who an initiation says it is from, which its timestamp alone can prove.

    `chaining` and `transcript` are the state of the handshake, 32 bytes each; `sealed` is the
    timestamp as it came.
    """

    key: PublicKey
    chaining: bytes
    transcript: bytes
    sealed: bytes


class Reader:
    """Reads the initiations that are sent to one private key. Safe to use from several threads.

    It keeps what it shares with those who proved to be who they say, as WireGuard does for its
    peers: they come again every two minutes. Whoever could read that could read the private key.
    """

    def __init__(self, private_key: PrivateKey, *, kept: int = 8_192) -> None:
        """Read what is sent to `private_key`.

        What is shared with the last `kept` who came is kept, and for up to as many before them, at
        250 bytes each.
        """
        public = private_key.public().raw
        self._private = X25519PrivateKey.from_private_bytes(private_key.raw)
        self._mac1 = blake2s(key=_hash(_MAC1_LABEL + public), digest_size=16)
        chaining = _hash(_CONSTRUCTION)
        self._first = _padded(chaining)
        self._transcript = _hash(_hash(chaining + _IDENTIFIER) + public)
        self._most_kept = kept
        self._kept: dict[bytes, bytes] = {}
        self._kept_before: dict[bytes, bytes] = {}

    def is_ours(self, message: bytes) -> bool:
        """Whether `message` is of the form of an initiation, and made for our public key."""
        if len(message) != INITIATION_BYTES or message[:4] != INITIATION_TYPE:
            return False
        mac = self._mac1.copy()
        mac.update(message[: _MAC1.start])
        return hmac.compare_digest(mac.digest(), message[_MAC1])

    def initiator(self, message: bytes) -> Initiator:
        """Return who a message that `is_ours` says it is from.

        Raises InvalidInitiation when the static key cannot be opened, or is none.
        """
        ephemeral, sealed = message[_EPHEMERAL], message[_STATIC]
        transcript = blake2s(self._transcript + ephemeral).digest()
        inner, outer = self._first
        inner, outer = _padded(blake2s(outer + blake2s(inner + ephemeral).digest()).digest())
        chaining = blake2s(outer + blake2s(inner + b"\x01").digest()).digest()
        chaining, key = _mixed(chaining, self._shared(ephemeral))
        static = _opened(key, sealed, transcript)
        try:
            public = PublicKey(static)
        except InvalidKey as error:
            raise InvalidInitiation(f"from a key that is none: {error}") from error
        transcript = blake2s(transcript + sealed).digest()
        return Initiator(public, chaining, transcript, message[_TIMESTAMP])

    def timestamp(self, initiator: Initiator) -> bytes:
        """Return the 12 bytes of TAI64N: those that are greater were made later.

        Raises InvalidInitiation when it cannot be opened: whoever sent it has not the private key.
        """
        static = initiator.key.raw
        secret = self._kept.get(static) or self._kept_before.get(static) or self._shared(static)
        _, key = _mixed(initiator.chaining, secret)
        timestamp = _opened(key, initiator.sealed, initiator.transcript)
        self._keep(static, secret)
        return timestamp

    def _keep(self, static: bytes, secret: bytes) -> None:
        if len(self._kept) >= self._most_kept and static not in self._kept:
            self._kept_before, self._kept = self._kept, {}
        self._kept[static] = secret

    def _shared(self, point: bytes) -> bytes:
        try:
            public = load_der_public_key(_BEFORE_POINT + point)
            return self._private.exchange(cast(X25519PublicKey, public))
        except ValueError as error:
            raise InvalidInitiation("a point of low order, which no key exchange takes") from error


def _opened(key: bytes, sealed: bytes, transcript: bytes) -> bytes:
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, transcript)
    except InvalidTag as error:
        raise InvalidInitiation("sealed with another key than it should be") from error


def _hash(data: bytes) -> bytes:
    return blake2s(data).digest()


# HMAC-BLAKE2s (RFC 2104) is written out where it is needed: Python's own looks up names and takes
# twice as long, and a call of a function for each would take a tenth of what is left.


def _mixed(chaining: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Return the next chaining key, and a key to seal with: KDF2 of the whitepaper."""
    inner = chaining.translate(_INNER) + _INNER_REST + secret
    outer = chaining.translate(_OUTER) + _OUTER_REST + blake2s(inner).digest()
    extracted = blake2s(outer).digest()
    inner, outer = _padded(extracted)
    first = blake2s(outer + blake2s(inner + b"\x01").digest()).digest()
    return first, blake2s(outer + blake2s(inner + first + b"\x02").digest()).digest()


def _padded(key: bytes) -> tuple[bytes, bytes]:
    return key.translate(_INNER) + _INNER_REST, key.translate(_OUTER) + _OUTER_REST
