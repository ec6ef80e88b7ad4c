"""The checks of a real copy, and probes that find what the test says, in a loop without time."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from peers.keys import PublicKey
from peers.names import Label
from tests.daemon.clock import run_timeless
from wgctl.core.check import Target
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Delete, Kind, Put, Row
from wgctl.core.health import Health, Verdict
from wgctl.core.model import App, Check, Machine, MachineState, Network, Peer
from wgctl.daemon.follow import Changes
from wgctl.daemon.health import Checkup
from wgctl.daemon.ledger import Ledger
from wgctl.daemon.rounds import Rounds
from wgctl.store.copy import Copy
from wgctl.store.health import HealthFile

KEY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:18::/48"), 0)
APP = App(1, 1, 1, Label("web"), 0)
ADDRESS = IPv6Address("fdaa:0:18:10::2")
PEER = Peer(2, 1, 1, 1, Label("server"), "operator", KEY, ADDRESS, 0, None)
KINDS = {Network: Kind.NETWORK, Peer: Kind.PEER, App: Kind.APP, Machine: Kind.MACHINE}


def machine(number: int) -> Machine:
    return Machine(
        *(number, 1, 1, APP.id, PEER.id, Label(f"m{number}"), Label("ams"), Label("app")),
        *((), {}, MachineState.STARTED, 0),
    )


def check(number: int) -> Check:
    """Return the check of machine `number`, of its port `number`."""
    return Check(
        *(100 + number, 1, 1, number, Target(number)),
        interval_s=10,
        timeout_s=2,
        grace_s=30,
        rise=2,
        fall=3,
    )


def put(row: Row) -> Put:
    return Put(KINDS.get(type(row), Kind.CHECK), row)


class Scene:
    """A checkup of what the copy holds; `sick` are the ports that fail, `blind` none is asked."""

    def __init__(self, copy: Copy, file: HealthFile) -> None:
        self._copy = copy
        self.sick: set[int] = set()
        self.blind = False
        self.asked: Counter[int] = Counter()
        self.left_out: dict[int, frozenset[int]] = {}
        self.heard: list[frozenset[int]] = []
        self.ledger = Ledger(file)
        self.rounds = Rounds()
        self.checkup = Checkup(
            *(copy, self.ledger, self.rounds),
            probe=self._probe,
            on_failing=self._leave_out,
        )

    async def _probe(self, address: IPv6Address, target: Target, *, timeout_s: float) -> Verdict:
        assert (address, timeout_s) == (ADDRESS, 2)
        self.asked[target.port] += 1
        await asyncio.sleep(0.1)
        if self.blind:
            raise Unavailable("no device")
        sick = target.port in self.sick
        return Verdict(not sick, f"{target.place}: {'refused' if sick else 'connected'}")

    def _leave_out(self, network_id: int, failing: frozenset[int]) -> None:
        self.heard.append(failing)
        self.left_out[network_id] = failing

    @property
    def failing(self) -> frozenset[int]:
        return self.left_out.get(NETWORK.id, frozenset())

    def commit(self, *events: Put | Delete, replaced: bool = False) -> None:
        revision = self._copy.position[1] + 1
        self._copy.write(events, epoch="e", revision=revision)
        told = () if replaced else events
        self.checkup.take(Changes(replaced=replaced, events=told, revision=revision))

    def moves(self, number: int) -> list[Health]:
        return [moved.after for moved in self.ledger.of(number).transitions]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    opened = Copy(tmp_path / "copy.sqlite")
    rows: list[Row] = [NETWORK, PEER, APP, machine(1), machine(2)]
    opened.write([put(row) for row in rows], epoch="e", revision=1)
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HealthFile]:
    opened = HealthFile(tmp_path / "health.sqlite")
    yield opened
    opened.close()


async def begun(
    copy: Copy, file: HealthFile, *numbers: int, sick: int = 0, after_s: float = 0
) -> Scene:
    """Return a scene `after_s` seconds after checks were put on these machines."""
    scene = Scene(copy, file)
    scene.sick = {sick}
    scene.checkup.start()
    scene.commit(*(put(check(number)) for number in numbers))
    await asyncio.sleep(after_s)
    return scene


def run(scene: Coroutine[Any, Any, None]) -> None:
    run_timeless(scene)


def test_a_machine_that_fails_is_left_out_and_one_that_recovers_is_not(
    copy: Copy, file: HealthFile
) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1, 2, after_s=60)
        assert scene.failing == frozenset()
        scene.sick = {1}
        await asyncio.sleep(31)
        assert scene.failing == {1}
        scene.sick = set()
        await asyncio.sleep(21)
        assert scene.failing == frozenset()
        await asyncio.sleep(60)

        assert scene.heard == [frozenset({1}), frozenset()]
        assert scene.moves(1) == [Health.HEALTHY, Health.UNHEALTHY, Health.HEALTHY]
        reasons = [moved.reason for moved in scene.ledger.of(1).transitions]
        assert reasons == ["tcp 1: connected", "tcp 1: refused", "tcp 1: connected"]
        assert scene.moves(2) == [Health.HEALTHY]
        assert scene.asked[1] == scene.asked[2]

    run(story())


def test_a_check_that_is_put_on_asks_at_once_and_empties_no_answer(
    copy: Copy, file: HealthFile
) -> None:
    """Not before so many failures in a row after the grace."""

    async def story() -> None:
        scene = await begun(copy, file, 1, sick=1, after_s=0.5)
        assert scene.asked[1] == 1
        await asyncio.sleep(49)
        assert scene.failing == frozenset()
        await asyncio.sleep(2)

        assert scene.failing == {1}

    run(story())


def test_a_machine_that_is_started_is_left_out_until_it_passes(
    copy: Copy, file: HealthFile
) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1, after_s=5)
        scene.commit(put(replace(machine(1), state=MachineState.STOPPED)))
        before = scene.asked[1]
        await asyncio.sleep(60)
        assert scene.asked[1] == before
        assert scene.failing == frozenset()
        scene.sick = {1}
        scene.commit(put(machine(1)))
        await asyncio.sleep(25)
        assert scene.failing == {1}
        scene.sick = set()
        await asyncio.sleep(6)

        assert scene.failing == frozenset()
        assert scene.moves(1) == [Health.HEALTHY, Health.STARTING, Health.HEALTHY]
        scene.commit(put(machine(1)))  # of something else: it is not started anew
        assert scene.failing == frozenset()

    run(story())


@pytest.mark.parametrize("replaced", [False, True], ids=["feed", "snapshot"])
@pytest.mark.parametrize(
    "event",
    [
        Delete(Kind.CHECK, check(1).id),
        put(replace(machine(1), state=MachineState.STOPPED)),
    ],
    ids=["off", "stopped"],
)
def test_what_is_not_probed_any_more_is_not_left_out(
    copy: Copy, file: HealthFile, event: Put | Delete, *, replaced: bool
) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1, 2, sick=1, after_s=120)
        assert scene.failing == {1}
        scene.commit(event, replaced=replaced)
        before = scene.asked[1]
        assert scene.failing == frozenset()
        await asyncio.sleep(60)

        assert scene.asked[1] == before
        assert scene.failing == frozenset()
        assert scene.asked[2] > before
        kept = scene.ledger.of(1).health
        assert kept is (Health.UNKNOWN if isinstance(event, Delete) else Health.UNHEALTHY)

    run(story())


def test_a_machine_goes_with_its_check(copy: Copy, file: HealthFile) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1, sick=1, after_s=120)
        scene.commit(Delete(Kind.CHECK, check(1).id), Delete(Kind.MACHINE, 1))

        assert scene.failing == frozenset()
        assert file.read() == []

    run(story())


def test_other_times_apply_at_once_and_leave_a_machine_what_it_is(
    copy: Copy, file: HealthFile
) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1, sick=1, after_s=120)
        scene.commit(put(replace(check(1), interval_s=2)))
        before = scene.asked[1]
        assert scene.failing == {1}
        await asyncio.sleep(20)

        assert scene.failing == {1}
        assert scene.asked[1] - before == 10

    run(story())


def test_another_target_begins_anew(copy: Copy, file: HealthFile) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1, sick=1, after_s=120)
        scene.commit(put(replace(check(1), target=Target(80))))

        assert scene.failing == frozenset()
        assert scene.moves(1) == [Health.UNHEALTHY, Health.UNKNOWN]

    run(story())


def test_a_restart_begins_where_it_ended(copy: Copy, file: HealthFile) -> None:
    """So that a machine that is down is not answered for half a minute, and no other left out."""

    async def story() -> None:
        scene = await begun(copy, file, 1, 2, sick=1, after_s=120)
        scene.rounds.close()
        again = Scene(copy, file)
        again.sick = {1}
        again.checkup.start()
        assert again.failing == {1}
        await asyncio.sleep(120)

        assert again.failing == {1}
        assert again.moves(1) == [Health.UNHEALTHY]
        assert again.moves(2) == [Health.HEALTHY]

    run(story())


def test_an_empty_copy_forgets_nobody_before_its_snapshot(
    copy: Copy, file: HealthFile, tmp_path: Path
) -> None:
    """It was set aside as damaged, while the controller is away: the records are as they were."""

    async def story() -> None:
        scene = await begun(copy, file, 1, 2, sick=1, after_s=120)
        scene.rounds.close()
        anew = Copy(tmp_path / "anew.sqlite")
        again = Scene(anew, file)
        again.checkup.start()
        assert [record.machine_id for record in file.read()] == [1, 2]
        anew.write([put(row) for row in (NETWORK, PEER, APP, machine(1))], epoch="e", revision=9)
        again.commit(put(check(1)), replaced=True)

        assert again.failing == {1}
        assert [record.machine_id for record in file.read()] == [1]
        anew.close()

    run(story())


def test_without_memory_nobody_is_left_out_before_so_many_failures(
    copy: Copy, file: HealthFile
) -> None:
    async def story() -> None:
        copy.write([put(check(1)), put(check(2))], epoch="e", revision=2)
        scene = Scene(copy, file)
        scene.sick = {1, 2}
        scene.checkup.start()
        await asyncio.sleep(20)
        assert scene.failing == frozenset()
        await asyncio.sleep(11)

        assert scene.failing == {1, 2}

    run(story())


def test_a_host_that_cannot_ask_holds_nothing_against_a_machine(
    copy: Copy, file: HealthFile
) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1)
        scene.blind = True
        await asyncio.sleep(600)

        assert scene.asked[1] == 60
        assert scene.failing == frozenset()
        assert scene.moves(1) == []

    run(story())


def test_a_snapshot_without_a_check_forgets_it_and_goes_on_with_the_others(
    copy: Copy, file: HealthFile
) -> None:
    async def story() -> None:
        scene = await begun(copy, file, 1, 2, sick=1, after_s=120)
        scene.commit(Delete(Kind.CHECK, check(2).id), replaced=True)

        assert scene.failing == {1}
        assert [record.machine_id for record in file.read()] == [1]

    run(story())
