"""The route of back-ups: the store's file as it is at one moment.

A back-up is more than the store, and is put together by `wgctl.daemon.backup`: the gateway's key is
none of the controller's business.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fastapi.responses import StreamingResponse

from wgctl.api.context import StoreOf
from wgctl.api.door import needs, routes
from wgctl.core.access import Scope
from wgctl.store import snapshot

__all__ = ["forget_copies", "router"]

router = routes()

_PREFIX = ".copy-"
_CHUNK_BYTES = 256 * 1024
_MEDIA_TYPE = "application/vnd.sqlite3"


@router.get(
    "/store",
    dependencies=[needs(Scope.STORE_READ)],
    response_class=StreamingResponse,
    responses={200: {"content": {_MEDIA_TYPE: {}}}},
)
def copy_store(store: StoreOf) -> StreamingResponse:
    """Stream a copy of the store, a SQLite file; its length is told, so that a part is no whole."""
    file = _copied(store.path)
    size = os.fstat(file.fileno()).st_size
    return StreamingResponse(
        _chunks(file),
        media_type=_MEDIA_TYPE,
        headers={"content-length": str(size)},
    )


def forget_copies(folder: Path) -> None:
    """Remove what a controller that was killed while it made a copy has left in its folder."""
    for path in folder.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


def _copied(path: Path) -> IO[bytes]:
    """Return a copy of the store that has no name any more, so that it goes with its reader."""
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=path.parent)
    os.close(descriptor)
    try:
        snapshot.take(path, Path(name))
        return Path(name).open("rb")
    finally:
        Path(name).unlink(missing_ok=True)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
