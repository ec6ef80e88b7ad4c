"""One at a time on a role's state folder: a lock that ends with the process that has it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wgctl.core.errors import Denied, Unavailable

__all__ = ["only_one"]

_NAME = "lock"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the controller's folder: two writers would each believe the revision theirs.

    Raises Unavailable while another process holds it, Denied when it may not be opened.
    """
    try:
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(folder / _NAME, flags, 0o600)
    except PermissionError as error:
        raise Denied(f"no permission to open {folder}: be root") from error
    try:
        _give_to_owner(descriptor, folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"another controller runs on {folder}: stop it first") from error
        yield
    finally:
        os.close(descriptor)


def _give_to_owner(descriptor: int, folder: Path) -> None:
    """Leave a lock that root was the first to take to the role whose folder it is in."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
