"""The leases of a host: a copy, the resolver's file, and a controller that may be away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from peers.names import Label
from tests.api.asking import context_of, served
from tests.patience import HANG_S
from tests.store import samples
from tests.store.walk import EVERYTHING
from wgctl.api.nodes import nodes_app
from wgctl.client.node import Node
from wgctl.core.errors import Conflict, Denied, NotFound, Unavailable
from wgctl.core.feed import Delete, Kind
from wgctl.core.lease import Standing
from wgctl.core.lease_schema import Announced, Announcement, NewLease, Renewal
from wgctl.core.schema import SelfReply
from wgctl.daemon.follow import Changes
from wgctl.daemon.leases import Leases
from wgctl.drivers import lease_file
from wgctl.services import app, machine
from wgctl.store.copy import Copy
from wgctl.store.store import Store

HOLDER = "0123456789abcdef" * 2
NEW = NewLease(app="web", name="one", holder=HOLDER)


class Scene:
    """A store with a peer and an app, a role's copy of it, and its leases."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.now = 100.0
        self.store = store
        self.socket = folder / "node.sock"
        self.file = folder / "run" / "standings"
        app.add(store, "acme", "default", Label("web"), now=samples.NOW)
        found = samples.add_peer(store, "acme", 1).peer
        self.asker = SelfReply(
            org="acme", network="default", peer=found.name, address=found.address
        )
        self.copy = Copy(folder / "copy.sqlite")
        self.follow()
        self.leases = self.started()

    def started(self) -> Leases:
        """Return the leases as the role finds them when it starts."""
        return Leases(self.copy, node=Node(self.socket), path=self.file, clock=lambda: self.now)

    def follow(self) -> None:
        """Bring the copy to where the store is."""
        with self.store.reading() as deployment, self.copy.replacing() as replacement:
            for put in deployment.snapshot(EVERYTHING):
                replacement.add(put)
            replacement.commit(epoch="e", revision=deployment.revision)

    async def announce(self) -> None:
        """Announce the machine `one`, and have that written down."""
        async with self.running():
            await self.leases.announce(self.asker, NEW)
            await self.until(lambda: lease_file.read(self.file) != {})

    def renew(self, *, healthy: bool = True) -> None:
        self.leases.renew(self.asker, "one", Renewal(holder=HOLDER, healthy=healthy))

    def names(self) -> list[str]:
        found = machine.listed(self.store, "acme", network=None, app=None)
        return [facts.machine.name for facts in found]

    @asynccontextmanager
    async def running(self, *, controller: bool = True) -> AsyncIterator[None]:
        """Run the leases for the block, and a controller."""
        task = asyncio.create_task(self.leases.run())
        try:
            if controller:
                async with served(nodes_app(context_of(self.store)), self.socket):
                    yield
            else:
                yield
        finally:
            task.cancel()

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_S):
            while not check():  # noqa: ASYNC110  # a file and a store have no event
                await asyncio.sleep(0.02)


class FullController(Node):
    """Notes who announces, lets nobody go on before `ready`, and has no room."""

    def __init__(self, socket: Path) -> None:
        """Begin with nobody heard; nothing is at `socket`."""
        super().__init__(socket)
        self.heard: list[str] = []
        self.ready = asyncio.Event()

    async def announce(self, said: Announcement) -> Announced:
        self.heard.append(said.org)
        await self.ready.wait()
        raise Conflict("no room")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.furnish(tmp_path_factory.mktemp("template"))


@pytest.fixture
def scene(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("n")
    for store in samples.opened(furnished, folder):
        made = Scene(folder, store)
        yield made
        made.copy.close()


def test_an_announced_machine_is_told_to_the_resolver_and_the_controller(scene: Scene) -> None:
    async def live() -> None:
        context = context_of(scene.store)
        async with served(nodes_app(context), scene.socket):
            task = asyncio.create_task(scene.leases.run())
            said = await scene.leases.announce(scene.asker, NEW)
            [found] = machine.listed(scene.store, "acme", network=None, app=None)
            id_ = found.machine.id
            expected = {id_: Standing(115.0, healthy=True, holder=HOLDER)}
            await scene.until(lambda: lease_file.read(scene.file) == expected)
            scene.now = 104.0
            scene.renew(healthy=False)
            expected = {id_: Standing(119.0, healthy=False, holder=HOLDER)}
            await scene.until(lambda: lease_file.read(scene.file) == expected)
            scene.now = 110.0
            await scene.until(
                lambda: (
                    (sight := context.observations.lease_of(id_)) is not None
                    and (sight.ends_at, sight.healthy) == (samples.NOW + 9, False)
                )
            )
            task.cancel()
        assert (said.name, said.address) == ("one", scene.asker.address)

    asyncio.run(live())


def test_an_end_is_told_when_the_controller_hears_of_it(scene: Scene) -> None:
    async def live() -> None:
        await scene.announce()
        scene.now += 20
        async with scene.running(controller=False):
            await asyncio.sleep(0)
        assert scene.names() == ["one"]
        async with scene.running():
            await scene.until(lambda: scene.names() == [])

    asyncio.run(live())


def test_without_a_controller_renewals_count_and_announcements_wait(scene: Scene) -> None:
    async def live() -> None:
        await scene.announce()
        scene.now += 14
        scene.renew()
        async with scene.running(controller=False):
            with pytest.raises(Unavailable):
                await scene.leases.announce(scene.asker, NEW.model_copy(update={"name": "two"}))
            await scene.until(
                lambda: [one.ends_at for one in lease_file.read(scene.file).values()] == [129.0]
            )

    asyncio.run(live())


def test_a_role_that_starts_again_goes_on_where_it_was(scene: Scene) -> None:
    asyncio.run(scene.announce())
    scene.follow()
    scene.now += 5
    scene.leases = scene.started()
    with pytest.raises(Conflict, match="another announcer"):
        scene.leases.renew(scene.asker, "one", Renewal(holder="f" * 32))
    scene.renew()
    scene.file.write_text("damaged")
    scene.leases = scene.started()
    scene.renew()


def test_what_is_withdrawn_is_gone_at_once(scene: Scene) -> None:
    async def live() -> None:
        async with scene.running():
            await scene.leases.announce(scene.asker, NEW)
            scene.leases.withdraw(scene.asker, "one", HOLDER)
            await scene.until(lambda: scene.names() == [])
            await scene.until(
                lambda: [one.ends_at for one in lease_file.read(scene.file).values()] == [100.0]
            )

    asyncio.run(live())


def test_it_follows_what_operators_do(scene: Scene) -> None:
    asyncio.run(scene.announce())
    id_ = machine.shown(scene.store, "acme", "default", "one").machine.id
    scene.leases.take(Changes(replaced=False, events=(Delete(Kind.MACHINE, id_),), revision=9))
    with pytest.raises(Conflict, match="was removed"):
        scene.renew()

    scene.leases.take(Changes(replaced=True, events=(), revision=9))
    with pytest.raises(NotFound):
        scene.renew()


def test_a_peer_that_is_not_in_the_copy_is_denied(scene: Scene) -> None:
    stranger = scene.asker.model_copy(update={"address": scene.asker.address + 7})

    with pytest.raises(Denied):
        scene.leases.renew(stranger, "one", Renewal(holder=HOLDER))


def test_no_network_waits_for_more_than_one_announcement_of_another(scene: Scene) -> None:
    other = samples.add_peer(scene.store, "globex", 2).peer
    elsewhere = SelfReply(org="globex", network="default", peer=other.name, address=other.address)
    scene.follow()
    node = FullController(scene.socket)
    leases = Leases(scene.copy, node=node, path=scene.file, clock=lambda: scene.now)

    async def live() -> None:
        async with asyncio.TaskGroup() as all_at_once:

            async def announce(asker: SelfReply) -> None:
                with pytest.raises(Conflict, match="no room"):
                    await leases.announce(asker, NEW)

            for asker in [scene.asker] * 4 + [elsewhere]:
                all_at_once.create_task(announce(asker))
            await scene.until(lambda: node.heard != [])
            node.ready.set()

    asyncio.run(live())
    assert node.heard == ["acme", "globex", "acme", "acme", "acme"]
