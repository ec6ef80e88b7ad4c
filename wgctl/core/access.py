"""Who may do what: the scopes that a route may declare, and who has them.

Decides by one table; how an asker proves who they are is `wgctl.api`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["SCOPES", "Asker", "Scope", "allowed"]


class Scope(StrEnum):
    """What a route needs: a noun and a verb."""

    ORG_READ = "org:read"
    ORG_WRITE = "org:write"
    NETWORK_READ = "network:read"
    NETWORK_WRITE = "network:write"
    PEER_READ = "peer:read"
    PEER_WRITE = "peer:write"
    APP_READ = "app:read"
    APP_WRITE = "app:write"
    MACHINE_READ = "machine:read"
    MACHINE_WRITE = "machine:write"
    MACHINE_ANNOUNCE = "machine:announce"
    GATEWAY_READ = "gateway:read"
    STATUS_READ = "status:read"
    STORE_READ = "store:read"
    FEED_READ = "feed:read"
    NODE_WRITE = "node:write"
    SELF_READ = "self:read"
    DOCUMENT_READ = "document:read"


class Asker(StrEnum):
    """What an asker is, by the door that they came through."""

    OPERATOR = "operator"
    NODE = "node"
    PEER = "peer"


SCOPES: Mapping[Asker, frozenset[Scope]] = MappingProxyType(
    {
        Asker.OPERATOR: frozenset(Scope)
        - {Scope.FEED_READ, Scope.NODE_WRITE, Scope.SELF_READ, Scope.MACHINE_ANNOUNCE},
        Asker.NODE: frozenset({Scope.FEED_READ, Scope.NODE_WRITE}),
        Asker.PEER: frozenset({Scope.SELF_READ, Scope.MACHINE_ANNOUNCE}),
    }
)
"""Everything that is not listed is denied."""


def allowed(asker: Asker, scope: Scope) -> bool:
    """Whether `asker` has `scope`."""
    return scope in SCOPES.get(asker, frozenset())
