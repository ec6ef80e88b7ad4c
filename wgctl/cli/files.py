"""A file that a command leaves behind: whole under its name, or not there at all.

Knows nothing of what is in it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wgctl.core.errors import Denied, Invalid
from wgctl.drivers.files import sync_folder

__all__ = ["NewFile", "new_file"]

_MODE = 0o600
_ENDING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM})


class NewFile:
    """A file that was made, is still empty, and may be read by its owner alone (0600)."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take over `descriptor`, open for writing on the file at `path`."""
        self.path = path
        self.mode = _MODE
        self.finished = False
        self._descriptor = descriptor

    def finish(self, content: bytes, *, mode: int = _MODE, group: int | None = None) -> None:
        """Write the content to the disk, and keep the file, with `mode` and of `group` if told.

        Its name is on the disk too: what it holds is shown only once.
        """
        with open(self._descriptor, "wb", closefd=False) as file:
            file.write(content)
        if group is not None:
            os.fchown(self._descriptor, -1, group)
        os.fchmod(self._descriptor, mode)
        self.mode = mode
        os.fsync(self._descriptor)
        sync_folder(self.path.parent)
        self.finished = True

    def close(self) -> None:
        """Close the file; unless it is finished, remove it."""
        if not self.finished:
            self._discard()
        os.close(self._descriptor)

    def _discard(self) -> None:
        """Remove the file, unless another one has its name by now."""
        try:
            there = self.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        if os.path.samestat(there, os.fstat(self._descriptor)):
            self.path.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """Make an empty file at `path`, and remove it again unless it is finished.

    The name is taken from the start, so that nothing has been asked for when it cannot be. A file
    under another name that is renamed in the end would replace whatever came there meanwhile, or
    need a link, which not every file system has. Raises Invalid when there is something at `path`
    or its folder is missing, and Denied when it may not be written.
    """
    # A signal raises wherever the program is: here it waits until somebody will remove the file.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    made: NewFile | None = None
    try:
        try:
            made = NewFile(path, _open(path))
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            yield made
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    finally:
        if made is not None:
            made.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, _MODE)
    except FileExistsError:
        raise Invalid(f"{path} exists already: choose another name, or remove it") from None
    except (FileNotFoundError, NotADirectoryError):
        raise Invalid(f"{path}: {path.parent} is no folder: make it first") from None
    except PermissionError as error:
        raise Denied(f"{path}: no permission to write in {path.parent}") from error
