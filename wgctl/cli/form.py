"""A peer's tunnel as the documents of one format, without the private key where another keeps it.

Leaves the formats themselves to `peers.formats`, and where documents go to `wgctl.cli.handout`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from wgctl.cli.identity import Identity

if TYPE_CHECKING:
    from peers.formats.tunnel import Dns, Tunnel
    from peers.keys import PrivateKey, PublicKey
    from wgctl.core import schema

__all__ = ["DNS_CHOICES", "FORMATS", "Document", "Form"]

DNS_CHOICES = ("split", "full", "none")
"""The values of `peers.formats.tunnel.Dns`, which loads too much for a help text."""

FORMATS: Mapping[str, tuple[str, ...]] = {
    "wg-quick": (".conf",),
    "networkd": (".netdev", ".network"),
    "networkmanager": (".nmconnection",),
    "json": (".json",),
}
"""How the names of a format's files end."""


class Document(NamedTuple):
    """A text that is to be a file, and how the name of such a file ends."""

    suffix: str
    text: str


class Form(NamedTuple):
    """How a tunnel is to be written down; `hooks` are commands that wg-quick runs."""

    format: str
    interface: str
    dns: str
    hooks: bool = True

    def documents(self, facts: "schema.Tunnel", identity: Identity) -> tuple[Document, ...]:
        """Return the documents of the tunnel; those with a key hold it in clear."""
        from peers.formats.tunnel import Dns, Tunnel
        from peers.keys import PrivateKey

        # Without a private key a fresh one holds its line's place, and is gone with this call.
        private_key = identity.private_key or PrivateKey.generate()
        tunnel = Tunnel(
            private_key=private_key,
            address=facts.address,
            prefix=facts.prefix,
            gateway_key=facts.gateway_key,
            endpoint=facts.endpoint,
            mtu_bytes=facts.mtu_bytes,
            preshared_key=identity.preshared_key,
        )
        texts = self._texts(tunnel, Dns(self.dns))
        if identity.private_key is None:
            texts = tuple(_without(text, private_key, identity.public_key) for text in texts)
        return tuple(map(Document, FORMATS[self.format], texts))

    def _texts(self, tunnel: "Tunnel", dns: "Dns") -> tuple[str, ...]:
        match self.format:
            case "networkd":
                from peers.formats import networkd

                return networkd.render(tunnel, interface=self.interface, dns=dns)
            case "networkmanager":
                from peers.formats import networkmanager

                return (networkmanager.render(tunnel, interface=self.interface, dns=dns),)
            case "json":
                from peers.formats import json

                return (json.render(tunnel, interface=self.interface, dns=dns),)
            case _:
                from peers.formats import wg_quick

                return (wg_quick.render(tunnel, dns=dns, hooks=self.hooks),)


def _without(text: str, held: "PrivateKey", public_key: "PublicKey") -> str:
    """Say whose the private key is where `text` has `held`: in a comment, or as JSON's null."""
    there = f"(the one whose public key is {public_key})"
    lines = text.splitlines(keepends=True)
    for place, line in enumerate(lines):
        if f'"{held.text()}"' in line:
            lines[place] = line.replace(f'"{held.text()}"', "null")
        elif held.text() in line:
            lines[place] = "# " + line.replace(held.text(), there)
    return "".join(lines).replace(held.public().text(), public_key.text())
