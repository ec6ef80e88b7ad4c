"""Network namespaces: one for the client, one for each server, joined by a veth pair each."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import NamedTuple

from tests.bench.dns.load import Figures, Query, save
from tests.bench.dns.names import Names
from tests.bench.dns.servers import Server

__all__ = ["Lab", "Running", "Usage"]

SERVER_CPU, CLIENT_CPU = "0", "1"
_READY_S = 60.0
_POOL = IPv6Network("fdaa::/16")


class Usage(NamedTuple):
    """What a server with its children has taken: seconds of processor, bytes of memory."""

    processor_s: float
    memory_bytes: int


class Running:
    """A server that runs, and how it is asked."""

    def __init__(
        self, lab: "Lab", server: Server, number: int, process: "subprocess.Popen[bytes]"
    ) -> None:
        self.name = server.name
        self.namespace = lab.namespace(number)
        self._lab = lab
        self._process = process
        self._queries: dict[str, Path] = {}

    def prepare(self, row: str, queries: Sequence[Query]) -> None:
        """Lay out what is asked in `row`."""
        self._queries[row] = self._lab.folder / f"{self.name}-{row}"
        save(self._queries[row], queries)

    def ask(self, row: str, seconds: float, *rate: int) -> tuple[Figures, Usage]:
        """Ask what was laid out, so many a second at most, and return what came back.

        With that comes what it took of the server.
        """
        command = [sys.executable, "-m", "tests.bench.dns.load", str(self._queries[row])]
        before = self.usage()
        printed = self._lab.in_client(*command, str(seconds), *map(str, rate))
        after = self.usage()
        return Figures(**json.loads(printed)), Usage(
            after.processor_s - before.processor_s, after.memory_bytes
        )

    def usage(self) -> Usage:
        """Return what all of its processes have taken."""
        pids = _ip("netns", "pids", self.namespace).split()
        times = [_processor_s(int(pid)) for pid in pids]
        return Usage(sum(times), sum(_memory_bytes(int(pid)) for pid in pids))

    def wait(self, query: Query) -> None:
        """Wait until `query` is answered."""
        path = self._lab.folder / f"{self.name}-first"
        save(path, [query])
        deadline = time.monotonic() + _READY_S
        while True:
            if self._process.poll() is not None:
                raise SystemExit(f"{self.name} ended: see {self._lab.folder}/{self.name}.log")
            try:
                if self._lab.answers(path):
                    return
            except subprocess.CalledProcessError:
                pass
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name} does not answer")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


class Lab:
    """The client's namespace, and a folder for everything."""

    def __init__(self, folder: Path, names: Names) -> None:
        """Make the client's namespace, where the address of every peer is its own."""
        self.folder = folder
        self._names = names
        self._tag = secrets.token_hex(3)
        self._servers: list[Running] = []
        self._client = f"wbc{self._tag}"
        _ip("netns", "add", self._client)
        self._in(self._client, "ip", "link", "set", "lo", "up")
        peers = (names.network(number).prefix[16 << 64] for number in range(1, names.networks + 1))
        self._batch(self._client, [f"route add local {one}/64 dev lo" for one in peers])

    def namespace(self, number: int) -> str:
        """Return the name of a server's namespace."""
        return f"wbs{number}{self._tag}"

    def start(self, server: Server) -> tuple[Running, IPv6Address | None]:
        """Start a server, and return where all ask it; None: each at its own network's."""
        number = len(self._servers) + 1
        shared = IPv6Address(f"fd00:{number}::53")
        namespace, folder = self.namespace(number), self.folder / server.name
        folder.mkdir()
        self._join(number, [shared] if server.shared else self._resolvers())
        command = server.start(self._names, folder, shared)
        with (self.folder / f"{server.name}.log").open("wb") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, "taskset", "-c", SERVER_CPU, *command],
                stdout=log,
                stderr=log,
            )
        running = Running(self, server, number, process)
        self._servers.append(running)
        target = shared if server.shared else None
        running.wait(self._names.queries(target)[0])
        return running, target

    def changing(self, running: Running, seconds: float) -> "subprocess.Popen[str]":
        """Begin to commit changes to what a resolver of ours follows, for so long."""
        path = self.folder / running.name / "run" / "node.sock"
        sizes = (str(self._names.networks), str(self._names.apps))
        command = ["taskset", "-c", CLIENT_CPU, sys.executable, "-m", "tests.bench.dns.changes"]
        return subprocess.Popen(
            ["ip", "netns", "exec", self._client, *command, str(path), *sizes, str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def in_client(self, *command: str) -> str:
        """Return what a command prints in the client's namespace, on the client's processor."""
        return self._in(self._client, "taskset", "-c", CLIENT_CPU, *command)

    def answers(self, path: Path) -> bool:
        """Whether the queries that were saved at `path` are answered."""
        command = [sys.executable, "-m", "tests.bench.dns.load", str(path), "0.05"]
        return bool(json.loads(self._in(self._client, *command))["rate"])

    def close(self) -> None:
        """End every server, and take away what was made."""
        for running in self._servers:
            running.stop()
        for number in range(1, len(self._servers) + 1):
            subprocess.run(["ip", "netns", "delete", self.namespace(number)], check=False)
        subprocess.run(["ip", "netns", "delete", self._client], check=False)

    def _resolvers(self) -> list[IPv6Address]:
        numbers = range(1, self._names.networks + 1)
        return [self._names.network(number).resolver for number in numbers]

    def _join(self, number: int, addresses: Sequence[IPv6Address]) -> None:
        """Make a server's namespace, with `addresses` on its device `tunnel`."""
        namespace, there = self.namespace(number), f"to{number}"
        _ip("netns", "add", namespace)
        for each in (namespace, self._client):
            self._in(each, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        peer = ("peer", "name", there, "netns", self._client)
        _ip("-n", namespace, "link", "add", "tunnel", "type", "veth", *peer)
        for each, device in ((namespace, "tunnel"), (namespace, "lo"), (self._client, there)):
            _ip("-n", each, "link", "set", device, "up")
        _ip("-n", namespace, "addr", "add", f"fe80::{number}:1/64", "dev", "tunnel", "nodad")
        _ip("-n", self._client, "addr", "add", f"fe80::{number}:2/64", "dev", there, "nodad")
        back = ("via", f"fe80::{number}:2", "dev", "tunnel")
        _ip("-n", namespace, "-6", "route", "add", str(_POOL), *back)
        self._batch(namespace, [f"addr add {one}/128 dev tunnel nodad" for one in addresses])
        to = addresses[0] if addresses[0] not in _POOL else _POOL
        gateway = ("via", f"fe80::{number}:1", "dev", there)
        _ip("-n", self._client, "-6", "route", "add", str(to), *gateway)

    @staticmethod
    def _batch(namespace: str, lines: Sequence[str]) -> None:
        subprocess.run(
            ["ip", "-n", namespace, "-6", "-batch", "-"],
            input="\n".join(lines),
            text=True,
            check=True,
        )

    @staticmethod
    def _in(namespace: str, *command: str) -> str:
        return _ip("netns", "exec", namespace, *command)


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def _processor_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    """Return the process's own memory and its share of what it has in common with others."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
