"""What the kernel here can, by its release."""

import platform
import re

__all__ = ["turns_differ"]

_FIRST = (6, 12)


def turns_differ() -> bool:
    """Whether a process can have shorter turns of the processor than others."""
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= _FIRST
