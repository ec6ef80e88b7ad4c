"""A peer's tunnel as it is handed over: a config or a QR code, on stdout or in a file.

Leaves the forms themselves to `peers.formats`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from peers.errors import InvalidKey, InvalidName
from peers.names import parse_interface
from wgctl.cli.files import NewFile, new_file
from wgctl.cli.output import note
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from peers.keys import PrivateKey, PublicKey
    from wgctl.core.schema import Tunnel

__all__ = ["DNS_CHOICES", "Handout", "Identity", "identity", "wanted"]

DNS_CHOICES = ("split", "full", "none")
"""The values of `peers.formats.wg_quick.Dns`, which loads too much for a help text."""

_IMAGES = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class Identity:
    """A peer's keys; `private_key` None: somebody else keeps it."""

    public_key: "PublicKey"
    private_key: "PrivateKey | None"


@dataclass(frozen=True, slots=True)
class Handout:
    """What was asked for. `path` None: stdout."""

    path: Path | None
    dns: str
    qr: bool

    @property
    def needs_forwarding(self) -> bool:
        """Whether the peer will ask the network's resolver for every name."""
        return self.dns == "full"

    @contextmanager
    def opened(self) -> Iterator[NewFile | None]:
        """Take the file's name before anything else is done; None when there is no file."""
        if self.path is None:
            yield None
        else:
            with new_file(self.path) as file:
                yield file

    def config(self, tunnel: "Tunnel", identity: Identity) -> str:
        """Return the tunnel as the text of a wg-quick config."""
        from peers.formats import wg_quick
        from peers.keys import PrivateKey

        # Without a private key a fresh one holds its line's place, and is gone with this call.
        private_key = identity.private_key or PrivateKey.generate()
        text = wg_quick.render(
            wg_quick.Tunnel(
                private_key=private_key,
                address=tunnel.address,
                prefix=tunnel.prefix,
                gateway_key=tunnel.gateway_key,
                endpoint=tunnel.endpoint,
                mtu_bytes=tunnel.mtu_bytes,
            ),
            dns=wg_quick.Dns(self.dns),
            hooks=not self.qr,
        )
        if identity.private_key is not None:
            return text
        there = f"# PrivateKey = (the one whose public key is {identity.public_key})\n"
        return text.replace(f"PrivateKey = {private_key.text()}\n", there, 1)

    def deliver(self, config: str, file: NewFile | None) -> None:
        """Write the config or its code to the file, or to stdout."""
        content = self._code(config) if self.qr else config.encode()
        if file is None:
            click.echo(content, nl=False)
        else:
            file.finish(content)

    def tell(self, identity: Identity) -> None:
        """Say on stderr what the one who gets this has to know."""
        if identity.private_key is None:
            note("the config has no private key: put yours in the place of its first comment")
        else:
            note("its private key is kept nowhere else, and is not shown again")
        if self.qr and self.dns == "split":
            note("phones cannot ask for some names only: the code is without DNS (--dns full)")
        if self.path is not None and not self.qr:
            self._tell_of_name(self.path)

    def _tell_of_name(self, path: Path) -> None:
        try:
            parse_interface(path.stem)
        except InvalidName:
            note(f"wg-quick takes {path.stem!a} for no interface: rename it, 15 characters at most")

    def _code(self, config: str) -> bytes:
        from peers.formats import qr

        if self.path is None:
            return qr.terminal(config).encode()
        return qr.png(config) if self.path.suffix.lower() == ".png" else qr.svg(config)


def wanted(out: str | None, *, dns: str, qr: bool, as_json: bool, own_key: bool) -> Handout:
    """Return what the options ask for; raises Invalid when they do not go together."""
    if out == "":
        raise Invalid("-o has an empty name, expected a file, or - for stdout")
    path = None if out in {None, "-"} else Path(str(out))
    if qr and own_key:
        raise Invalid("--qr needs the private key, which --public-key leaves with its owner")
    if qr and path is None and as_json:
        raise Invalid("--qr and --json both write to stdout: expected -o FILE.png or FILE.svg")
    if qr and path is not None and path.suffix.lower() not in _IMAGES:
        raise Invalid(f"-o {str(path)!a} with --qr, expected a name that ends in .png or .svg")
    return Handout(path=path, dns=dns, qr=qr)


def identity(public_key: str | None) -> Identity:
    """Return the keys of a new peer: the given public one, or a new pair.

    Raises Invalid for what is no public key.
    """
    from peers.keys import PrivateKey, PublicKey

    if public_key is None:
        made = PrivateKey.generate()
        return Identity(made.public(), made)
    try:
        return Identity(PublicKey.parse(public_key), None)
    except InvalidKey as error:
        raise InvalidKey(f"--public-key: {error}") from error
