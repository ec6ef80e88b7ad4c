"""Files that can grow no further, as on a disk that is full, for the time of a block."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["limited"]


@contextmanager
def limited(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size_bytes`; what is there already stays."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
