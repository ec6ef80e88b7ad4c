"""Handshake initiations as a client makes them, for the tests of what reads them.

Follows the whitepaper's section 5.4.2 line by line, with Python's own hmac: it shares no code with
`peers.noise`.
"""

import hmac
from hashlib import blake2s

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from peers.keys import PrivateKey, PublicKey

__all__ = ["initiation", "signed"]


def initiation(
    client: PrivateKey,
    gateway: PublicKey,
    *,
    ephemeral: PrivateKey,
    timestamp: bytes,
    claimed: PublicKey | None = None,
) -> bytes:
    """Return an initiation of `client`, or of one that says it is `claimed`.

    `timestamp` is any 12 bytes.
    """
    chaining = _hash(b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    transcript = _hash(_hash(chaining + b"WireGuard v1 zx2c4 Jason@zx2c4.com") + gateway.raw)
    unencrypted = ephemeral.public().raw
    transcript = _hash(transcript + unencrypted)
    chaining = _kdf(chaining, unencrypted)[0]
    chaining, key = _kdf(chaining, _dh(ephemeral, gateway))
    static = _sealed(key, (claimed or client.public()).raw, transcript)
    transcript = _hash(transcript + static)
    chaining, key = _kdf(chaining, _dh(client, gateway))
    body = unencrypted + static + _sealed(key, timestamp, transcript)
    return signed(bytes((1, 0, 0, 0)) + b"\x07\x00\x00\x00" + body, gateway)


def signed(message: bytes, gateway: PublicKey) -> bytes:
    """Return the 116 bytes of an initiation with their mac1, and no mac2."""
    key = _hash(b"mac1----" + gateway.raw)
    return message + blake2s(message, key=key, digest_size=16).digest() + bytes(16)


def _hash(data: bytes) -> bytes:
    return blake2s(data).digest()


def _kdf(key: bytes, data: bytes) -> tuple[bytes, bytes]:
    extracted = hmac.digest(key, data, "blake2s")
    first = hmac.digest(extracted, b"\x01", "blake2s")
    return first, hmac.digest(extracted, first + b"\x02", "blake2s")


def _dh(private: PrivateKey, public: PublicKey) -> bytes:
    ours = X25519PrivateKey.from_private_bytes(private.raw)
    return ours.exchange(X25519PublicKey.from_public_bytes(public.raw))


def _sealed(key: bytes, plain: bytes, transcript: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(12), plain, transcript)
