"""The application that operators use, over `api.sock`."""

from fastapi import FastAPI

from wgctl.api import (
    app,
    audit,
    backup,
    document,
    gateway,
    machine,
    member,
    network,
    org,
    peer,
    status,
    token,
)
from wgctl.api.context import Context
from wgctl.api.door import build
from wgctl.api.limits import Bounded
from wgctl.core.access import Asker

__all__ = ["ROUTERS", "operators_app"]

ROUTERS = tuple(
    noun.router
    for noun in (
        *(org, network, peer, app, machine, member, token, audit),
        *(gateway, status, backup, document),
    )
)


def operators_app(context: Context) -> FastAPI:
    """Return the application of everything that an operator may do."""
    made = build(Asker.OPERATOR, ROUTERS, context=context)
    made.add_middleware(Bounded)
    return made
