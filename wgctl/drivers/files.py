"""Files that have their names only when they are whole and on the disk.

Knows nothing of what is in them, nor who may be asked to make room.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wgctl.core.errors import Denied, Invalid, Unavailable

__all__ = ["draft_of", "led_to", "new_whole_file", "open_itself", "place", "put", "sync_folder"]

_MODE = 0o600
_FILES_OF_OURS = Path("/proc/self/fd")
# What open(2) says where the file system, or the kernel, has no files without a name.
_NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
# A name that begins so and was left in its folder is cleared away by a controller that starts.
_DRAFT = ".copy-"
_ROOT = 0
_MOST_LINKS = 40  # As many as Linux follows: path_resolution(7).


@contextmanager
def new_whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a file, for its owner alone, that has the name `path` once the block is done.

    Until then, and if the block fails, there is none: a file that has its name is whole, and on
    the disk. Where the file system has files without a name, as most do, nothing is left even by
    SIGKILL or a power cut; elsewhere that leaves one called `.NAME.` and eight hexadecimal digits.
    Raises Invalid when something has that name, Denied where files may not be made, Unavailable
    where they cannot be written.
    """
    _require_free(path)
    draft: Path | None = None
    try:
        descriptor = _open_nameless(path.parent)
        if descriptor is None:
            draft = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}")
            descriptor = _open_new(draft)
    except (FileNotFoundError, NotADirectoryError):
        raise Invalid(f"{path}: {path.parent} is no folder: make it first") from None
    except PermissionError as error:
        raise Denied(f"{path}: no permission to write in {path.parent}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
            if draft is None:
                _name_nameless(descriptor, path)
            else:
                _name_draft(draft, path)
        sync_folder(path.parent)
    except OSError as error:
        # What the block opens says its name; a write says none.
        if error.filename is not None:
            raise
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def put(path: Path, content: bytes) -> None:
    """Write the file at `path` anew, whole or not at all, for its owner alone; raises OSError.

    A folder that is not there is made, for its owner too. SIGKILL or a power cut can leave a file
    beside it called `.NAME.` and eight hexadecimal digits.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with os.fdopen(_open_new(draft), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def draft_of(source: Path, folder: Path, *, mode: int) -> Iterator[Path]:
    """Give a copy of the file `source` in `folder`, whole and on the disk, for the block.

    It belongs to whoever has the folder: a role that is not root must be able to open it. A copy
    that was given a name of its own in the block keeps that.
    """
    draft = folder / f"{_DRAFT}{secrets.token_hex(4)}"
    owner = folder.stat()
    try:
        with open_itself(source) as packed, draft.open("xb") as file:
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            shutil.copyfileobj(packed, file)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def place(source: Path, target: Path, *, mode: int) -> None:
    """Copy a file to a place where there is none; raises Invalid if there is one."""
    with draft_of(source, target.parent, mode=mode) as draft:
        _name_draft(draft, target)
    sync_folder(target.parent)


def led_to(path: Path) -> Path:
    """Return the path of the file that `path` leads to, of which the last name is no link.

    For root in a folder of somebody else's: links that root or this process's user made are
    followed. Raises Denied at anybody else's, which would choose what root reads and writes.
    """
    for _ in range(_MOST_LINKS):
        path = path.parent.resolve() / path.name
        further = _link_of_ours(path)
        if further is None:
            return path
        path = path.parent / further
    raise Denied(f"{path}: more than {_MOST_LINKS} links, expected a file: remove them")


def open_itself(path: Path) -> IO[bytes]:
    """Open a file to read it; raises OSError, ELOOP for a link, and for what is no file."""
    # Without O_NONBLOCK, somebody's pipe would hold up whoever opens it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def sync_folder(path: Path) -> None:
    """Have the names in the folder `path` survive a power cut.

    Does nothing for a folder that may be written but not read, or whose file system syncs none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _link_of_ours(path: Path) -> str | None:
    """Return what the link `path` says; None if it is none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise Denied(f"no permission to look at {path}: be root") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISLNK(found.st_mode):
            return None
        if found.st_uid not in {_ROOT, os.geteuid()}:
            raise Denied(
                f"{path} is a link that user {found.st_uid} made, expected a file or a link of "
                "root's: look who did that, and remove it"
            )
        # By the descriptor: by its name it might be another link by now.
        return os.readlink("", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _open_nameless(folder: Path) -> int | None:
    """Open a file that has no name in `folder`; None where there are no such files."""
    if not _FILES_OF_OURS.exists():
        return None
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, _MODE)
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return None
        raise


def _open_new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)


def _name_nameless(descriptor: int, path: Path) -> None:
    try:
        # With a folder told, though none is needed, os.link follows the link to the file, as
        # open(2) shows for O_TMPFILE; without one it would link the link itself.
        os.link(_FILES_OF_OURS / str(descriptor), path, src_dir_fd=descriptor)
    except FileExistsError:
        _require_free(path)
        raise


def _name_draft(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)  # Unlike a rename, never over a file that came meanwhile.
    except FileExistsError:
        _require_free(path)
        raise
    except OSError:  # Not every file system has links.
        _require_free(path)
        draft.rename(path)


def _require_free(path: Path) -> None:
    if os.path.lexists(path):
        raise Invalid(f"{path} exists already: choose another name, or remove it")
