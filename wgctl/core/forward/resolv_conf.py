"""The upstreams that a host uses itself, out of its `resolv.conf`.

Takes the text; which file has it is for those who read files.
"""

from ipaddress import ip_address

from peers.errors import Invalid
from wgctl.core.forward.upstream import Upstream

__all__ = ["is_stub", "parse"]

_STUBS = frozenset({"127.0.0.53", "127.0.0.54"})
"""Where systemd-resolved listens: it would ask us what we ask it, once a tunnel is up here."""


def is_stub(text: str) -> bool:
    """Whether only systemd-resolved's stub is named: what that asks is in a file of its own."""
    named = _nameservers(text)
    return bool(named) and _STUBS.issuperset(named)


def parse(text: str) -> tuple[Upstream, ...]:
    """Return the name servers in their order, without stubs and what only one link can reach."""
    found: list[Upstream] = []
    for name in _nameservers(text):
        try:
            upstream = Upstream.parse(str(ip_address(name)))
        except (ValueError, Invalid):
            continue
        if name not in _STUBS and upstream not in found:
            found.append(upstream)
    return tuple(found)


def _nameservers(text: str) -> list[str]:
    lines = (line.split() for line in text.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
