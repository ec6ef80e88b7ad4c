"""A peer's tunnel as one JSON document, for programs that write configs of their own.

Its fields are named as in the API; nothing of it is left to be worked out.
"""

import json

from peers.formats.tunnel import Dns, Tunnel

__all__ = ["render"]


def render(tunnel: Tunnel, *, interface: str, dns: Dns) -> str:
    """Return the document of `tunnel`, its keys in clear, with a line end.

    `dns.domains` go to `dns.servers`, `.` for all names; both are empty with NONE.
    Raises InvalidAddress unless the prefix is a /48.
    """
    document = {
        "interface": interface,
        "private_key": tunnel.private_key.text(),
        "public_key": tunnel.private_key.public().text(),
        "preshared_key": tunnel.preshared_key.text() if tunnel.preshared_key else None,
        "address": str(tunnel.address),
        "prefix": str(tunnel.prefix),
        "resolver": str(tunnel.resolver),
        "gateway_key": tunnel.gateway_key.text(),
        "endpoint": str(tunnel.endpoint),
        "mtu_bytes": tunnel.mtu_bytes,
        "keepalive_s": tunnel.keepalive_s,
        "dns": {
            "servers": [] if dns is Dns.NONE else [str(tunnel.resolver)],
            "domains": list(tunnel.domains(dns)),
        },
    }
    return json.dumps(document, indent=2) + "\n"
