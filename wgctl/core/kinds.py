"""The kinds of things that the house speaks of, each a fixed set of words.

What has one of them is `wgctl.core.model`. By itself, since a command knows all of these words and
holds none of those values, which take longer to load than a request takes.
"""

from enum import StrEnum
from typing import Literal

__all__ = [
    "OPERATOR",
    "FollowingRole",
    "MachineState",
    "MemberRole",
    "Protocol",
    "Role",
    "TokenKind",
]

OPERATOR = "operator"
"""The owner of what was added over the operators' socket; no member has this name."""


class Role(StrEnum):
    """A process of its own, with the least that it needs."""

    CONTROLLER = "controller"
    GATEWAY = "gateway"
    RESOLVER = "resolver"
    INTERNAL_API = "internal-api"


FollowingRole = Literal[Role.GATEWAY, Role.RESOLVER, Role.INTERNAL_API]
"""A role that follows the controller's feed and reports to it."""


class MachineState(StrEnum):
    """What an admin asked of a machine; only a started one is in the answers."""

    STARTED = "started"
    STOPPED = "stopped"


class MemberRole(StrEnum):
    """What a member is in an org; what each may do is `wgctl.core.access`."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class TokenKind(StrEnum):
    """What a token is for; what each can be used for is `wgctl.core.access`."""

    ORG = "org"
    NETWORK = "network"
    READ_ONLY = "read-only"
    ENROL = "enrol"
    PEER = "peer"


class Protocol(StrEnum):
    """The transport of a machine's port."""

    TCP = "tcp"
    UDP = "udp"
