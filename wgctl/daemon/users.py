"""The system users of this host's parts, as `systemd/wgctl.sysusers` names them.

A host need not have them: under `wgctl serve` every role runs as whoever started it.
"""

import os
import pwd
from contextlib import suppress

from wgctl.core.model import Role

__all__ = ["ROLE_USERS", "may_act", "senders"]

ROLE_USERS = {role: f"wgctl-{role}" for role in Role}

_SENDERS = (Role.GATEWAY, Role.RESOLVER, Role.INTERNAL_API)


def may_act(uid: int, role: Role) -> bool:
    """Whether a process of the user `uid` may speak for `role` to this one.

    Root may, and who runs this process: under `wgctl serve` that is the user of every role.
    """
    if uid in {0, os.geteuid()}:
        return True
    try:
        return uid == pwd.getpwnam(ROLE_USERS[role]).pw_uid
    except KeyError:
        return False


def senders() -> frozenset[int]:
    """Return the users whose processes may send into the tunnel: ours, and this process's."""
    users = {os.geteuid()}
    for role in _SENDERS:
        with suppress(KeyError):
            users.add(pwd.getpwnam(ROLE_USERS[role]).pw_uid)
    return frozenset(users)
