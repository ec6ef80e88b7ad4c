"""The kinds of refusal that everything above `peers` raises.

What a refusal becomes outside, an HTTP status or an exit code, is `REFUSALS` alone.

    peers.errors.Invalid    the input breaks a rule
    Refusal
    ├── Unidentified        nobody who is known asks
    ├── Denied              the asker may not do this
    ├── NotFound            the thing that was named does not exist
    ├── Conflict            the name is taken, or the thing is still in use
    ├── Exhausted           every number or name of a range was given out
    └── Unavailable         a part that is needed does not answer
"""

from typing import NamedTuple

from peers.errors import Invalid

__all__ = [
    "REFUSALS",
    "Conflict",
    "Denied",
    "Exhausted",
    "Invalid",
    "NotFound",
    "Refusal",
    "RefusalCodes",
    "Unavailable",
    "Unidentified",
]


class Refusal(Exception):
    """A request that cannot be met, with a message for the one who asked."""


class Unidentified(Refusal):
    """Nobody who is known asks."""


class Denied(Refusal):
    """The asker may not do this."""


class NotFound(Refusal):
    """The thing that was named does not exist."""


class Conflict(Refusal):
    """The name is taken, or the thing is still in use."""


class Exhausted(Refusal):
    """Every number or name of a range was given out."""


class Unavailable(Refusal):
    """A part that is needed does not answer."""


class RefusalCodes(NamedTuple):
    """What a refusal becomes outside: the HTTP status, the exit code, the problem's name."""

    status: int
    exit_code: int
    name: str


REFUSALS: dict[type[Exception], RefusalCodes] = {
    Invalid: RefusalCodes(400, 2, "invalid"),
    Unidentified: RefusalCodes(401, 3, "unidentified"),
    Denied: RefusalCodes(403, 3, "denied"),
    NotFound: RefusalCodes(404, 4, "not-found"),
    Conflict: RefusalCodes(409, 5, "conflict"),
    Exhausted: RefusalCodes(409, 6, "exhausted"),
    Unavailable: RefusalCodes(503, 7, "unavailable"),
}
