"""How the roles log: events with fields, a line each, on stderr."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from functools import partial

import structlog

__all__ = ["configure"]


def configure(role: str) -> None:
    """Log events to stderr as `key=value` lines that begin with the time and name `role`.

    What strangers can have Python print there, whenever they like, is not.
    """
    sys.unraisablehook = _unraisable
    structlog.configure(
        processors=[
            partial(_named, role),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _printable,
            structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "role", "event"], bool_as_flag=False
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def _unraisable(told: "sys.UnraisableHookArgs") -> None:
    """Print what cannot be raised, as Python does, unless it is a server's name that is no ASCII.

    `_servername_callback` in Modules/_ssl.c decodes that before it asks us, tells why it could not,
    with the bytes, and ends the handshake.
    """
    if not (isinstance(told.exc_value, UnicodeDecodeError) and isinstance(told.object, bytes)):
        sys.__unraisablehook__(told)


def _named(
    role: str, _logger: object, _method: str, fields: MutableMapping[str, object]
) -> Mapping[str, object]:
    """Name the role in every event, also in those of other threads, which no context reaches."""
    return {"role": role, **fields}


def _printable(
    _logger: object, _method: str, fields: MutableMapping[str, object]
) -> Mapping[str, object]:
    """Escape what a terminal would obey and what would end a line, in whatever is logged."""
    return {
        key: value if isinstance(value, bool | int | float | None) else _escaped(str(value))
        for key, value in fields.items()
    }


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
