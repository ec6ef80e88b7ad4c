"""Unix sockets for operators and for roles, made so that only those who may can open them.

Says who may open them; what they may ask is the application behind each.
"""

import grp
import os
import socket
from pathlib import Path

from wgctl.core.errors import Unavailable

__all__ = ["OPERATORS_GROUP", "listen"]

OPERATORS_GROUP = "wgctl"
_BACKLOG = 512


def listen(path: Path, *, group: str | None) -> socket.socket:
    """Return a listening stream socket at `path`, for its owner and `group` only.

    A socket that nobody listens on any more is replaced; raises Unavailable when one is in use.
    """
    if _answers(path):
        raise Unavailable(f"another process answers at {path}: stop it first")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listener, path)
        group_id = _group_id(group)
        if group_id is not None:
            os.chown(path, -1, group_id)
            path.chmod(0o660)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


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


def _group_id(group: str | None) -> int | None:
    """Return the id of `group` where the host has it and we may give files to it."""
    if group is None or os.geteuid() != 0:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None
