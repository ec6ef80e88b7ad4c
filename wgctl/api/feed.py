"""The feed: the stream of changes as JSON lines, for one role, from where its copy stands.

Each part of the stream is read in one transaction, so a commit line is a state that was.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Send
from starlette.types import Scope as Request

from wgctl.api.context import Context, ContextOf
from wgctl.api.door import needs, routes
from wgctl.api.speaker import SpeakingFor
from wgctl.core.access import Scope
from wgctl.core.errors import Denied
from wgctl.core.feed import NEEDS, Beat, Commit, Event, Kind, Snapshot, render_line
from wgctl.core.model import Role
from wgctl.store.deployment import Deployment

__all__ = ["router"]

router = routes()

_BEAT_S = 5.0
"""A reader that hears nothing for three of these takes the connection for dead."""

_GATHER_S = 0.05
"""What changes so soon after a reader was told is told with what comes after it.

To look what there is, and to take it, costs controller and role more than most changes do.
"""

_CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class _Position:
    epoch: str
    revision: int


@router.get("/feed", dependencies=[needs(Scope.FEED_READ)], response_class=StreamingResponse)
async def follow_feed(
    context: ContextOf,
    speaking_for: SpeakingFor,
    role: Role,
    since: Annotated[int, Query(ge=0)] = 0,
    epoch: Annotated[str, Query(max_length=64)] = "",
) -> StreamingResponse:
    """Stream every change after `since`, or a snapshot first when that is not possible."""
    kinds = NEEDS.get(role)
    if kinds is None:
        raise Denied(f"the {role} does not follow the feed")
    speaking_for(role)
    return _Stream(_follow(context, kinds, _Position(epoch, since)))


class _Stream(StreamingResponse):
    """Lines that end when their reader leaves, and with them the transaction they are read in.

    Left to the garbage collector, it would hold a connection and keep the WAL from being reset.
    """

    def __init__(self, lines: AsyncGenerator[bytes]) -> None:
        super().__init__(lines, media_type="application/jsonl")
        self._lines = lines

    async def __call__(self, scope: Request, receive: Receive, send: Send) -> None:
        async with aclosing(self._lines):
            await super().__call__(scope, receive, send)


async def _follow(
    context: Context, kinds: frozenset[Kind], position: _Position
) -> AsyncGenerator[bytes]:
    loop = asyncio.get_running_loop()
    while not context.bell.closed:
        ring, told_at = context.bell.next_ring(), loop.time()
        with closing(_catch_up(context, kinds, position)) as chunks:
            while chunk := await run_in_threadpool(_next, chunks):
                yield chunk
                if len(chunk) < _CHUNK_BYTES:
                    break
        try:
            await asyncio.wait_for(ring.wait(), _BEAT_S)
            await asyncio.sleep(told_at + _GATHER_S - loop.time())
        except TimeoutError:
            yield render_line(Beat())


def _next(chunks: Generator[bytes]) -> bytes:
    """Return the next chunk, and let go of what it was read in if it is the last: a short one."""
    chunk = next(chunks, b"")
    if len(chunk) < _CHUNK_BYTES:
        chunks.close()
    return chunk


def _catch_up(context: Context, kinds: frozenset[Kind], position: _Position) -> Generator[bytes]:
    """Yield the lines from `position` to the present, and move it there.

    Each chunk but the last, which may be empty, has 64 KiB at least.
    """
    with context.store.reading() as deployment:
        revision = deployment.revision
        if position.epoch == deployment.epoch and position.revision == revision:
            return
        chunk = bytearray()
        for event in _events(deployment, kinds, position, until=revision):
            chunk += render_line(event)
            if len(chunk) >= _CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
        position.epoch, position.revision = deployment.epoch, revision
        yield bytes(chunk)


def _events(
    deployment: Deployment, kinds: frozenset[Kind], position: _Position, *, until: int
) -> Iterator[Event]:
    epoch = deployment.epoch
    can_continue = position.epoch == epoch and deployment.kept_since <= position.revision <= until
    if can_continue:
        rows: Iterator[Event] = deployment.changes(
            since=position.revision, until=until, kinds=kinds
        )
    else:
        cut = deployment.cut(position.epoch)
        count = deployment.count_rows(kinds)
        rows = chain([Snapshot(epoch, cut, kinds, count)], deployment.snapshot(kinds))
    return chain(rows, [Commit(until)])
