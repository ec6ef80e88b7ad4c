"""What programming a kernel's WireGuard device costs, beside `wg`: run where the kernel has one.

`python -m tests.bench.kernel_device` prints rows for `tests.bench.gateway`, which runs it in a
guest. All is emulated there: ratios are what counts. The role runs already when it is asked, so
its figures are without a start; those of `wg` are whole commands, as they are always run.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Network
from pathlib import Path

from peers.keys import PrivateKey, PublicKey
from peers.names import Label
from tests.bench.table import Row, ratio, to_line
from tests.bench.tunnel_load import throughputs
from tests.drivers.namespaces import Namespace, namespaced
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Network, Peer
from wgctl.core.plan import diff
from wgctl.core.roster import Roster
from wgctl.core.tunnel import Host, Tunnel, route_metric
from wgctl.drivers.netlink.links import Netlink
from wgctl.drivers.netlink.wireguard import KernelWireGuard
from wgctl.drivers.nft import Nft
from wgctl.services.reconcile import Parts, apply_change, reconcile, take

QUICK = bool(os.environ.get("QUICK"))
PEERS = 2_000 if QUICK else 10_000
NETWORKS = 1_000 if QUICK else 10_000
ROUNDS = 1 if QUICK else 3
STREAMS = 3 if QUICK else 25
"""Each carries what the host's other guests leave: the median of few says nothing of 5 %."""
POOL = IPv6Network("fdaa::/16")
NETWORK = Network(1, 1, Label("default"), IPv6Network("fdaa:0:1::/48"), 0)


def main() -> None:
    """Print the rows."""
    keys = [PrivateKey.generate().public() for _ in range(PEERS + ROUNDS)]
    with tempfile.TemporaryDirectory(prefix="wgctl-bench-") as folder:
        for rows in (_fill, _one_more, _idle):
            with Scene.made(keys, Path(folder)) as scene:
                print(to_line(rows(scene)), flush=True)
    print(to_line(_throughput()), flush=True)


@dataclass
class Scene:
    """A namespace with our parts, and a config of the same peers for `wg`."""

    namespace: Namespace
    parts: Parts
    roster: Roster
    keys: Sequence[PublicKey]
    config: Path

    @classmethod
    @contextmanager
    def made(cls, keys: Sequence[PublicKey], folder: Path) -> "Iterator[Scene]":
        """Make it, for the time of a block."""
        with namespaced() as namespace:
            name, private_key = namespace.interface, PrivateKey.generate()
            links = Netlink(name, metric=route_metric(name))
            parts = Parts(links, KernelWireGuard(name, links), Nft(name))
            host = Host(name, POOL, private_key, 51820, 1420, frozenset({0}))
            roster = Roster(host)
            roster.replace(
                [NETWORK], [peer(number, key) for number, key in enumerate(keys[:PEERS])]
            )
            config = folder / f"{name}.conf"
            config.write_text(config_of(private_key, keys[:PEERS]))
            yield cls(namespace, parts, roster, keys, config)
            namespace.run(links.close)

    def reset(self) -> None:
        """Leave a device without key and peers, down."""
        self.namespace.run(self.parts.wireguard.create)

    def wg(self, *arguments: str) -> float:
        """Return the seconds that a command of `wg` takes."""
        command = ["ip", "netns", "exec", self.namespace.name, "wg", *arguments]
        return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    def reconcile(self) -> float:
        """Return the seconds that a pass takes."""

        def work() -> None:
            reconcile(self.parts, self.roster.whole(), ours=True)

        return self.namespace.run(timed, work)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peer(number: int, key: PublicKey) -> Peer:
    """Return the row of a peer."""
    address = NETWORK.prefix[(16 << 64) + 2 + number]
    return Peer(number, 1, 1, 1, Label(f"p{number}"), "operator", key, address, 0, None)


def config_of(private_key: PrivateKey, keys: Sequence[PublicKey]) -> str:
    """Return what `wg setconf` reads to make the same device."""
    own = f"[Interface]\nPrivateKey = {private_key.text()}\nListenPort = 51820\n"
    return own + "".join(
        f"[Peer]\nPublicKey = {key}\nAllowedIPs = {peer(number, key).address}/128\n"
        for number, key in enumerate(keys)
    )


def _fill(scene: Scene) -> Row:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        scene.reset()
        theirs.append(scene.wg("setconf", scene.namespace.interface, str(scene.config)))
        scene.reset()
        ours.append(scene.namespace.run(timed, lambda: _program(scene)))
    found = ratio(ours, theirs)
    return _row(
        f"{PEERS} peers into an empty kernel device", ours, "wg setconf", theirs, found, 1.1
    )


def _program(scene: Scene) -> None:
    """Read the empty device, compare, and write the device alone: no address, route or table."""
    wanted, found = (
        Tunnel(None, frozenset(), None, device)
        for device in (scene.roster.whole().device, scene.parts.wireguard.read())
    )
    take(scene.parts, diff(wanted, found))


def _one_more(scene: Scene) -> Row:
    scene.reconcile()
    ours, theirs = [], []
    name = scene.namespace.interface
    for number in range(PEERS, PEERS + ROUNDS):
        more = Put(Kind.PEER, peer(number, scene.keys[number]))
        change = scene.roster.change([more], now=1)
        ours.append(
            scene.namespace.run(timed, lambda change=change: apply_change(scene.parts, change))
        )
        theirs.append(scene.wg("syncconf", name, str(scene.config)))
        # It took our peer away again, as it was not in the config.
    found = ratio(ours, theirs)
    return _row(f"one peer added to {PEERS}, kernel", ours, "wg syncconf", theirs, found, 1 / 20)


def _idle(scene: Scene) -> Row:
    scene.reconcile()
    ours, theirs = [], []
    for _ in range(ROUNDS + 1):
        theirs.append(scene.wg("show", scene.namespace.interface, "dump"))
        ours.append(scene.reconcile())
    found = ratio(ours[1:], theirs[1:])
    return _row(f"a pass with nothing to do, {PEERS} peers", ours, "wg show dump", theirs, found, 5)


def _throughput() -> Row:
    within, bare = throughputs(NETWORKS, rounds=STREAMS, seconds=1.0)
    cost = 1 - ratio(within, bare)
    return Row(
        f"throughput, table and routes of {NETWORKS} networks",
        f"{sorted(within)[len(within) // 2]:.1f} Mbit/s",
        f"one route, no table: {sorted(bare)[len(bare) // 2]:.1f} Mbit/s",
        f"-{cost:.1%}",
        "-5 %",
        cost <= 0.05,
    )


def _row(
    figure: str,
    ours: Sequence[float],
    peer_name: str,
    theirs: Sequence[float],
    found: float,
    goal: float,
) -> Row:
    middle, other = (sorted(taken)[len(taken) // 2] * 1000 for taken in (ours, theirs))
    return Row(
        figure,
        f"{middle:.1f} ms",
        f"{peer_name}: {other:.1f} ms",
        f"x {found:.3f}",
        f"x {goal:.2f}",
        found <= goal,
    )


if __name__ == "__main__":
    main()
