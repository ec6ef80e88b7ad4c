"""Whose keys a peer has: a pair made here, its own public key, or those of a config that is there.

Sends nothing and writes nothing: a private key goes from here into a document, or nowhere.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wgctl.core.errors import Denied, Invalid

if TYPE_CHECKING:
    from peers.formats.existing import Existing
    from peers.keys import PresharedKey, PrivateKey, PublicKey
    from wgctl.core import schema

__all__ = ["Identity", "existing_config", "identity", "identity_of"]

_MAX_BYTES = 2**20


class Identity(NamedTuple):
    """A peer's keys, and what to tell about them.

    `private_key` None: it stays with whoever has it, and is left out of documents.
    `preshared_key` None: the tunnel has none.
    """

    public_key: "PublicKey"
    private_key: "PrivateKey | None"
    remark: str
    preshared_key: "PresharedKey | None" = None

    def sealed_to(self, gateway_key: "PublicKey") -> "schema.SealedTo":
        """Return the preshared key, which must be there, as that gateway alone can open it."""
        from peers.keys import PrivateKey
        from peers.seal import seal
        from wgctl.core import schema

        if self.preshared_key is None:
            raise TypeError("no preshared key to seal")
        sealed = seal(
            self.preshared_key,
            gateway=gateway_key,
            peer=self.public_key,
            ephemeral=PrivateKey.generate(),
        )
        return schema.SealedTo(gateway_key=gateway_key, sealed=sealed)


def identity(public_key: str | None, *, psk: bool) -> Identity:
    """Return the keys of a new peer: the given public one or a new pair, and a preshared one.

    Raises Invalid for what is no public key.
    """
    from peers.errors import InvalidKey
    from peers.keys import PresharedKey, PrivateKey, PublicKey

    preshared = PresharedKey.generate() if psk else None
    if public_key is None:
        made = PrivateKey.generate()
        remark = "its private key is kept nowhere else, and is not shown again"
        return Identity(made.public(), made, remark, preshared)
    try:
        own = PublicKey.parse(public_key)
    except InvalidKey as error:
        raise InvalidKey(f"--public-key: {error}") from error
    return Identity(own, None, "the private key is left out: put yours in its place", preshared)


def identity_of(existing: "Existing", file: Path, *, moves: bool, psk: bool) -> Identity:
    """Return the keys of a config that is there; the private one only where it `moves` on."""
    from peers.keys import PresharedKey

    key = existing.private_key
    preshared = PresharedKey.generate() if psk else None
    if moves:
        remark = f"it has the private key of {file}: use one of the two, never both"
        return Identity(key.public(), key, remark, preshared)
    remark = f"put this in the place of what {file} says; its private key stays as it is"
    return Identity(key.public(), None, remark, preshared)


def existing_config(file: Path) -> "Existing":
    """Read a config that was made elsewhere.

    Raises Invalid, with the file's name, for one that is not there or no config, and Denied.
    """
    from peers.formats import existing

    try:
        return existing.parse(_text(file), suffix=file.suffix)
    except Invalid as error:
        raise Invalid(f"{file}: {error}") from error


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except PermissionError as error:
        raise Denied(f"no permission to read {file}") from error
    except OSError as error:
        raise Invalid(f"{error.strerror}, expected a config") from error
    if len(content) > _MAX_BYTES:
        raise Invalid(f"more than {_MAX_BYTES} bytes, expected a config")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Invalid("not UTF-8, expected a config") from error
