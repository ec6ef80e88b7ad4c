"""The file that carries how leases stand from the internal API to resolver and gateway.

Each side sees whole files alone. It lies where nothing outlives a boot, as the monotonic clock
that it counts on does not; what it says is `wgctl.core.lease`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

from wgctl.core.errors import Invalid
from wgctl.core.lease import Standing, parse, render

__all__ = ["LeaseReader", "read", "write"]

_MODE = 0o640
_FOLDER_MODE = 0o750
# A lease takes some 80 bytes.
_MOST_BYTES = 16 * 1024 * 1024


def write(path: Path, standings: Mapping[int, Standing]) -> None:
    """Put `standings` in the place of what the file at `path` says; raises OSError.

    The folder is made if it is not there. Its group may read, which under systemd is the roles'.
    """
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    # One that another user left half written could not be written to.
    beside.unlink(missing_ok=True)
    said = render(standings)
    # Not through a link that was put there since.
    with beside.open("x", encoding="ascii") as opened:
        os.fchmod(opened.fileno(), _MODE)
        opened.write(said)
    # Not synced: a boot leaves none of it.
    beside.replace(path)


def read(path: Path) -> dict[int, Standing]:
    """Return what the file at `path` says; nothing where there is none.

    Raises Invalid for a file of something else or of more than 16 MiB, OSError for one that may not
    be read, and for a link.
    """
    try:
        with open(path, "rb", opener=_open_plain) as opened:
            found = os.fstat(opened.fileno())
            if not S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
                raise Invalid(f"leases: {path} is no plain file of up to 16 MiB, as was expected")
            return parse(opened.read(found.st_size))
    except FileNotFoundError:
        return {}


class LeaseReader:
    """Reads the file again whenever it was written."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path
        self._seen: tuple[int | None, ...] | None = None

    def news(self) -> dict[int, Standing] | None:
        """Return what the file says if it was written since the last time; else None.

        Raises as `read` does, once for each file, or for each reason not to find it.
        """
        before, self._seen = self._seen, self._look()
        if self._seen in {before, None}:
            return None
        return read(self._path)

    def _look(self) -> tuple[int | None, ...] | None:
        """Return what tells one file, or reason not to find it, from others; None: no file."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return (error.errno,)
        return (found.st_ino, found.st_mtime_ns)


def _open_plain(path: str, flags: int) -> int:
    """Open what may be anything, as its writer may be anybody: wait at no pipe, follow no link."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
