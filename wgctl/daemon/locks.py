"""One at a time on a state folder: a lock that ends with the process that has it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wgctl.core.errors import Denied, Unavailable

__all__ = ["only_one", "only_one_serves"]

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
        _lock(descriptor, f"another controller runs on {folder}: stop it first")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def only_one_serves(folder: Path) -> Iterator[None]:
    """Hold a host's state folder: roles of two supervisors would get in each other's way for ever.

    Raises Unavailable while another process holds it or there is none, Denied when it may not be
    opened.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError as error:
        raise Denied(f"no permission to open {folder}: be root") from error
    except OSError as error:
        raise Unavailable(f"{folder}: {error.strerror}; wgctl init makes it") from error
    try:
        _lock(descriptor, f"wgctl serve runs on {folder} already: stop that one first")
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, taken: str) -> None:
    """Lock what is open; raises Unavailable, and says `taken`, while another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Unavailable(taken) from error


def _give_to_owner(descriptor: int, folder: Path) -> None:
    """Leave a lock that root was the first to take to the role whose folder it is in."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
