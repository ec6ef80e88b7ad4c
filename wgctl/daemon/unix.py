"""Unix sockets for operators and for roles, made so that only those who may can open them.

Says who may open them; what they may ask is the application behind each. Where roles have users
of their own, each path is a link into a folder of the role's that has the group already (its
set-group-ID bit gives it to the socket): a role needs neither that group nor the right to give
files away.
"""

import grp
import os
import socket
from pathlib import Path

from wgctl.core.errors import Unavailable

__all__ = ["NODES_GROUP", "OPERATORS_GROUP", "listen", "remove"]

OPERATORS_GROUP = "wgctl"
NODES_GROUP = "wgctl-node"
_BACKLOG = 512


def listen(path: Path, *, group: str | None) -> socket.socket:
    """Return a listening stream socket at `path`, for its owner and `group` only.

    A link is followed. A socket that nobody listens on any more is replaced; raises Unavailable
    when one is in use.
    """
    if _answers(path):
        raise Unavailable(f"another process answers at {path}: stop it first")
    place = path.resolve()
    place.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listener, place)
        _admit(place, group)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def remove(path: Path) -> None:
    """Take the socket at `path` away, and leave a link to it; nothing if there is none."""
    path.resolve().unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _bind(listener: socket.socket, path: Path) -> None:
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)


def _admit(path: Path, group: str | None) -> None:
    """Let `group` open the socket, where the host has it and the socket is or can be its own."""
    group_id = _group_id(group)
    if group_id is None:
        return
    if os.geteuid() == 0:
        os.chown(path, -1, group_id)
    if path.stat().st_gid == group_id:
        path.chmod(0o660)


def _group_id(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None
