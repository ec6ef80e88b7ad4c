"""The lines of a wg-quick file: its sections, which keys each has, and the form of every value.

Leaves what the values mean, and what is wrong between sections, to `peers.config`.
"""

import re
from dataclasses import dataclass

from peers.errors import InvalidConfig

__all__ = ["HOOKS", "INTERFACE", "MAX_CHARACTERS", "PEER", "Document", "Line", "Section", "scan"]

# A config of 10,000 peers with two addresses each; far more than wg-quick could bring up.
MAX_CHARACTERS = 2**20

INTERFACE = "Interface"
PEER = "Peer"
HOOKS = ("PreUp", "PostUp", "PreDown", "PostDown")

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Form:
    """How a key's value must look; `repeats` allows several lines, `private` never shows it."""

    pattern: re.Pattern[str]
    expected: str
    repeats: bool = False
    private: bool = False


def _list_of(item: str) -> re.Pattern[str]:
    return re.compile(rf"{item}([ \t]*,[ \t]*{item})*|")


def _either_case(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


_NUMBER = _Form(re.compile(r"[0-9]{1,5}"), "a number")
_KEY = _Form(re.compile(r"[A-Za-z0-9+/]{43}="), "44 characters of base64", private=True)
_PREFIXES = _Form(
    _list_of(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?"), "addresses with lengths, with commas", repeats=True
)
_HOOK = _Form(re.compile(r".+"), "a command", repeats=True, private=True)

_FORMS = {
    INTERFACE: {
        "PrivateKey": _KEY,
        "Address": _PREFIXES,
        "ListenPort": _NUMBER,
        "FwMark": _Form(_either_case(r"off|[0-9]{1,10}|0x[0-9a-f]{1,8}"), "a number, 0x1f or off"),
        "DNS": _Form(
            _list_of(r"~?[0-9A-Za-z:._-]+"), "addresses or domains, with commas", repeats=True
        ),
        "MTU": _NUMBER,
        "Table": _Form(re.compile(r"[0-9A-Za-z_.-]{1,64}"), "a number, a name, auto or off"),
        "SaveConfig": _Form(_either_case(r"true|false"), "true or false"),
        **dict.fromkeys(HOOKS, _HOOK),
    },
    PEER: {
        "PublicKey": _KEY,
        "PresharedKey": _KEY,
        "AllowedIPs": _PREFIXES,
        "Endpoint": _Form(re.compile(r"[!-+\--~]+"), "host:port"),
        "PersistentKeepalive": _Form(_either_case(r"off|[0-9]{1,5}"), "seconds or off"),
    },
}
_REQUIRED = {INTERFACE: "PrivateKey", PEER: "PublicKey"}

_FORM_OF = {key: form for forms in _FORMS.values() for key, form in forms.items()}

# wg and wg-quick read sections and keys in any letter case.
_SECTIONS = {f"[{name}]".lower(): name for name in _FORMS}
_KEYS = {section: {key.lower(): key for key in forms} for section, forms in _FORMS.items()}

_WORD = re.compile(r"[A-Za-z]{1,32}")
_KEY_INSIDE = re.compile(r"[A-Za-z0-9+/]{43}")
_HIDDEN = "..."
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Line:
    """One `key = value`: its number from 1, the key in its usual case, and no comment."""

    number: int
    key: str
    value: str

    def complaint(self, reason: str) -> InvalidConfig:
        """Return the error that says what is wrong with the value, shown unless private."""
        hidden = _FORM_OF[self.key].private or _KEY_INSIDE.search(self.value)
        marked = _HIDDEN if hidden else _escaped(self.value)
        return _complaint(self.number, f"{self.key}: {reason}", f"{self.key} = ", marked)

    def unreadable(self, error: ValueError) -> InvalidConfig:
        """Return `error` with its place, but not its words where they may quote a private key."""
        form = _FORM_OF[self.key]
        quoted = not form.private and _KEY_INSIDE.search(self.value)
        return self.complaint(f"expected {form.expected}" if quoted else str(error))


@dataclass(frozen=True, slots=True)
class Section:
    """A section, INTERFACE or PEER, the number of its header line, and its lines in order."""

    name: str
    number: int
    lines: tuple[Line, ...]

    def complaint(self, reason: str) -> InvalidConfig:
        """Return the error that says what is wrong with the section as a whole."""
        return _complaint(self.number, reason, "", f"[{self.name}]")


@dataclass(frozen=True, slots=True)
class Document:
    """A file: the comment lines before its first section, without their `#`, and its sections."""

    comment: tuple[str, ...]
    sections: tuple[Section, ...]


def scan(text: str) -> Document:
    """Split a file into sections of lines whose keys are known and whose values have their form.

    A byte order mark and CRLF line ends are taken away; comments after the first section are
    dropped. Sections and keys are read in any letter case, as wg does. Raises InvalidConfig with
    the number of the line on an unknown section or key, a key twice where once is the rule, a
    missing key, a character that is not printable, and more than MAX_CHARACTERS.
    """
    comment: list[str] = []
    headers: list[tuple[str, int]] = []
    bodies: list[list[Line]] = []
    for number, raw in enumerate(_printable_lines(text), start=1):
        content, mark, remark = raw.partition("#")
        content = content.strip(" \t")
        if content.startswith("["):
            headers.append((_section_name(number, content), number))
            bodies.append([])
        elif content and headers:
            bodies[-1].append(_line(number, content, section=headers[-1][0]))
        elif content:
            raise _complaint(number, "expected [Interface] or [Peer] before the first key")
        elif mark and not headers:
            comment.append(remark.strip(" \t"))
    sections = (
        Section(name, number, tuple(lines))
        for (name, number), lines in zip(headers, bodies, strict=True)
    )
    return Document(tuple(comment), tuple(_checked(section) for section in sections))


def _printable_lines(text: str) -> list[str]:
    if len(text) > MAX_CHARACTERS:
        raise InvalidConfig(f"{len(text)} characters, expected at most {MAX_CHARACTERS}")
    lines = text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.replace("\t", " ").isprintable():
            raise InvalidConfig(f"line {number}, {_unprintable(line)}, expected printable text")
    return lines


def _unprintable(line: str) -> str:
    column, character = next(
        (column, character)
        for column, character in enumerate(line, start=1)
        if not character.isprintable() and character != "\t"
    )
    return f"column {column}: character U+{ord(character):04X}"


def _section_name(number: int, content: str) -> str:
    name = _SECTIONS.get(content.lower())
    if name is None:
        marked = _HIDDEN if _KEY_INSIDE.search(content) else _escaped(content)
        raise _complaint(number, "unknown section, expected [Interface] or [Peer]", "", marked)
    return name


def _line(number: int, content: str, *, section: str) -> Line:
    word, separator, value = content.partition("=")
    word, value = word.rstrip(" \t"), value.lstrip(" \t")
    if not separator:
        raise _complaint(number, "no '=', expected 'key = value'")
    key = _KEYS[section].get(word.lower())
    if key is None:
        # A key that is no word may be a secret that lost its line's beginning.
        marked = word if _WORD.fullmatch(word) else _HIDDEN
        known = ", ".join(_FORMS[section])
        raise _complaint(number, f"unknown key in [{section}], expected {known}", "", marked)
    line = Line(number, key, value)
    if not _FORM_OF[key].pattern.fullmatch(value):
        raise line.complaint(f"expected {_FORM_OF[key].expected}")
    return line


def _checked(section: Section) -> Section:
    seen: dict[str, int] = {}
    for line in section.lines:
        if line.key in seen and not _FORM_OF[line.key].repeats:
            raise line.complaint(f"given on line {seen[line.key]} already, expected once")
        seen[line.key] = line.number
    if _REQUIRED[section.name] not in seen:
        raise section.complaint(f"no {_REQUIRED[section.name]}, expected one")
    return section


def _escaped(text: str) -> str:
    return ascii(text[:_SHOWN_CHARACTERS])[1:-1]


def _complaint(number: int, reason: str, before: str = "", marked: str = "") -> InvalidConfig:
    """Return an error that shows the part in question with carets under it, as compilers do."""
    if not marked:
        return InvalidConfig(f"line {number}: {reason}")
    carets = " " * len(before) + "^" * len(marked)
    return InvalidConfig(f"line {number}: {reason}\n    {before}{marked}\n    {carets}")
