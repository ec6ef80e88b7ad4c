"""Sections of `key=value` lines, as systemd and NetworkManager write and read them.

Knows nothing of what the keys mean. Values must be free of line ends, which those of `peers` are.
"""

from collections.abc import Iterable, Iterator, Mapping

from peers.errors import InvalidConfig

__all__ = ["Section", "parsed", "written"]

# As for a wg-quick file: a config of 10,000 peers.
_MAX_CHARACTERS = 2**20

Section = tuple[str, Iterable[tuple[str, object]]]
"""A section's name, and its keys with their values; a key whose value is None is left out."""


def written(sections: Iterable[Section]) -> str:
    """Return the text of `sections`, with an empty line between two."""
    return "\n".join("".join(_lines(*section)) for section in sections)


def parsed(text: str) -> list[tuple[str, Mapping[str, str]]]:
    """Return the sections of `text` in order, each with its keys; of a key given twice the last.

    Names keep their case; comments begin with `#` or `;`. Raises InvalidConfig with the number of
    the line, and never its text, which may be a key.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidConfig(f"{len(text)} characters, expected at most {_MAX_CHARACTERS}")
    sections: list[tuple[str, dict[str, str]]] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.strip()
        key, separator, value = line.partition("=")
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            sections.append((line[1:-1], {}))
        elif separator and sections:
            sections[-1][1][key.rstrip()] = value.lstrip()
        else:
            raise InvalidConfig(f"line {number}: expected [section] or, under one, key=value")
    return [*sections]


def _lines(name: str, values: Iterable[tuple[str, object]]) -> Iterator[str]:
    yield f"[{name}]\n"
    yield from (f"{key}={value}\n" for key, value in values if value is not None)
