"""Lists of what networks hold, in parts: network after network, no further than a part goes."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from wgctl.core.model import Network

__all__ = ["START", "through"]

START = ("", "")
"""What a list from its beginning comes after: the names of a network and of what is in it."""

_Found = TypeVar("_Found")


def through(
    networks: Iterable[Network],
    find: Callable[[Network, str, int], Sequence[_Found]],
    *,
    after: tuple[str, str],
    limit: int,
) -> list[tuple[Network, _Found]]:
    """Return up to `limit` of what `networks`, sorted by name, hold past the names `after`.

    `find` returns up to so many things of a network by name, past a name.
    """
    found: list[tuple[Network, _Found]] = []
    for network in networks:
        if network.name < after[0]:
            continue
        start = after[1] if network.name == after[0] else ""
        found += [(network, one) for one in find(network, start, limit - len(found))]
        if len(found) >= limit:
            break
    return found
