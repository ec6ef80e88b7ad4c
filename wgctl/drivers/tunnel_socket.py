"""Sockets that hear the tunnel, this host's own packets to the tunnel's addresses, no other device.

A socket is bound to the device that has the name when it is opened: whoever holds one watches
`interface_index` and opens it anew when the device was replaced.
"""

import socket

__all__ = ["interface_index", "listen_on"]

_BACKLOG = 128
_IPV6_AUTOFLOWLABEL, _IPV6_FREEBIND = 70, 78  # linux/in6.h


def interface_index(interface: str) -> int | None:
    """Return the index of `interface`, or None while there is no such device."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def listen_on(interface: str, port: int, *, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking IPv6 socket on `[::]:port` that only hears `interface`.

    A stream socket listens; a datagram socket tells each packet's destination (IPV6_PKTINFO).
    Raises OSError when the device is gone or the port is taken there.
    """
    opened = socket.socket(socket.AF_INET6, kind)
    try:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if kind == socket.SOCK_DGRAM:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            # A reply leaves from the address that was asked, and the kernel need not look whether
            # that is ours; nor hash each of them for a label that no router on a tunnel reads.
            opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_AUTOFLOWLABEL, 0)
        opened.setblocking(False)
        opened.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened
