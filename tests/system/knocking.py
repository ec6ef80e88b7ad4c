"""A bounded flood of handshake initiations from keys that nobody registered.

    python -m tests.system.knocking GATEWAY_KEY HOST PORT RATE SECONDS

Sends RATE of them a second, each with a right mac1 and from a source address of its own out of
198.19.0.0/16, which must be local here; prints how many were sent.
"""

import os
import socket
import sys
import time
from itertools import cycle

from peers.keys import PrivateKey, PublicKey
from tests.peers.initiating import initiation, signed

__all__ = ["SOURCES"]

SOURCES = "198.19.0.0/16"

_KEYS = 300
_SOCKETS = 1_000
_BATCH_S = 0.01


def _flood(gateway: PublicKey, host: str, port: int, *, rate: int, seconds: float) -> int:
    made = [
        initiation(
            PrivateKey.generate(), gateway, ephemeral=PrivateKey.generate(), timestamp=bytes(12)
        )[:116]
        for _ in range(_KEYS)
    ]
    sockets = cycle(
        [_bound(f"198.19.{number // 250}.{number % 250 + 1}") for number in range(_SOCKETS)]
    )
    messages = cycle(made)
    sent, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        while sent < rate * passed:
            message = next(messages)
            fresh = signed(message[:4] + os.urandom(4) + message[8:], gateway)
            next(sockets).sendto(fresh, (host, port))
            sent += 1
        time.sleep(_BATCH_S)
    return sent


def _bound(address: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, 0))
    return opened


if __name__ == "__main__":
    key, to, at, rate, seconds = sys.argv[1:]
    sent = _flood(PublicKey.parse(key), to, int(at), rate=int(rate), seconds=float(seconds))
    sys.stdout.write(f"{sent}\n")
