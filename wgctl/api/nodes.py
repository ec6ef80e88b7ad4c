"""The application that a host's roles use, over `node.sock`: feed and reports, nothing else.

Among what a role reports is what a peer announced to it.
"""

from fastapi import FastAPI

from wgctl.api import feed, gateway, lease, status
from wgctl.api.context import Context
from wgctl.api.door import build
from wgctl.core.access import Asker

__all__ = ["nodes_app"]


def nodes_app(context: Context) -> FastAPI:
    """Return the application of what a role may do."""
    routers = [feed.router, gateway.node_router, lease.node_router, status.node_router]
    return build(Asker.NODE, routers, context=context)
