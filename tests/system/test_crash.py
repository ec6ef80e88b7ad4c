"""Nothing acknowledged is lost: every role is killed, again and again, while peers are added."""

import os
import queue
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.patience import HANG_S
from tests.system import agreement
from tests.system.enrolling import (
    Ledger,
    add_by_client,
    add_by_command,
    listens,
    remove_by_client,
)
from tests.system.forks import ServedGateway
from tests.system.hosts import Gateway, Host, Lab, Started, eventually, made_lab
from wgctl.client.api import Client

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

ROLES = ("controller", "gateway", "internal-api", "resolver")
ORGS = ("acme", "globex")
PEERS = 200
KILLS = 20
PER_LIFE = PEERS // KILLS
CLIENTS = 4
LONGEST_LIFE_S = 3.0


@dataclass
class Scene:
    """Two orgs with a client each, and roles that are started one by one."""

    lab: Lab
    roles: dict[str, Started]
    clients: dict[str, tuple[Host, str]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def gateway(self) -> Gateway:
        return self.lab.gateway

    def client(self) -> Client:
        return Client(self.gateway.folder / "run" / "api.sock", patience_s=0.0)

    def kill(self, role: str) -> None:
        """Kill a role and start it again, as a supervisor does."""
        process = self.roles[role]
        process.send_signal(signal.SIGKILL)
        status = process.wait(HANG_S)
        assert status == -signal.SIGKILL, f"{role} had ended by itself: {status}"
        self.roles[role] = self.gateway.run_role(role)


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
    made = Scene(lab, {role: gateway.run_role(role) for role in ROLES})
    gateway.wait_ready(*ROLES[1:])
    for org in ORGS:
        gateway.wgctl("org", "add", org)
        add_by_command(made.ledger, gateway, org, f"{org}-laptop")
        config = lab.config_path(org)
        (gateway.folder / f"{org}-laptop.conf").rename(config)
        resolver = next(p for p in gateway.json("network", "list", "--org", org))["resolver"]
        made.clients[org] = lab.client(), resolver
        config.write_text(re.sub(r"(?m)^(DNS|Post|Pre).*\n", "", config.read_text()))
        made.clients[org][0].tunnel_up(config)
    yield made
    gateway.wgctl("down", check=False)


def test_nothing_acknowledged_is_lost_when_every_role_is_killed_twenty_times(
    scene: Scene,
) -> None:
    """Each kill is by SIGKILL at a random moment; the seed tells them again."""
    seed = int(os.environ.get("WGCTL_TEST_SEED") or random.randrange(2**32))
    sys.stdout.write(f"seed {seed}\n")
    began = time.monotonic()

    _add_while_killing(scene, seed)

    settled = time.monotonic()
    _all_agree(scene)
    sys.stdout.write(
        f"{len(scene.ledger.given)} added, {len(scene.ledger.unanswered)} requests unanswered; "
        f"killing took {settled - began:.1f} s, agreement {time.monotonic() - settled:.1f} s\n"
    )
    said = scene.gateway.log.read_text()
    assert len(scene.ledger.given) == PEERS + len(ORGS)
    assert "Traceback" not in said
    assert "locked" not in said


def test_what_was_acknowledged_outlives_a_restart_of_everything(scene: Scene) -> None:
    """And the next address is one that nobody ever had."""
    for role in ROLES:
        scene.roles[role].terminate()
        scene.roles[role].wait(HANG_S)
    device = _device_pid(scene.gateway)
    assert device
    os.kill(device, signal.SIGKILL)
    for role in ROLES:
        scene.roles[role] = scene.gateway.run_role(role)
    _all_agree(scene)

    add_by_client(scene.ledger, scene.client(), ORGS[0], "the-next")

    _all_agree(scene)


def _add_while_killing(scene: Scene, seed: int) -> None:
    """Add `PEERS` peers, a few in each life of the controller, while all are killed."""
    names: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    killers: list[Callable[[random.Random], None]] = [
        lambda moments: _kill_controller(scene, moments, names),
        *(lambda moments, role=role: _kill_role(scene, moments, role) for role in ROLES[1:]),
        lambda moments: _kill_device(scene, moments),
    ]
    with ThreadPoolExecutor(len(killers) + CLIENTS + 1) as threads:
        adding = [
            threads.submit(_add, scene, names, by_command=number == 0)
            for number in range(CLIENTS + 1)
        ]
        killing = [
            threads.submit(killer, random.Random(seed + number))
            for number, killer in enumerate(killers)
        ]
        try:
            for killed in killing:
                killed.result()
        finally:
            for _ in adding:
                names.put(None)
        for added in adding:
            added.result()


def _add(scene: Scene, names: "queue.SimpleQueue[str | None]", *, by_command: bool) -> None:
    """Add peers by name until there are no more; a client removes every tenth of its own."""
    client, count = scene.client(), 0
    while (name := names.get()) is not None:
        org = ORGS[int(name.removeprefix("p")) % len(ORGS)]
        if by_command:
            add_by_command(scene.ledger, scene.gateway, org, name)
            continue
        add_by_client(scene.ledger, client, org, name)
        count += 1
        if count % 10 == 0:
            remove_by_client(scene.ledger, client, scene.ledger.standing[name])


def _kill_controller(
    scene: Scene, moments: random.Random, names: "queue.SimpleQueue[str | None]"
) -> None:
    """Kill it within the first requests that it answers, and once in three while it starts."""
    numbers = iter(range(PEERS))
    for life in range(KILLS):
        for _ in range(PER_LIFE):
            names.put(f"p{next(numbers)}")
        if life % 3 == 2:
            time.sleep(moments.uniform(0, 1))
        else:
            eventually(lambda: listens(scene.gateway), within_s=120, what="the controller listens")
            time.sleep(moments.uniform(0, 0.6))
        scene.kill("controller")


def _kill_role(scene: Scene, moments: random.Random, role: str) -> None:
    for _ in range(KILLS):
        time.sleep(moments.uniform(0, LONGEST_LIFE_S))
        scene.kill(role)


def _kill_device(scene: Scene, moments: random.Random) -> None:
    """Kill wireguard-go; the gateway starts it again, when it lives itself."""
    for _ in range(KILLS):
        pid = eventually(lambda: _device_pid(scene.gateway), within_s=120, what="wireguard-go")
        time.sleep(moments.uniform(0, LONGEST_LIFE_S))
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: _device_pid(scene.gateway) != pid, what="it is gone")  # type: ignore[misc]


def _all_agree(scene: Scene) -> None:
    """Wait until every part holds what was acknowledged, and say what differs if none does."""
    _wait_for_none(scene, lambda: _files_and_kernel(scene))
    for org, (host, resolver) in scene.clients.items():
        # A client that lost its session to a killed device would wait 15 s for the next.
        config = scene.lab.config_path(org)
        host.tunnel_down(config)
        host.tunnel_up(config)
        eventually(
            lambda host=host, at=resolver: host.dig("_api.internal", "AAAA", at=at),  # type: ignore[misc]
            what=f"the tunnel of {org}",
        )
    _wait_for_none(scene, lambda: _names(scene))


def _files_and_kernel(scene: Scene) -> list[str]:
    stored = agreement.read_store(scene.gateway)
    return [
        *agreement.unkept(stored, scene.ledger),
        *agreement.copies_differ(scene.gateway, stored),
        *agreement.kernel_differs(scene.gateway, stored),
    ]


def _names(scene: Scene) -> list[str]:
    return [
        difference
        for org, (host, resolver) in scene.clients.items()
        for difference in agreement.names_differ(host, scene.ledger, org=org, at=resolver)
    ]


def _wait_for_none(scene: Scene, differences: Callable[[], list[str]]) -> None:
    found = ["nothing was looked at"]

    def agree() -> bool:
        found[:] = differences()
        return not found

    try:
        eventually(agree, within_s=120)
    except AssertionError as error:
        told = "\n".join(found[:10])
        raise AssertionError(f"{told}\n{scene.gateway.log.read_text()[-4000:]}") from error


def _device_pid(gateway: Gateway) -> int:
    """Return the process of the device, 0 if there is none."""
    wanted = b"wireguard-go\0-f\0" + gateway.interface.encode() + b"\0"
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cmdline").read_bytes() == wanted:
                return int(entry.name)
        except OSError:
            continue
    return 0
