"""What a hostile upstream costs those who ask for names of their own network.

Runs the resolver role over a copy of its own on a host of its own, and asks it from another for a
machine's name, one query after the other. Meanwhile eight networks together put twenty, or a
hundred, new questions a second to an upstream that is silent or sends garbage; to one that answers
them; or none to any. These sorts of rounds take turns; a round's figures are the medians of its
parts, which what else the host does for a moment leaves alone, a result is that of the ratios. The
goal is for what hostility costs; beside it stands what it costs to forward at all. The askers of
new questions and the upstream, which would be on hosts of their own, give way to the resolver and
to who asks it for a machine's name.
As root, since it makes two network namespaces.
"""

import asyncio
import multiprocessing
import os
import random
import secrets
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from ipaddress import IPv6Network
from multiprocessing.synchronize import Event
from pathlib import Path

from peers.endpoint import Endpoint
from peers.names import Label
from tests.system.hosts import Host
from wgctl.core.feed import Kind, Put
from wgctl.core.forward.upstream import Upstream
from wgctl.core.model import App, Network
from wgctl.core.settings import GatewaySettings, ResolverSettings, Settings, render
from wgctl.drivers.processor import go_behind, take_short_turns
from wgctl.store.copy import Copy

ROUNDS = 5
PARTS, QUERIES, PAUSE_S = 15, 1000, 0.1
NETWORKS = 8
A_SECOND = (20, 100)
GOAL = 1.10
OURS = (b"web", b"internal")
UNUSED, HONEST, HOSTILE = "unused", "honest", "hostile"
DNS_PORT, UPSTREAM_PORT = 53, 5353
_WAIT_S = 5.0
_RUN = (
    "import sys, pathlib; from wgctl.core.settings import parse\n"
    "from wgctl.core.model import Role; from wgctl.daemon.roles import run\n"
    "run(Role.RESOLVER, parse(pathlib.Path(sys.argv[1]).read_text(), origin='bench'))"
)


def main() -> None:
    """Print the figures."""
    folder, tag = Path(tempfile.mkdtemp(prefix="wgctl-bench-")), secrets.token_hex(3)
    server, client = Host(f"wgctl-{tag}-s"), Host(f"wgctl-{tag}-c")
    try:
        for host in (server, client):
            host.make()
        _join(server, client, tag)
        settings = _settings(folder, interface=f"s{tag}")
        _fill(settings)
        config = folder / "wgctl.toml"
        config.write_text(render(settings))
        itself = (sys.executable, "-m", "tests.bench.forwarding")
        server.start(*itself, "upstream", log=folder / "log")
        role = server.start(sys.executable, "-c", _RUN, str(config), log=folder / "log")
        subprocess.run(client.argv(*itself, "ask", str(role.pid)), check=True)
    finally:
        for host in (client, server):
            host.remove()
        shutil.rmtree(folder)


def _join(server: Host, client: Host, tag: str) -> None:
    """Make a link between both, with each network's resolver on one side, a member on the other."""
    ends = [("s", server), ("c", client)]
    words = [[f"{end}{tag}", "netns", host.name] for end, host in ends]
    link = ["ip", "link", "add", *words[0], "type", "veth", "peer", "name", *words[1]]
    subprocess.run(link, check=True)
    for end, host in ends:
        host.run("ip", "link", "set", f"{end}{tag}", "up")
        for number in range(1, NETWORKS + 2):
            address = _prefix(number)[3] if host is server else _member(number)
            host.run("ip", "addr", "add", f"{address}/48", "dev", f"{end}{tag}", "nodad")


def _settings(folder: Path, *, interface: str) -> Settings:
    return Settings(
        state_dir=folder / "state",
        runtime_dir=folder / "run",
        gateway=GatewaySettings(
            region=Label("ams"),
            endpoint=Endpoint("192.0.2.1", 51820),
            interface=interface,
        ),
        resolver=ResolverSettings(upstreams=(Upstream(Endpoint("127.0.0.1", UPSTREAM_PORT)),)),
    )


def _prefix(number: int) -> IPv6Network:
    return IPv6Network(f"fdaa:0:{number:x}::/48")


def _member(number: int) -> str:
    return f"fdaa:0:{number:x}:10::2"


def _fill(settings: Settings) -> None:
    folder = settings.role_dir("resolver")
    folder.mkdir(parents=True)
    copy = Copy(folder / "copy.sqlite")
    networks = [
        Network(number, number, Label("default"), _prefix(number), 0)
        for number in range(1, NETWORKS + 2)
    ]
    rows = [Put(Kind.NETWORK, network) for network in networks]
    copy.write([*rows, Put(Kind.APP, App(1, 1, 1, Label("web"), 0))], epoch="e", revision=1)
    copy.close()


def ask(pid: int) -> None:
    """Compare both sorts of rounds; `pid` is the role's."""
    take_short_turns()
    mine = _socket(1)
    _wait_for_replies(mine)
    _latencies(mine)
    print(f"{'upstream':<10}{'p50 us':>8}{'p99 us':>8}{'cpu':>6}")
    for rate in A_SECOND:
        hostility, forwarding = _compare(mine, pid, rate)
        held = "holds" if hostility <= GOAL else "MISSED"
        print(f"p99 at {rate} questions a second, hostile to honest {hostility:.2f}  {held}")
        print(f"p99 at {rate} questions a second, hostile to unused {forwarding:.2f}")


def _compare(mine: socket.socket, pid: int, rate: int) -> tuple[float, float]:
    """Return the p99 beside the hostile upstream to that beside the honest, and the unused one."""
    asked = {one: multiprocessing.Event() for one in (HONEST, HOSTILE)}
    flood = multiprocessing.Process(target=_flood, args=(asked, rate), daemon=True)
    flood.start()
    ratios: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        figures = {}
        for sort in (UNUSED, HONEST, HOSTILE):
            for one, event in asked.items():
                event.set() if one == sort else event.clear()
            time.sleep(6.0)  # what was under way has ended, or is under way
            began, before = time.monotonic(), _processor_s(pid)
            p50, figures[sort] = _latencies(mine)
            share = (_processor_s(pid) - before) / (time.monotonic() - began)
            print(f"{sort:<10}{p50:>8.0f}{figures[sort]:>8.0f}{share:>6.0%}")
        ratios.append((figures[HOSTILE] / figures[HONEST], figures[HOSTILE] / figures[UNUSED]))
    flood.terminate()
    flood.join()
    hostility, forwarding = map(statistics.median, zip(*ratios, strict=True))
    return hostility, forwarding


def _socket(number: int) -> socket.socket:
    """Return a member's socket, which hears its network's resolver alone."""
    opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    opened.bind((_member(number), 0))
    opened.connect((str(_prefix(number)[3]), DNS_PORT))
    return opened


def _query(labels: tuple[bytes, ...]) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 28, 1)


def _wait_for_replies(mine: socket.socket) -> None:
    deadline = time.monotonic() + 60
    mine.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            mine.send(_query(OURS))
            mine.recv(4096)
        except OSError:
            time.sleep(0.1)
        else:
            mine.settimeout(_WAIT_S)
            return
    raise SystemExit("bench: the resolver does not answer")


def _latencies(mine: socket.socket) -> tuple[float, float]:
    """Return the medians of a round's parts: of what a query took, and of what 1 in 100 exceeded.

    In microseconds.
    """
    parts = []
    for _ in range(PARTS):
        time.sleep(PAUSE_S)
        parts.append(sorted(_take_us(mine) for _ in range(QUERIES)))
    p50, p99 = (
        statistics.median(part[at] for part in parts) for at in (QUERIES // 2, -QUERIES // 100)
    )
    return p50, p99


def _take_us(mine: socket.socket) -> float:
    began = time.perf_counter()
    mine.send(_query(OURS))
    mine.recv(4096)
    return (time.perf_counter() - began) * 1e6


def _processor_s(pid: int) -> float:
    """Return the user and system time that the process `pid` and its children have taken."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has ended meanwhile.
        if stat.parent.name == str(pid) or fields[1] == str(pid):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _flood(asked: Mapping[str, Event], rate: int) -> None:
    """Be the members who ask for names that the upstream is asked for, `rate` a second."""
    go_behind()
    asyncio.run(_ask_for_all(asked, rate))


async def _ask_for_all(asked: Mapping[str, Event], rate: int) -> None:
    loop = asyncio.get_running_loop()
    members = [_socket(number) for number in range(2, NETWORKS + 2)]
    for member in members:
        member.setblocking(False)
        loop.add_reader(member, member.recv, 4096)
    while True:
        await asyncio.sleep((0.5 + random.random()) / rate)
        for sort, event in asked.items():
            if event.is_set():
                name = (secrets.token_hex(6).encode(), sort.encode(), b"example")
                random.choice(members).send(_query(name))


def be_upstream() -> None:
    """Answer honest questions; to others be silent, somebody else, garbage, or truncated.

    Nobody is behind TCP.
    """
    go_behind()
    upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    upstream.bind(("127.0.0.1", UPSTREAM_PORT))
    while True:
        asked, source = upstream.recvfrom(4096)
        for message in _replies(asked):
            upstream.sendto(message, source)


def _replies(asked: bytes) -> list[bytes]:
    end = asked.index(b"\0", 12) + 5
    if HONEST.encode() in asked[:end].lower():
        head = asked[:2] + b"\x81\x80" + struct.pack("!4H", 1, 1, 0, 0)
        return [head + asked[12:end] + struct.pack("!3HIH", 0xC00C, 28, 1, 60, 16) + bytes(16)]
    garbage = [
        [],
        [bytes([asked[0] ^ 1]) + asked[1:2] + b"\x81\x80" + asked[4:]] * 9,
        [secrets.token_bytes(400)] * 9,
        [asked[:2] + b"\x83\x80" + asked[4:]],
    ]
    return garbage[asked[13] % len(garbage)]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ask", pid]:
            ask(int(pid))
        case ["upstream"]:
            be_upstream()
        case _:
            main()
