"""What many peers cost the store, the feed and a role's copy: real processes, one host.

Prints, beside a loop that tells how fast the machine is at the moment:

    first copy    a resolver with an empty folder, until it answers for the last peer
    start         the same resolver again, with its copy there
    changes       what one costs the resolver's process, at 100 a second
    peer add      acknowledged a second, with 1 and 8 clients that keep their connections

With QUICK=1 of 100,000 peers in 1,000 networks alone; else of 1,000,000 in 10,000, with 100,000
machines, too.
"""

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bench.crowd import fill
from wgctl.client.api import Client
from wgctl.client.resolver import ask
from wgctl.core.errors import Unavailable

WGCTL = str(Path(sys.executable).parent / "wgctl")
CROWDS = {"100,000": (1_000, 100_000, 0), "1,000,000": (10_000, 1_000_000, 100_000)}
CHANGES, A_SECOND, ADDING_S, CLIENTS = 500, 100, 5.0, 8
PATIENCE_S = 300.0


def main() -> None:
    """Print the figures."""
    for title in list(CROWDS)[: 1 if os.environ.get("QUICK") else None]:
        networks, peers, machines = CROWDS[title]
        with tempfile.TemporaryDirectory(prefix="wgctl-bench-") as name:
            host = _Host(Path(name))
            fill(host.store, networks=networks, peers=peers, machines=machines)
            with host.role("controller"):
                _measure(host, title, networks)


def _measure(host: "_Host", title: str, networks: int) -> None:
    host.wait_for_controller()
    of_many = title == "1,000,000"
    for what in ("first copy", "start"):
        began = time.perf_counter()
        with host.role("resolver") as role:
            _until(host.answers)
            taken = time.perf_counter() - began
            _tell(f"{what} of {title}", taken, "s", None if of_many and what != "start" else 3.0)
            _tell(f"{what} of {title}, memory", _peak_mb(role), "MB", 300 if of_many else 400)
    with host.role("resolver") as role:
        _until(host.answers)
        before = _cpu_s(role)
        adder = _Adder(host, networks, 0)
        for _ in range(CHANGES):
            began = time.perf_counter()
            adder.add()
            time.sleep(max(0.0, 1 / A_SECOND - (time.perf_counter() - began)))
        _tell(f"a change among {title}", (_cpu_s(role) - before) / CHANGES * 1000, "ms", 1.0)
    for clients, goal in ((1, 300), (CLIENTS, 600)):
        rate = _adding(host, networks, clients)
        _tell(f"peer add, {clients} clients, {title}", rate, "/s", goal, least=True)


def _tell(what: str, value: float, unit: str, goal: float | None, *, least: bool = False) -> None:
    """Print one figure; its goal is the most that it may be, or the `least`."""
    held = "" if goal is None else "holds" if (value >= goal) == least else "MISSED"
    print(
        f"{what:<36}{value:>10.2f} {unit:<3}{goal or '':>8}  {held:<7}"
        f" a million additions: {_loop_ms():.0f} ms",
        flush=True,
    )


def _loop_ms() -> float:
    """Return how long this machine takes for a loop that nothing in wgctl makes faster."""
    began, total = time.perf_counter(), 0
    for number in range(1_000_000):
        total += number
    return (time.perf_counter() - began) * 1000


def _adding(host: "_Host", networks: int, clients: int) -> float:
    """Return how many peers are acknowledged a second when `clients` add them at once."""
    adders = [_Adder(host, networks, number + 1) for number in range(clients)]
    ends = time.perf_counter() + ADDING_S
    threads = [threading.Thread(target=adder.add_until, args=(ends,)) for adder in adders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(adder.added for adder in adders) / ADDING_S


class _Adder:
    """One client, which keeps its connection."""

    def __init__(self, host: "_Host", networks: int, number: int) -> None:
        self.added = 0
        self._networks = networks
        self._name = f"{time.time_ns()}-{number}"
        self._connection = http.client.HTTPConnection("wgctl")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.connect(str(host.folder / "run" / "api.sock"))

    def add(self) -> None:
        key = base64.b64encode(os.urandom(31) + b"\x01").decode()
        body = json.dumps({"name": f"{self._name}-{self.added}", "public_key": key})
        org = f"org-{1 + self.added % self._networks}"
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", f"/v1/orgs/{org}/peers", body, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != http.HTTPStatus.CREATED:
            raise SystemExit(f"bench: a peer was not added: {answer.status} {said.decode()}")
        self.added += 1

    def add_until(self, ends: float) -> None:
        while time.perf_counter() < ends:
            self.add()


class _Host:
    """One host in a folder of its own, without a tunnel: its roles answer on their sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "state" / "controller" / "store.sqlite"
        config = folder / "wgctl.toml"
        config.write_text(
            f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            '[gateway]\nregion = "ams"\nendpoint = "203.0.113.7:51820"\ninterface = "wgbench0"\n'
        )
        self._environment = {**os.environ, "WGCTL_CONFIG": str(config)}
        subprocess.run([WGCTL, "init"], check=True, capture_output=True, env=self._environment)

    @contextmanager
    def role(self, role: str) -> Iterator[int]:
        """Run `role`; yield the id of its process."""
        with (self.folder / f"{role}.log").open("wb") as log:
            process = subprocess.Popen(
                [WGCTL, "run", role], env=self._environment, stdout=log, stderr=log
            )
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)

    def wait_for_controller(self) -> None:
        client = Client(self.folder / "run" / "api.sock")

        def serves() -> bool:
            with suppress(Unavailable):
                self._resolver = client.network("org-1", "default").resolver
                return True
            return False

        _until(serves)

    def answers(self) -> bool:
        """Whether the resolver answers for the first peer of the first network."""
        with suppress(Unavailable, OSError):
            found = ask(
                self.folder / "run" / "resolver.sock",
                asker=self._resolver,
                name="peer-0000001._peer.internal",
            )
            return bool(found.answers)
        return False


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: nothing answered within {PATIENCE_S:.0f} s")
        time.sleep(0.01)


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
