"""Many who enrol peers at once: each gets one of its own, and nobody hears of a lock."""

import json
import random
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier

import pytest

from peers.keys import PrivateKey
from tests.system import agreement
from tests.system.enrolling import Acknowledged, Ledger, add_by_command
from tests.system.forks import ServedGateway
from tests.system.hosts import Gateway, Lab, eventually, made_lab
from wgctl.client.api import Client
from wgctl.core import schema
from wgctl.core.errors import Conflict

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

AT_ONCE = 50
EACH = 40
BY_COMMAND = 20
"""So many of them add each twentieth of theirs with the command, which takes 0.4 s of a core."""


@dataclass
class Scene:
    """A served gateway with one org."""

    gateway: Gateway
    ledger: Ledger = field(default_factory=Ledger)

    def client(self) -> Client:
        """Return a client that waits long, and says so to the ledger when it asks again."""
        return Client(
            self.gateway.folder / "run" / "api.sock",
            patience_s=60.0,
            on_wait=self.ledger.note_unanswered,
        )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Threads kill and add here."""
    with made_lab(ServedGateway) as made:
        yield made


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    gateway = lab.gateway
    gateway.write_config()
    gateway.init()
    gateway.serve()
    gateway.wgctl("org", "add", "acme")
    yield Scene(gateway)
    gateway.wgctl("down", check=False)


def test_fifty_at_once_add_forty_peers_each(scene: Scene) -> None:
    """A refusal, a 5xx and a lost answer fail; a busy machine alone may let one wait 30 s."""
    start = Barrier(AT_ONCE)
    began = time.monotonic()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        adding = [threads.submit(_add, scene, start, number) for number in range(AT_ONCE)]
        taken_s = sorted(one for added in adding for one in added.result())

    added_s = time.monotonic() - began
    _all_agree(scene)
    sys.stdout.write(
        f"{len(taken_s)} requests in {added_s:.1f} s: median {statistics.median(taken_s):.3f} s, "
        f"p99 {taken_s[int(len(taken_s) * 0.99)]:.3f} s; "
        f"agreement after {time.monotonic() - began - added_s:.1f} s\n"
    )
    given = scene.ledger.given
    assert [why for why in scene.ledger.unanswered if "TimeoutError" not in why] == []
    assert len({peer.name for peer in given}) == len(given) == AT_ONCE * EACH
    assert len({peer.key for peer in given}) == len(given)
    said = scene.gateway.log.read_text()
    assert "locked" not in said
    assert "Traceback" not in said


def test_one_of_fifty_gets_a_name_that_all_want(scene: Scene) -> None:
    start = Barrier(AT_ONCE)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        asking = [threads.submit(_wish, scene, start, "wanted") for _ in range(AT_ONCE)]
        winners = [peer for asked in asking if (peer := asked.result()) is not None]

    assert len(winners) == 1
    scene.ledger.add(winners[0])
    _all_agree(scene)


def test_the_same_request_fifty_times_at_once_is_one_peer(scene: Scene) -> None:
    start, new = Barrier(AT_ONCE), _new("same")

    def ask() -> schema.Enrolment:
        start.wait()
        return scene.client().add_peer("acme", new)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        asking = [threads.submit(ask) for _ in range(AT_ONCE)]
        addresses = {asked.result().peer.address for asked in asking}

    (address,) = addresses
    scene.ledger.add(Acknowledged("acme", "same", new.public_key, address))
    _all_agree(scene)


def test_adding_and_removing_at_once_gives_no_address_twice(scene: Scene) -> None:
    start, standing = Barrier(AT_ONCE), list(scene.ledger.standing.values())
    leaving = random.sample([peer for peer in standing if peer.name.startswith("p-")], AT_ONCE)

    def replace(peer: Acknowledged) -> None:
        client, new = scene.client(), _new(f"after-{peer.name}")
        start.wait()
        client.remove_peer("acme", "default", peer.name)
        scene.ledger.remove(peer)
        found = client.add_peer("acme", new).peer
        scene.ledger.add(Acknowledged("acme", found.name, found.public_key, found.address))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for replaced in [threads.submit(replace, peer) for peer in leaving]:
            replaced.result()

    _all_agree(scene)
    listed = json.loads(scene.gateway.wgctl("peer", "list", "--org", "acme", "--json").stdout)
    assert {peer["name"] for peer in listed} == set(scene.ledger.standing)


def _add(scene: Scene, start: Barrier, number: int) -> list[float]:
    """Add peers one after the other; return how long each request took."""
    client, taken_s = scene.client(), []
    start.wait()
    for count in range(EACH):
        name = f"p-{number}-{count}"
        began = time.monotonic()
        if number < BY_COMMAND and count % 20 == 0:
            add_by_command(scene.ledger, scene.gateway, "acme", name)
            continue
        new = _new(name)
        found = client.add_peer("acme", new).peer
        taken_s.append(time.monotonic() - began)
        scene.ledger.add(Acknowledged("acme", name, new.public_key, found.address))
    return taken_s


def _wish(scene: Scene, start: Barrier, name: str) -> Acknowledged | None:
    new = _new(name)
    start.wait()
    try:
        found = scene.client().add_peer("acme", new).peer
    except Conflict:
        return None
    return Acknowledged("acme", name, new.public_key, found.address)


def _new(name: str) -> schema.NewPeer:
    return schema.NewPeer(name=name, public_key=PrivateKey.generate().public())


def _all_agree(scene: Scene) -> None:
    found = ["nothing was looked at"]

    def agree() -> bool:
        stored = agreement.read_store(scene.gateway)
        found[:] = [
            *agreement.unkept(stored, scene.ledger),
            *agreement.copies_differ(scene.gateway, stored),
            *(one[:500] for one in agreement.kernel_differs(scene.gateway, stored)),
        ]
        return not found

    try:
        eventually(agree, within_s=120)
    except AssertionError as error:
        raise AssertionError("\n".join(found[:10])) from error
