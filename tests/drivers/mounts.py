"""File systems that are mounted for one piece of a test, which nobody else sees."""

import ctypes
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

__all__ = ["in_private_mounts", "mount_small"]

_CLONE_NEWNS = 0x00020000


def in_private_mounts(work: Callable[[], None]) -> None:
    """Run `work` in a fork whose mounts are its own, and go with it; fail when it fails. As root.

    The child ends without a word to whatever this process has open.
    """
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) == 0:
                subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                work()
                code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent fails with it
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def mount_small(folder: Path, *, size_bytes: int) -> None:
    """Mount a file system in memory at `folder` that holds `size_bytes`, in pages of 4096."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(folder)], check=True
    )
