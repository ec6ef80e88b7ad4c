"""The application that those use who come from elsewhere, over TLS: with a token, or not at all.

It has the routes of operators; which of them a caller may use is `wgctl.core.access`.
"""

import time
from collections.abc import Callable

from fastapi import FastAPI

from wgctl.api.audit import note_denials
from wgctl.api.caller import by_token
from wgctl.api.context import Context
from wgctl.api.door import build
from wgctl.api.limits import Bounded, Paced, paced_by_token
from wgctl.api.operators import ROUTERS
from wgctl.core.access import Asker
from wgctl.core.settings import REQUESTS_PER_S

__all__ = ["remote_app"]


def remote_app(
    context: Context,
    *,
    requests_per_s: float = REQUESTS_PER_S,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """Return the application for those whose tokens the store knows.

    Each asks `requests_per_s` times a second. `clock` gives seconds, and never goes back.
    """
    known = by_token(context.store, context.now)
    identified = paced_by_token(known, per_s=requests_per_s, clock=clock)
    made = build(Asker.BEARER, ROUTERS, identified=identified, context=context)
    note_denials(made)
    # The last that is added is the first that is asked.
    made.add_middleware(Bounded)
    made.add_middleware(Paced, clock=clock)
    return made
