"""How many connections one address, one network and all together may keep open at a time.

Counts alone: who closes what is too many is the listener's business.
"""

from collections import Counter

__all__ = ["NETWORK_BYTES", "Crowd"]

NETWORK_BYTES = 6
"""How much of an address names its network."""

# A stub resolver or an API client keeps a connection or two; a network of a hundred of them
# still fits.
_PER_ASKER = 8
_PER_NETWORK = 64
_IN_ALL = 512


class Crowd:
    """The open connections of one listener: 8 of one address, 64 of one network, 512 in all.

    `per_asker` and `per_network` are others.
    """

    def __init__(self, *, per_asker: int = _PER_ASKER, per_network: int = _PER_NETWORK) -> None:
        """Begin with nobody there."""
        self._most = per_asker, per_network
        self._in_all = 0
        self._count: Counter[bytes] = Counter()

    def admit(self, asker: bytes | None) -> bool:
        """Count one more of `asker`, 16 octets; False, with nothing counted, if it is too many.

        None is nobody in particular, and counts in all alone.
        """
        keys = _keys(asker)
        if self._in_all >= _IN_ALL or any(
            self._count[key] >= most for key, most in zip(keys, self._most, strict=False)
        ):
            return False
        self._in_all += 1
        self._count.update(keys)
        return True

    def leave(self, asker: bytes | None) -> None:
        """Count one less of an `asker` that was admitted."""
        self._in_all -= 1
        for key in _keys(asker):
            self._count[key] -= 1
            if not self._count[key]:
                del self._count[key]


def _keys(asker: bytes | None) -> list[bytes]:
    return [] if asker is None else [asker, asker[:NETWORK_BYTES]]
