"""Work that is ended, as by a kill, at any of its steps."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["killed_at"]

_CHANGES = frozenset({"os.rename", "os.link", "os.mkdir", "os.remove", "open"})


def killed_at(step: int, folder: Path, work: Callable[[], object]) -> bool:
    """Do `work` in a child that ends before the `step`th change of a name below `folder`.

    Returns whether there were as many.
    """
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in _CHANGES and str(arguments[0]).startswith(str(folder)):
                left -= 1
                if left == 0:
                    os._exit(1)

        code = 2
        try:
            sys.addaudithook(count)
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 1}
    return code == 1
