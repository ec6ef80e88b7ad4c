"""Lists in parts: a limit, and a cursor that names the last item of the part before."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from wgctl.core.errors import Invalid
from wgctl.core.schema import Page

__all__ = ["Cursor", "Limit", "page", "page_after", "parse_cursor", "parse_names"]

_Value = TypeVar("_Value")
_Shape = TypeVar("_Shape")

_ID = re.compile(r"[0-9]{1,18}")  # Below 2**63, the largest that a row's id can be.

# Two names of 63 characters and a dot.
Cursor = Annotated[str, Query(max_length=127)]
Limit = Annotated[int, Query(ge=1, le=1000)]


def page(
    found: Sequence[_Value],
    *,
    limit: int,
    shape: Callable[[_Value], _Shape],
    cursor: Callable[[_Value], str],
) -> Page[_Shape]:
    """Return the first `limit` of `found`; one more found means that there is a next part."""
    part = found[:limit]
    more = len(found) > limit
    return Page(items=[shape(value) for value in part], next=cursor(part[-1]) if more else None)


def page_after(
    start: str,
    found: Sequence[_Value],
    *,
    limit: int,
    shape: Callable[[_Value], _Shape],
    cursor: Callable[[_Value], tuple[str, ...]],
) -> Page[_Shape]:
    """Return `limit` of `found`, the whole list, that come after the cursor `start`.

    `cursor` gives the names that the list is sorted by, none of which holds a dot.
    """
    after = tuple(start.split(".")) if start else ()
    rest = [value for value in found if cursor(value) > after]
    return page(rest, limit=limit, shape=shape, cursor=lambda value: ".".join(cursor(value)))


def parse_names(text: str) -> tuple[str, str]:
    """Return the names of a network and of what is in it that a cursor `network.name` holds."""
    network, _, name = text.partition(".")
    return (network, name)


def parse_cursor(text: str) -> tuple[str, int]:
    """Return the name and id that a cursor `name.id` holds; the start for an empty one."""
    if not text:
        return ("", 0)
    name, dot, number = text.rpartition(".")
    if not dot or not _ID.fullmatch(number):
        raise Invalid(f"cursor {text!a}, expected the `next` of the part before")
    return (name, int(number))
