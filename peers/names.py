"""Which texts may be names: DNS labels of ours, network interfaces, words of metadata.

Knows nothing of which names are taken, nor of what they name.
"""

import re
import zlib
from typing import NewType

from peers.errors import InvalidName, shown

__all__ = [
    "RESERVED",
    "Label",
    "interface_of",
    "parse_interface",
    "parse_label",
    "parse_metadata_key",
    "parse_metadata_value",
    "parse_port_name",
]

Label = NewType("Label", str)

# Words that stand where an app, region or machine could stand in a name under `.internal`, so that
# no name ever has two readings, and words that resolvers and clients treat by rules of their own.
RESERVED = frozenset(
    {
        *("internal", "flycast"),  # the zones themselves
        *("global", "regions", "vms", "all"),  # <word>.<app>.internal
        *("vm", "process", "of", "nearest", "kv", "top"),  # what stands below them
        "ns",  # the zone's own name server
        *("local", "localhost", "invalid", "onion", "arpa"),  # RFC 6761, 6762, 7686, 3172
        *("wpad", "isatap"),  # clients take their proxy or router from whoever holds these names
    }
)

_MAX_LABEL = 63  # RFC 1035, section 2.3.4
_MAX_PORT_NAME = 15  # RFC 6335, section 5.1
_TOP_NUMBER = re.compile(r"top[0-9]+")
_ALPHABET = re.compile(r"[a-z0-9-]+")

# The kernel takes 15 bytes of nearly anything (IFNAMSIZ); nftables and wg-quick take less.
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
# `all` and `default` are folders beside the interfaces under /proc/sys/net.
_INTERFACES_RESERVED = frozenset({"lo", "all", "default"})


def parse_label(text: str, *, what: str = "name") -> Label:
    """Read a name that can be a label under `.internal`; `what` is its kind, for the message.

    1 to 63 characters of a-z, 0-9 and -, a letter or digit at both ends, no `--` as third and
    fourth character, and not a word of RESERVED nor `top` with a number. Raises InvalidName.
    """
    label = _label(text, what)
    if label in RESERVED or _TOP_NUMBER.fullmatch(label):
        raise InvalidName(f"{what} {shown(text)} is reserved, expected another word")
    return label


def parse_metadata_key(text: str) -> Label:
    """Read the key of a machine's metadata: a label as in `parse_label` that may hold `_` inside.

    Reserved words may be keys and values: both only ever stand before `kv._metadata`, where
    nothing can be mistaken for them. Raises InvalidName.
    """
    return _label(text, "metadata key", joints="-_")


def parse_metadata_value(text: str) -> Label:
    """Read the value of a machine's metadata, by the same rule as its key.

    Raises InvalidName.
    """
    return _label(text, "metadata value", joints="-_")


def parse_port_name(text: str) -> Label:
    """Read the name of a machine's port: a label as in `parse_label`, of 15 characters at most.

    It stands as `_name` in the name of its service. Raises InvalidName.
    """
    label = parse_label(text, what="port")
    if len(label) > _MAX_PORT_NAME:
        raise InvalidName(
            f"port {shown(text)}: {len(label)} characters, expected 1 to {_MAX_PORT_NAME}"
        )
    return label


def parse_interface(text: str) -> str:
    """Read the name of a network interface that Linux, nftables and wg-quick all take.

    1 to 15 characters of letters, digits, `_`, `.` and `-`, a letter first; case is kept.
    Raises InvalidName, also for `lo`, `all` and `default`.
    """
    if not _INTERFACE.fullmatch(text):
        raise InvalidName(
            f"interface {shown(text)}: expected 1 to 15 characters of letters, digits, "
            "'_', '.' and '-', a letter first"
        )
    if text in _INTERFACES_RESERVED:
        raise InvalidName(f"interface {shown(text)} is the system's own, expected another name")
    return text


def interface_of(label: Label) -> str:
    """Return `label` as the name of an interface: itself, or what is cut from it with a checksum.

    The same label gives the same name, and `parse_interface` takes it.
    """
    try:
        return parse_interface(label)
    except InvalidName:
        return f"wg-{label[:7]}-{zlib.crc32(label.encode()) & 0xFFFF:04x}"


def _label(text: str, what: str, *, joints: str = "-") -> Label:
    flaw = _flaw(text, joints)
    if flaw:
        raise InvalidName(f"{what} {shown(text)}: {flaw}")
    return Label(text)


def _flaw(text: str, joints: str) -> str | None:
    """Say what is wrong with `text`; `joints` are the characters that stand only inside."""
    if not 1 <= len(text) <= _MAX_LABEL:
        return f"{len(text)} characters, expected 1 to {_MAX_LABEL}"
    plain = text.translate(dict.fromkeys(map(ord, joints), "-"))
    if text.isascii() and _ALPHABET.fullmatch(plain.lower()) and text != text.lower():
        return f"upper-case letters, expected lower-case: {shown(text.lower())}"
    allowed = " and ".join(repr(joint) for joint in joints)
    if not _ALPHABET.fullmatch(plain):
        return f"expected only a-z, 0-9 and {allowed}"
    if plain.startswith("-") or plain.endswith("-"):
        return f"expected a letter or digit at both ends, not {allowed}"
    if text[2:4] == "--":
        # RFC 5891, section 4.2.3.1: such labels are kept for encodings like xn--.
        return "'--' as third and fourth character is kept for encoded names, expected another"
    return None
