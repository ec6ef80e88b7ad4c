"""How long requests to the API take, over TLS with tokens, on one core beside a resolver at work.

Runs the controller and resolver roles of a host of its own, both on one processor, and asks them
from another host and processor, over connections that are there and kept: 300 requests a second of
a mix of reads and changes, by the clock and not by the answers, so that one that waits is counted
with its wait; and 2,000 DNS queries a second. QUICK makes it 10 seconds. As root, since it makes
two network namespaces.
"""

import asyncio
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import dns.message

from peers.names import Label
from tests.daemon.running import host as host_of
from tests.services.minting import mint
from tests.store.samples import add_peer, key
from tests.system.hosts import Host
from wgctl.core.pin import NAME
from wgctl.core.settings import ApiSettings, Settings, render
from wgctl.services import app as apps
from wgctl.services import network as networks
from wgctl.store.store import Store

SECONDS = 10 if os.environ.get("QUICK") else 60
PER_S, QUERIES_PER_S = 300, 2_000
GOAL_P99_MS = 50.0
PEERS, CONNECTIONS = 500, 32
API_PORT, DNS_PORT = 8443, 53
_BATCH_S = 0.01
_GRACE_S = 10.0
_READY_S, _RETRY_S = 60.0, 0.2
_RUN = (
    "import sys, pathlib; from wgctl.core.settings import parse\n"
    "from wgctl.core.model import Role; from wgctl.daemon.roles import run\n"
    "run(Role(sys.argv[2]), parse(pathlib.Path(sys.argv[1]).read_text(), origin='bench'))"
)


def main() -> None:
    """Print the figures."""
    folder, tag = Path(tempfile.mkdtemp(prefix="wgctl-bench-")), secrets.token_hex(3)
    server, client = Host(f"wgctl-{tag}-s"), Host(f"wgctl-{tag}-c")
    try:
        for host in (server, client):
            host.make()
        settings = _settings(folder, interface=f"s{tag}")
        place = _fill(settings)
        _join(server, client, tag, place)
        config = folder / "wgctl.toml"
        config.write_text(render(settings))
        ours, theirs = sorted(os.sched_getaffinity(0))[:2]
        for role in ("controller", "resolver"):
            pinned = ("taskset", "--cpu-list", str(ours))
            server.start(*pinned, sys.executable, "-c", _RUN, str(config), role, log=folder / "log")
        asking = ("taskset", "--cpu-list", str(theirs), sys.executable, "-m", "tests.bench.api")
        (folder / "place.json").write_text(json.dumps(place))
        subprocess.run(
            client.argv(*asking, "ask", str(folder), str(settings.authority_file)), check=True
        )
    finally:
        for host in (client, server):
            host.remove()
        shutil.rmtree(folder)


def _settings(folder: Path, *, interface: str) -> Settings:
    made = host_of(folder, interface=interface)
    return made.model_copy(
        update={"api": ApiSettings(listen=f"[::]:{API_PORT}", requests_per_s=2 * PER_S)}
    )


def _fill(settings: Settings) -> dict[str, str]:
    """Give the org `acme` peers and an app; return a token, and where its network is."""
    store = Store(settings.role_dir("controller") / "store.sqlite")
    try:
        for number in range(PEERS):
            add_peer(store, "acme", number)
        apps.add(store, "acme", "default", Label("web"), now=int(time.time()))
        network = networks.shown(store, "acme", "default")
        token = mint(store, "acme", "bench", expires_in_s=10 * 365 * 86400).render()
    finally:
        store.close()
    prefix = network.prefix
    return {"token": token, "resolver": str(prefix[3]), "member": str(prefix[0x10 << 64 | 2])}


def _join(server: Host, client: Host, tag: str, place: dict[str, str]) -> None:
    """Make a link between both, with the network's resolver on one side, a member on the other."""
    ends = [("s", server, "resolver"), ("c", client, "member")]
    words = [[f"{end}{tag}", "netns", host.name] for end, host, _ in ends]
    link = ["ip", "link", "add", *words[0], "type", "veth", "peer", "name", *words[1]]
    subprocess.run(link, check=True)
    for end, host, name in ends:
        host.run("ip", "link", "set", f"{end}{tag}", "up")
        host.run("ip", "addr", "add", f"{place[name]}/48", "dev", f"{end}{tag}", "nodad")


@dataclass
class Seen:
    """What came of the requests and queries."""

    taken_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    queries: int = 0
    replies: int = 0
    unanswered: int = 0
    took_s: float = 0.0


def ask(folder: Path, authority: Path) -> None:
    """Ask for the time of a run, and print what came of it."""
    place = json.loads((folder / "place.json").read_text())
    seen = asyncio.run(_run(place, authority))
    taken = sorted(seen.taken_ms)
    p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    failed = sum(times for status, times in seen.statuses.items() if status >= 500)
    held = p99 <= GOAL_P99_MS and not failed and not seen.unanswered
    print(f"{'API requests/s':<18}{'p50 ms':>8}{'p99 ms':>8}{'5xx':>6}{'goal ms':>9}")
    print(
        f"{len(taken) / seen.took_s:<18.0f}{p50:>8.1f}{p99:>8.1f}{failed:>6}{GOAL_P99_MS:>9.0f}"
        f"  {'holds' if held else 'MISSED'}"
    )
    print(
        f"of {seen.queries / seen.took_s:.0f} DNS queries a second "
        f"{seen.replies / seen.queries:.1%} were answered; statuses: "
        f"{dict(sorted(seen.statuses.items()))}; requests still waiting: {seen.unanswered}"
    )


async def _run(place: dict[str, str], authority: Path) -> Seen:
    seen = Seen()
    tls = ssl.create_default_context(cafile=str(authority))
    await _until_ready(place, tls)
    await asyncio.to_thread(_until_names_are_answered, place)
    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    kept = [await _connect(place, tls) for _ in range(CONNECTIONS)]
    workers = [asyncio.create_task(_work(*connection, due, seen)) for connection in kept]
    querying = asyncio.create_task(_query_all(place, seen))
    began = time.perf_counter()
    for number, request in enumerate(_mix(place["token"])):
        at = began + number / PER_S
        if at > began + SECONDS:
            break
        if (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait((at, request))
    with suppress(TimeoutError):
        await asyncio.wait_for(due.join(), _GRACE_S)
    seen.unanswered, seen.took_s = due.qsize(), time.perf_counter() - began
    querying.cancel()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(querying, *workers, return_exceptions=True)
    return seen


def _mix(token: str) -> Iterator[bytes]:
    """Yield requests for ever: of each 20, two change peers, one an app, and two are lists."""
    peers = "/v1/orgs/acme/peers"
    for number in count():
        name = f"bench-{number - number % 20}"
        match number % 20:
            case 0:
                new = {"name": name, "public_key": str(key(10_000 + number))}
                yield _request(token, "POST", peers, new)
            case 5:
                yield _request(
                    token, "PATCH", "/v1/orgs/acme/apps/web", {"flycast": number % 40 < 20}
                )
            case 10:
                yield _request(token, "GET", f"{peers}?limit=100")
            case 11:
                yield _request(token, "GET", "/v1/orgs/acme/apps")
            case 15 if number > PER_S:
                yield _request(token, "DELETE", f"{peers}/bench-{number - 15 - PER_S // 20 * 20}")
            case _:
                yield _request(token, "GET", f"{peers}/peer-{number % PEERS}")


def _request(token: str, method: str, path: str, body: object = None) -> bytes:
    said = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: bench",
        f"Authorization: Bearer {token}",
        f"Content-Length: {len(said)}",
        "Content-Type: application/json",
    ]
    return "\r\n".join((*lines, "", "")).encode() + said


async def _work(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    due: "asyncio.Queue[tuple[float, bytes]]",
    seen: Seen,
) -> None:
    """Ask over one connection what is due."""
    while True:
        at, request = await due.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        seen.taken_ms.append((time.perf_counter() - at) * 1e3)
        status = int(head.split(b" ", 2)[1])
        seen.statuses[status] = seen.statuses.get(status, 0) + 1
        due.task_done()


async def _connect(
    place: dict[str, str], tls: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(place["resolver"], API_PORT, ssl=tls, server_hostname=NAME)


async def _until_ready(place: dict[str, str], tls: ssl.SSLContext) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        try:
            _, writer = await _connect(place, tls)
        except OSError:
            await asyncio.sleep(_RETRY_S)
        else:
            writer.close()
            return
    raise SystemExit("bench: the API does not listen")


def _until_names_are_answered(place: dict[str, str]) -> None:
    """Wait until the resolver has taken its copy, which it does not answer before."""
    with _socket(place) as mine:
        mine.settimeout(_RETRY_S)
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            try:
                mine.send(_query(0))
                mine.recv(4096)
            except TimeoutError:
                continue
            except ConnectionRefusedError:  # At once, from a port that nobody listens on.
                time.sleep(_RETRY_S)
            else:
                return
    raise SystemExit("bench: the resolver does not answer")


def _socket(place: dict[str, str]) -> socket.socket:
    """Return a member's socket, which asks the resolver."""
    mine = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    mine.bind((place["member"], 0))
    mine.connect((place["resolver"], DNS_PORT))
    return mine


def _query(number: int) -> bytes:
    return dns.message.make_query(f"peer-{number}._peer.internal", "AAAA").to_wire()


async def _query_all(place: dict[str, str], seen: Seen) -> None:
    """Be the members who ask the resolver."""
    mine = _socket(place)
    mine.setblocking(False)
    loop, sent = asyncio.get_running_loop(), 0
    queries = list(map(_query, range(PEERS)))

    def hear() -> None:
        with suppress(OSError):
            while mine.recv(4096):
                seen.replies += 1

    loop.add_reader(mine, hear)
    began = time.perf_counter()
    try:
        while True:
            await asyncio.sleep(_BATCH_S)
            wanted = int((time.perf_counter() - began) * QUERIES_PER_S)
            for number in range(sent, wanted):
                with suppress(OSError):
                    mine.send(queries[number % PEERS])
                    seen.queries += 1
            sent = wanted
    finally:
        loop.remove_reader(mine)
        mine.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ask", folder, authority]:
            ask(Path(folder), Path(authority))
        case _:
            main()
