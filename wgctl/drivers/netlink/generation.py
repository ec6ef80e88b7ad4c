"""Which state nftables' rules are in, by the number that the kernel counts up at each change.

Says nothing of what the rules are; that is asked for by `wgctl.drivers.nft`. The number is that of
the whole network namespace, and nft itself relies on it (NFT_MSG_GETGEN).
"""

import socket
import struct

from wgctl.drivers.netlink import exchange
from wgctl.drivers.netlink.attributes import unpack
from wgctl.drivers.netlink.messages import ACK, Message

__all__ = ["follows", "generation"]

# From linux/netlink.h, linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
_NETFILTER = 12
_GET_GENERATION = 10 << 8 | 16
_ID = 1
_HEADER = struct.Struct("!BBH")
_NUMBER = struct.Struct("!I")


def generation() -> int | None:
    """Return the number of the state, None where the kernel does not tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as opened:
            opened.connect((0, 0))
            (body,) = exchange.ask(opened, Message(_GET_GENERATION, ACK, 1, _HEADER.pack(0, 0, 0)))
        return int(_NUMBER.unpack(dict(unpack(body[_HEADER.size :]))[_ID])[0])
    except (OSError, ValueError, KeyError):
        return None


def follows(after: int | None, before: int | None) -> bool:
    """Whether there was one change between two states, and no other; 0 is left out."""
    if after is None or before is None:
        return False
    return after == ((before + 1) % (1 << 32) or 1)
