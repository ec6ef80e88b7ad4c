"""What a refusal of bad input is, and how text from outside may be shown in one.

Leaves to the caller what a refusal becomes: an exit code, an HTTP status.

    Invalid (a ValueError)
    ├── InvalidKey        not a WireGuard key
    ├── InvalidName       not a label, an interface name or a metadata word
    ├── InvalidAddress    outside of the pool, the prefix or the range of a number
    ├── InvalidEndpoint   not host:port
    ├── InvalidConfig     not a wg-quick file, or a model that no such file can say
    ├── InvalidSeal       not a sealed preshared key, or not one for this gateway and peer
    └── InvalidInitiation not the beginning of a handshake with this key
"""

__all__ = [
    "Invalid",
    "InvalidAddress",
    "InvalidConfig",
    "InvalidEndpoint",
    "InvalidInitiation",
    "InvalidKey",
    "InvalidName",
    "InvalidSeal",
    "shown",
]

_SHOWN_CHARACTERS = 80  # A terminal's line; more would push the reason out of sight.


class Invalid(ValueError):
    """The input breaks a rule that the message names."""


class InvalidKey(Invalid):
    """The text or the bytes are not a WireGuard key; the message never holds them."""


class InvalidName(Invalid):
    """The text is not a name of the asked kind."""


class InvalidAddress(Invalid):
    """The address, prefix or number is outside of its range."""


class InvalidEndpoint(Invalid):
    """The text is not `host:port`."""


class InvalidConfig(Invalid):
    """The text is not a wg-quick file, or the model cannot be written as one."""


class InvalidSeal(Invalid):
    """The bytes are no sealed preshared key, or none that this gateway can open for this peer."""


class InvalidInitiation(Invalid):
    """The bytes do not begin a handshake with the key that they are read with."""


def shown(text: str) -> str:
    """Quote `text` for a message: ASCII with escapes, its first 80 characters at most."""
    if len(text) <= _SHOWN_CHARACTERS:
        return ascii(text)
    return f"{text[:_SHOWN_CHARACTERS]!a}..."
