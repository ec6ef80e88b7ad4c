"""Who a request comes from, as one value: found before anything of its body is read.

    by_door      the door is the proof: a socket that only some may open, a tunnel
    by_token     the Authorization header is: for whoever comes from elsewhere

What a caller may do is `wgctl.core.access`; what a token is worth, `wgctl.services.entry`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from wgctl.core.access import Asker, Caller
from wgctl.core.errors import Refusal, Unidentified

if TYPE_CHECKING:
    from wgctl.store.store import Store

__all__ = ["CallerOf", "Identify", "by_door", "by_token"]

Identify = Callable[[Request], Awaitable[Caller]]
"""Says who a request comes from; raises Unidentified for nobody who is known.

HttpRefusal for who is known and asks too often.
"""


def by_door(asker: Asker) -> Identify:
    """Return what says that everybody is an `asker`, and which user of this host."""

    async def identify(request: Request) -> Caller:
        uid: int | None = getattr(request.state, "uid", None)
        return Caller(asker, origin="" if uid is None else f"uid {uid}")

    return identify


@dataclass(slots=True)
class _Look:
    """A look at a token that is under way: when it is over, `refusal` says if it was refused."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: Refusal | None = None


def by_token(store: "Store", now: Callable[[], int]) -> Identify:
    """Return what says whose token came, as `store` knows them; `now` gives seconds since 1970."""
    # Here, since what has no store loads no SQL: it starts in half the time.
    from wgctl.services.entry import NOT_VALID, Entry

    entry = Entry(store)
    looks: dict[str, _Look] = {}

    async def identify(request: Request) -> Caller:
        text, origin = _token_of(request), "" if request.client is None else request.client.host
        if text is None:
            raise Unidentified(NOT_VALID)
        while (known := entry.known(text, origin=origin, now=now())) is None:
            under_way = looks.get(text)
            if under_way is None:
                return await look(text, origin)
            # Each of all that come at once would look by itself, and note it.
            await under_way.over.wait()
            if under_way.refusal is not None:
                raise copy(under_way.refusal)
        return known

    async def look(text: str, origin: str) -> Caller:
        made = looks[text] = _Look()
        try:
            looking = partial(entry.look, text, origin=origin, now=now())
            return await asyncio.get_running_loop().run_in_executor(None, looking)
        except Refusal as refusal:
            made.refusal = copy(refusal)  # One that is raised grows by what it was raised through.
            raise
        finally:
            del looks[text]
            made.over.set()

    return identify


def _token_of(request: Request) -> str | None:
    """Return the text of the one token that came, if just one did."""
    given = request.headers.getlist("authorization")
    scheme, _, text = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return text.strip() if scheme.lower() == "bearer" and text else None


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


# Not the first one that was looked for: `door` says meanwhile what the caller is doing.
CallerOf = Annotated[Caller, Depends(_caller, use_cache=False)]
