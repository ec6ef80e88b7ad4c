"""What programming a gateway costs, each figure beside that of its peer in the same run.

Rows of the kernel's device come from a guest (`tests.bench.kernel_device`), where all is emulated:
there only ratios count. QUICK=1 takes a fifth of the peers and a tenth of the networks, once.
"""

import os
import shlex
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from peers.keys import PrivateKey
from peers.names import Label
from tests.bench import on_demand
from tests.bench.table import Row, from_line, show
from tests.kernel import guest
from tests.system.hosts import Lab
from wgctl.client.api import Client
from wgctl.core.schema import NewOrg, NewPeer
from wgctl.core.settings import STORE_NAME
from wgctl.drivers import uapi
from wgctl.store.rows import NewPeerRow
from wgctl.store.store import Store

QUICK = bool(os.environ.get("QUICK"))
PEERS = 2_000 if QUICK else 10_000
ROUNDS = 5 if QUICK else 20
GUEST_S = 1_500.0
TIMEOUT_S = 120.0
# A look at a userspace device holds up whoever writes to it, for as long as it takes.
PAUSE_S = 0.02


def main() -> None:
    """Print the table."""
    show(row for part in PARTS for row in part())


def kernel_rows() -> Iterator[Row]:
    """Yield what a guest with Debian's kernel finds."""
    if not (guest.CACHE / "initramfs").exists():
        sys.stderr.write("no guest: make test fetches its kernel\n")
        return
    quick = "QUICK=1 " if QUICK else ""
    command = f"{quick}{shlex.quote(sys.executable)} -m tests.bench.kernel_device 2>&1"
    script = f"cd {shlex.quote(str(guest.ROOT))} && {command}\n"
    outcome = guest.run(script, within_s=GUEST_S, show=lambda _: None)
    if outcome.status:
        raise SystemExit(f"bench: the guest failed:\n{outcome.said[-2000:]}")
    yield from filter(None, map(from_line, outcome.said.splitlines()))


def commit_rows() -> Iterator[Row]:
    """Yield how long a peer takes from the acknowledgement of its commit to a userspace device."""
    lab = Lab(Path(tempfile.mkdtemp(prefix="wgctl-bench-")))
    try:
        taken, looks = _commits(lab)
    finally:
        lab.gateway.wgctl("down", check=False)
        lab.close()
    middle = statistics.median(taken)
    yield Row(
        f"commit to device, one peer more than {PEERS}, userspace",
        f"{middle:.0f} ms",
        f"one look at the device: {statistics.median(looks):.0f} ms",
        f"{middle:.0f} ms",
        "100 ms",
        middle <= 100,
    )


PARTS: tuple[Callable[[], Iterator[Row]], ...] = (
    commit_rows,
    on_demand.rows,
    kernel_rows,
)


def _commits(lab: Lab) -> tuple[list[float], list[float]]:
    gateway = lab.gateway
    gateway.write_config()
    gateway.init()
    gateway.serve()
    client, device = (
        Client(gateway.folder / "run" / "api.sock"),
        uapi.socket_path(gateway.interface),
    )
    client.add_org(NewOrg(slug="bench"))
    gateway.stop()
    _fill(gateway.folder / "state")
    gateway.serve()
    _until(lambda: len(uapi.read(device).peers) >= PEERS)

    def has(key: bytes) -> bool:
        return key.hex().encode() in _described(device)

    known = next(iter(uapi.read(device).peers))
    taken, looks = list[float](), list[float]()
    for number in range(ROUNDS):
        key = PrivateKey.generate().public()
        looks.append(_until(partial(has, known)))
        client.add_peer("bench", NewPeer(name=f"more-{number}", public_key=key))
        taken.append(_until(partial(has, key.raw), pause_s=PAUSE_S))
    return taken, looks


def _described(device: Path) -> bytes:
    """Return what a device says of itself, unread: reading it would be most of what is measured."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(device))
        connection.sendall(b"get=1\n\n")
        told = bytearray()
        while not told.endswith(b"\n\n"):
            told += connection.recv(1 << 20)
        return bytes(told)


def _fill(state: Path) -> None:
    """Add peers in one transaction, while no controller runs."""
    (path,) = state.rglob(STORE_NAME)
    with closing(Store(path)) as store, store.writing() as deployment:
        door = deployment.owned_by("bench")
        network, (gateway,) = door.network("default"), deployment.gateways()
        for number in range(PEERS):
            key = PrivateKey.generate().public()
            row = NewPeerRow(Label(f"p{number}"), "operator", key, 0, None)
            door.add_peer(network, gateway, row)


def _until(look: Callable[[], bool], *, pause_s: float = 0.0) -> float:
    """Return the milliseconds until `look` was true, with a pause before each."""
    began = time.perf_counter()
    time.sleep(pause_s)
    while not look():
        if time.perf_counter() - began > TIMEOUT_S:
            raise SystemExit(f"bench: not within {TIMEOUT_S} s")
        time.sleep(pause_s)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
