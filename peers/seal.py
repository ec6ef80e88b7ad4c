"""A preshared key, sealed to one gateway for one peer: only that gateway's private key opens it.

Knows nothing of who carries or keeps the sealed form.

    sealed   ephemeral public key (32 bytes) | ciphertext (32) | tag (16)
    secret   X25519(ephemeral, gateway)                                    RFC 7748
    key      HKDF-SHA256(secret, no salt, LABEL | ephemeral | gateway)     RFC 5869
    cipher   ChaCha20-Poly1305, nonce 0, the peer's public key as AAD      RFC 8439

The nonce may be 0 because a key is used once: each seal has an ephemeral key of its own. The key
depends on the gateway's public key, so that a seal cannot be turned to another gateway.
"""

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from peers.errors import InvalidKey, InvalidSeal
from peers.keys import PresharedKey, PrivateKey, PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

__all__ = ["SEALED_BYTES", "SealedKey", "seal", "unseal"]

SEALED_BYTES = 80

_KEY_BYTES = 32
_LABEL = b"wgctl preshared key v1"
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A sealed preshared key: 80 raw bytes, no secret to anybody but its gateway."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != SEALED_BYTES:
            raise InvalidSeal(f"a seal of {len(self.raw)} bytes, expected {SEALED_BYTES}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 108 characters of canonical base64; raises InvalidSeal on anything else."""
        try:
            raw = base64.b64decode(text, validate=True)
        except ValueError:
            raise InvalidSeal("a seal that is not base64, expected 108 characters of it") from None
        if base64.b64encode(raw).decode() != text:
            raise InvalidSeal("a seal in another spelling, expected canonical base64")
        return cls(raw)

    def __str__(self) -> str:
        return base64.b64encode(self.raw).decode("ascii")


def seal(
    key: PresharedKey, *, gateway: PublicKey, peer: PublicKey, ephemeral: PrivateKey
) -> SealedKey:
    """Seal `key` to `gateway` for `peer`.

    `ephemeral` must be made for this one seal and be forgotten after it.
    """
    public = ephemeral.public()
    cipher = _cipher(_exchanged(ephemeral, gateway), ephemeral=public, gateway=gateway)
    return SealedKey(public.raw + cipher.encrypt(_NONCE, key.raw, peer.raw))


def unseal(sealed: SealedKey, *, gateway: PrivateKey, peer: PublicKey) -> PresharedKey:
    """Return the key that was sealed to `gateway` for `peer`.

    Raises InvalidSeal when it was sealed to another gateway, for another peer, or is damaged: which
    of these cannot be told.
    """
    try:
        public = PublicKey.from_bytes(sealed.raw[:_KEY_BYTES])
        cipher = _cipher(_exchanged(gateway, public), ephemeral=public, gateway=gateway.public())
        return PresharedKey.from_bytes(cipher.decrypt(_NONCE, sealed.raw[_KEY_BYTES:], peer.raw))
    except (InvalidKey, InvalidTag) as error:
        raise InvalidSeal(
            "not sealed to this gateway for this peer, or damaged: wgctl peer rekey --psk mends it"
        ) from error


def _exchanged(ours: PrivateKey, theirs: PublicKey) -> bytes:
    private = X25519PrivateKey.from_private_bytes(ours.raw)
    return private.exchange(X25519PublicKey.from_public_bytes(theirs.raw))


def _cipher(secret: bytes, *, ephemeral: PublicKey, gateway: PublicKey) -> "ChaCha20Poly1305":
    # Most commands know what a seal is and make none: this saves them 6 ms.
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = _LABEL + ephemeral.raw + gateway.raw
    derived = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(secret)
    return ChaCha20Poly1305(derived)
