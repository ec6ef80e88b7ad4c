"""ETag and If-Match (RFC 9110, section 13): a change of what the asker has seen, and of no other.

A tag stands for what can be changed. What was only observed, as when a peer was last heard, has no
part in it: so it says nothing of whether an answer is fresh, and If-None-Match is not looked at.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request, Response

from wgctl.api.problems import HttpRefusal
from wgctl.core.shape import Shape

__all__ = ["ETag", "Expected", "Told", "tag_of"]

_Facts = TypeVar("_Facts")
_Shape = TypeVar("_Shape", bound=Shape)

_BYTES = 12


class ETag:
    """The tag that one request expects, and the one that its answer gets."""

    def __init__(self, expected: str | None, response: Response) -> None:
        """`expected` is what If-Match says; None: nothing."""
        self._expected = expected
        self._response = response

    def told(self, shape: _Shape) -> _Shape:
        """Return `shape`, whose tag the answer gets."""
        self._response.headers["etag"] = tag_of(shape)
        return shape

    def check(self, shape_of: Callable[[_Facts], Shape]) -> Callable[[_Facts], None]:
        """Return what is called with the facts, within the transaction that will change them.

        It raises HttpRefusal when they are no longer what the asker has seen.
        """

        def check(facts: _Facts) -> None:
            if self._expected is not None and not _among(tag_of(shape_of(facts)), self._expected):
                raise HttpRefusal(
                    "changed",
                    f"it is not as it was at {self._expected!a} any more, "
                    "expected the ETag of its present state: read it again",
                )

        return check


def tag_of(shape: Shape) -> str:
    """Return the tag of a thing, in its quotes."""
    document = shape.model_dump_json(exclude=set(shape.OBSERVED))
    return f'"{blake2b(document.encode(), digest_size=_BYTES).hexdigest()}"'


def _among(tag: str, expected: str) -> bool:
    """Whether `tag` is one of a comma-separated list; a weak one is none, and `*` is any."""
    wanted = [one.strip() for one in expected.split(",")]
    return tag in wanted or wanted == ["*"]


async def _told(response: Response) -> ETag:
    return ETag(None, response)


async def _expected(
    request: Request,
    response: Response,
    # Documented by this, and read from the request, which may have several lines of it.
    _if_match: Annotated[str, Header(alias="if-match")] = "",
) -> ETag:
    given = request.headers.getlist("if-match")
    return ETag(", ".join(given) if given else None, response)


Told = Annotated[ETag, Depends(_told)]
"""For a route that reads."""

Expected = Annotated[ETag, Depends(_expected)]
"""For a route that changes or removes: it takes If-Match."""
