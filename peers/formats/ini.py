"""Sections of `key=value` lines, as systemd and NetworkManager write them.

Knows nothing of what the keys mean. Values must be free of line ends, which those of `peers` are.
"""

from collections.abc import Iterable, Iterator

__all__ = ["Section", "written"]

Section = tuple[str, Iterable[tuple[str, object]]]
"""A section's name, and its keys with their values; a key whose value is None is left out."""


def written(sections: Iterable[Section]) -> str:
    """Return the text of `sections`, with an empty line between two."""
    return "\n".join("".join(_lines(*section)) for section in sections)


def _lines(name: str, values: Iterable[tuple[str, object]]) -> Iterator[str]:
    yield f"[{name}]\n"
    yield from (f"{key}={value}\n" for key, value in values if value is not None)
