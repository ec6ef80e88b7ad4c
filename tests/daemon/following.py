"""A copy that follows a controller in this process, and what it was told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from peers.names import Label
from tests.api.asking import context_of, served
from tests.patience import HANG_S
from tests.store.samples import NOW
from wgctl.api.context import Bell
from wgctl.api.nodes import nodes_app
from wgctl.core.feed import NEEDS, Event, Kind, Put, render_line
from wgctl.core.model import Org, Role
from wgctl.core.settings import STORE_NAME, Settings
from wgctl.daemon.follow import Changes, Follower
from wgctl.store.copy import Copy
from wgctl.store.store import Store

__all__ = [
    "NEW",
    "OLD",
    "ROLE",
    "Followed",
    "controlled",
    "following",
    "held",
    "rendered",
    "rows",
    "store_of",
]

ROLE = Role.INTERNAL_API
OLD = Put(Kind.ORG, Org(1, Label("old"), NOW))
NEW = Put(Kind.ORG, Org(2, Label("new"), NOW))


class Followed:
    """A copy that is followed into, and what was told of it."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.told: list[Changes] = []
        self.was_there: list[bool] = []
        self._began_at = copy.position[1]

    def note(self, changes: Changes) -> None:
        self.told.append(changes)
        self.was_there.append(self.copy.position[1] == changes.revision)

    async def until(self, revision: int) -> None:
        """Wait for the file, and for what is told after it."""
        async with asyncio.timeout(HANG_S):
            while min(self.copy.position[1], self._told_of()) < revision:  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(0.02)

    def _told_of(self) -> int:
        return self.told[-1].revision if self.told else self._began_at

    async def reaching(self, revision: int) -> None:
        """Wait for what is read, also where the file is behind."""
        async with asyncio.timeout(HANG_S):
            while self.copy.reached[1] < revision:  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(0.02)


def store_of(settings: Settings) -> Store:
    return Store(settings.role_dir(Role.CONTROLLER) / STORE_NAME)


@asynccontextmanager
async def controlled(settings: Settings) -> AsyncIterator[Store]:
    """Serve the roles' door in this process; yield the store, whose commits ring."""
    settings.runtime_dir.mkdir(exist_ok=True)
    bell = Bell()
    bell.attach(asyncio.get_running_loop())
    path = settings.role_dir(Role.CONTROLLER) / STORE_NAME
    store = Store(path, on_commit=lambda _revision: bell.ring())
    try:
        async with served(nodes_app(context_of(store, bell=bell)), settings.node_socket):
            yield store
    finally:
        store.close()


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[Followed]:
    copy = Copy(settings.role_dir(ROLE) / "copy.sqlite")
    followed = Followed(copy)
    follower = Follower(copy, role=ROLE, socket=settings.node_socket, on_commit=followed.note)
    task = asyncio.create_task(follower.run())
    try:
        yield followed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        copy.close()


def rows(settings: Settings) -> list[object]:
    """Return what the copy of the role must hold."""
    store = store_of(settings)
    with store.reading() as deployment:
        found: list[object] = [put.row for put in deployment.snapshot(NEEDS[ROLE])]
    store.close()
    return found


def held(copy: Copy) -> list[object]:
    return [*copy.orgs(), *copy.networks(), *copy.peers()]


def rendered(*events: Event) -> bytes:
    return b"".join(map(render_line, events))
