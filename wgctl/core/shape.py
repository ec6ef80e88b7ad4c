"""What every JSON shape has in common: strict fields, no change, and when it is built.

The shapes themselves are `wgctl.core.schema` and `wgctl.core.health_shape`.
"""

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from wgctl.core.ipv6_text import render

__all__ = ["Address", "Moment", "Shape", "finish"]

# Seconds since 1970 up to the last that a datetime can hold, the end of the year 9999.
Moment = Annotated[int, Field(ge=0, le=253_402_300_799)]

Address = Annotated[
    IPv6Address,
    PlainSerializer(render, when_used="json"),
    WithJsonSchema({"type": "string", "format": "ipv6"}),
]
"""An IPv6 address of a network: a list of 100 peers spent half of its JSON on these."""


class Shape(BaseModel):
    """A document of which every field is known."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        # A command uses two or three shapes: the others are never built, which saves 50 ms.
        defer_build=True,
    )

    OBSERVED: ClassVar[frozenset[str]] = frozenset()
    """The fields that change by themselves, with nobody changing the thing."""


def finish() -> None:
    """Build every shape now, for a program that reads them in several threads.

    What two threads use first at the same moment is else built by both at once.
    """
    for shape in _descendants(Shape):
        if shape.model_config["defer_build"]:
            shape.model_config["defer_build"] = False
            shape.model_rebuild(force=True)


def _descendants(shape: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for descendant in shape.__subclasses__():
        yield descendant
        yield from _descendants(descendant)
