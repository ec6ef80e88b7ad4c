"""Bearer tokens as texts: made, read, and made narrower without asking anybody.

The one place that knows biscuits. A token is a biscuit whose first block holds a 256-bit secret;
its signing key is its own, and thrown away as soon as it is made, so that nobody can make another
under it: not from the store, which has the public key and a hash of the secret. Each further block
takes something away, is signed by a key that only the holder of the block before has, and cannot be
taken off. Which token that is, and whether it still counts, is `wgctl.services.entry`.

    wgctl_ BASE64URL(public key, biscuit) CHECKSUM
"""

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from datetime import UTC, datetime
from functools import reduce
from typing import Self

from biscuit_auth import (
    Biscuit,
    BiscuitBuilder,
    BiscuitSerializationError,
    BiscuitValidationError,
    BlockBuilder,
    KeyPair,
    PrivateKey,
    PublicKey,
)

from peers.names import parse_label
from wgctl.core.access import WHOLE, Narrowing
from wgctl.core.errors import Invalid
from wgctl.core.model import Proof

__all__ = ["MOST_CHARACTERS", "PREFIX", "SECRET_BYTES", "Bearer", "checksum", "judge"]

PREFIX = "wgctl_"
SECRET_BYTES = 32

MOST_CHARACTERS = 4_096
"""Room for 20 blocks; longer ones are refused before they are read."""

_MOST_BLOCKS = 20
_KEY_BYTES = 32
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_LENGTH = 6  # 62**6 is more than 2**32.

_SECRET = re.compile(r"secret\(hex:([0-9a-f]{64})\);\n")
_NETWORKS = re.compile(r"check if network\(\$network\), \[(.*)\]\.contains\(\$network\);")
_EXPIRES = re.compile(r"check if time\(\$time\), \$time < (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ);")
_READ_ONLY = 'check if verb("read");'


class Bearer:
    """A token as its holder has it. Its text is a secret: `repr` does not show it."""

    __slots__ = ("_biscuit", "public_key")

    def __init__(self, public_key: bytes, biscuit: bytes) -> None:
        """Hold a biscuit beside the public key that it was made under."""
        self.public_key = public_key
        self._biscuit = biscuit

    @classmethod
    def make(cls, *, seed: bytes, secret: bytes) -> tuple[Self, Proof]:
        """Return a new token and its proof; both 32 bytes must be random, and are not kept."""
        pair = KeyPair.from_private_key(PrivateKey(f"ed25519-private/{seed.hex()}"))
        biscuit = BiscuitBuilder("secret({secret});", {"secret": secret}).build(pair.private_key)
        public_key = bytes(pair.public_key.to_bytes())
        made = cls(public_key, bytes(biscuit.to_bytes()))
        return made, Proof(public_key, hashlib.sha256(secret).digest())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `render` wrote. Raises Invalid, which says nothing of what was found."""
        payload, given = text[len(PREFIX) : -_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
        if len(text) > MOST_CHARACTERS or not text.startswith(PREFIX) or not text.isascii():
            raise Invalid(f"no token of wgctl's, expected one that begins with {PREFIX}")
        if not hmac.compare_digest(given, checksum(payload)):
            raise Invalid("a token that is not whole: its checksum is not what it should be")
        try:
            raw = base64.b64decode(payload + "=" * (-len(payload) % 4), b"-_", validate=True)
        except binascii.Error as error:
            raise Invalid("a token that is not whole: it is no base64url") from error
        return cls(raw[:_KEY_BYTES], raw[_KEY_BYTES:])

    def render(self) -> str:
        """Return the text that is handed over."""
        raw = self.public_key + self._biscuit
        payload = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return f"{PREFIX}{payload}{checksum(payload)}"

    def narrowed(self, narrowing: Narrowing) -> Self:
        """Return a token that reaches less far, and that nobody can widen again.

        Raises Invalid when nothing is taken away, or this is no whole token.
        """
        if narrowing == WHOLE:
            raise Invalid("nothing is taken from the token, expected networks, a time or read-only")
        block = BlockBuilder(_render(narrowing))
        return type(self)(self.public_key, bytes(self._opened().append(block).to_bytes()))

    def blocks(self, public_key: bytes) -> list[str]:
        """Return the text of each block, of a biscuit that was made under `public_key`.

        Raises Invalid for any other, and for blocks that others have signed.
        """
        biscuit = self._opened(public_key)
        count = biscuit.block_count()
        if count > _MOST_BLOCKS or any(map(biscuit.block_external_key, range(count))):
            raise Invalid(f"{count} blocks, expected at most {_MOST_BLOCKS}, and none of others")
        return [str(biscuit.block_source(place)) for place in range(count)]

    def __repr__(self) -> str:
        """Show that it is one, and nothing else."""
        return "Bearer(…)"

    def _opened(self, public_key: bytes | None = None) -> Biscuit:
        try:
            key = PublicKey(f"ed25519/{(public_key or self.public_key).hex()}")
            return Biscuit.from_bytes(self._biscuit, key)
        except (BiscuitValidationError, BiscuitSerializationError, ValueError) as error:
            raise Invalid("a token that is not whole: its signatures do not hold") from error


def judge(bearer: Bearer, proof: Proof) -> Narrowing:
    """Return what was taken from the token that `proof` is of; raises Invalid for any other one.

    A block that says anything but what `narrowed` writes is refused, as what takes away one does
    not know what.
    """
    first, *further = bearer.blocks(proof.public_key)
    found = _SECRET.fullmatch(first)
    secret = b"" if found is None else bytes.fromhex(found[1])
    if not hmac.compare_digest(hashlib.sha256(secret).digest(), proof.secret_hash):
        raise Invalid("a token with another secret")
    return reduce(Narrowing.and_also, map(_parse, further), WHOLE)


def checksum(payload: str) -> str:
    """Return the six characters by which a scanner knows a token from a chance likeness."""
    number, digits = zlib.crc32(payload.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _render(narrowing: Narrowing) -> str:
    lines = []
    if narrowing.networks is not None:
        names = ", ".join(f'"{parse_label(name)}"' for name in sorted(narrowing.networks))
        lines.append(f"check if network($network), [{names}].contains($network);")
    if narrowing.expires_at is not None:
        moment = f"{datetime.fromtimestamp(narrowing.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        lines.append(f"check if time($time), $time < {moment};")
    if narrowing.read_only:
        lines.append(_READ_ONLY)
    return "".join(f"{line}\n" for line in lines)


def _parse(block: str) -> Narrowing:
    """Return the narrowing that is written as `block`, and no other way."""
    narrowing = WHOLE
    for line in block.splitlines():
        if found := _NETWORKS.fullmatch(line):
            names = frozenset(name.strip('"') for name in found[1].split(", ") if name)
            narrowing = narrowing.and_also(Narrowing(networks=names))
        elif found := _EXPIRES.fullmatch(line):
            moment = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            narrowing = narrowing.and_also(Narrowing(expires_at=int(moment.timestamp())))
        elif line == _READ_ONLY:
            narrowing = narrowing.and_also(Narrowing(read_only=True))
    if block == "" or _render(narrowing) != block:
        raise Invalid("a block that is none of wgctl's")
    return narrowing
