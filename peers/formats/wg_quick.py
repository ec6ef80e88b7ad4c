"""A peer's tunnel as a wg-quick config: addresses, routes, and how its names are resolved.

Leaves the syntax to `peers.config`.
"""

import peers.config
from peers.config import Config, Interface, PeerSection
from peers.formats.tunnel import Dns, Tunnel

__all__ = ["render", "tunnel_config"]


def tunnel_config(tunnel: Tunnel, *, dns: Dns, hooks: bool = True) -> Config:
    """Return the config of `tunnel`; without `hooks`, which phones refuse, SPLIT is as NONE.

    Raises InvalidAddress unless the tunnel's prefix is a /48.
    """
    resolver = str(tunnel.resolver)
    split = dns is Dns.SPLIT and hooks
    return Config(
        Interface(
            private_key=tunnel.private_key,
            addresses=(tunnel.interface_address,),
            dns=(resolver,) if dns is Dns.FULL else (),
            mtu_bytes=tunnel.mtu_bytes,
            post_up=(_split_hook(resolver, tunnel.domains(dns)),) if split else (),
        ),
        (
            PeerSection(
                public_key=tunnel.gateway_key,
                allowed_ips=(tunnel.prefix,),
                endpoint=tunnel.endpoint,
                persistent_keepalive_s=tunnel.keepalive_s or None,
                preshared_key=tunnel.preshared_key,
            ),
        ),
    )


def render(tunnel: Tunnel, *, dns: Dns, hooks: bool = True) -> str:
    """Return the text of the config of `tunnel`, its keys in clear.

    Raises InvalidAddress as `tunnel_config` does.
    """
    return peers.config.render(tunnel_config(tunnel, dns=dns, hooks=hooks))


def _split_hook(resolver: str, domains: tuple[str, ...]) -> str:
    """Return the command that sends the network's names, and no others, to its resolver.

    The domains come first: a link that had a server and no domains would be asked for every name.
    wg-quick takes the tunnel down when a hook fails, so this one cannot: `|| true` also covers a
    machine without resolvectl or without resolved. It has no comma, at which readers built on
    wgconfig would split it.
    """
    routed = " ".join(f"'~{domain}'" for domain in domains)
    return f"resolvectl domain %i {routed} && resolvectl dns %i {resolver} || true"
