"""How long a change takes from its acknowledgement to the device, to DNS and to the last packet.

Runs a served gateway in a network namespace of its own, and a client in another; the clock starts
when the controller's answer is there; each figure is seen from outside, by the device's socket, the
resolver's reply and the client's last echo.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path

from peers.keys import PrivateKey, PublicKey
from tests.system.hosts import Lab, eventually
from wgctl.client.api import Client
from wgctl.client.resolver import ask
from wgctl.core.schema import NewOrg, NewPeer
from wgctl.drivers import uapi

ROUNDS = 20
GOAL_MS = 1000
TIMEOUT_S = 10.0
TUNNELS = 8
SILENT_S = 3.0


def main() -> None:
    """Print the figures."""
    lab = Lab(Path(tempfile.mkdtemp(prefix="wgctl-bench-")))
    try:
        lab.gateway.write_config()
        lab.gateway.init()
        lab.gateway.serve()
        times = _measure(lab) | _last_packets(lab)
    finally:
        lab.gateway.wgctl("down", check=False)
        lab.close()
    print(f"{'change':<24}{'median ms':>10}{'min':>8}{'max':>8}{'goal ms':>9}")
    for name, taken in times.items():
        median = statistics.median(taken)
        held = "holds" if max(taken) <= GOAL_MS else "MISSED"
        print(f"{name:<24}{median:>10.0f}{min(taken):>8.0f}{max(taken):>8.0f}{GOAL_MS:>9}  {held}")


def _measure(lab: Lab) -> dict[str, list[float]]:
    folder, device = lab.gateway.folder / "run", uapi.socket_path(lab.gateway.interface)
    names = ("peer added, device", "peer added, DNS", "peer removed, device", "peer removed, DNS")
    times: dict[str, list[float]] = {name: [] for name in names}
    client = Client(folder / "api.sock")
    client.add_org(NewOrg(slug="bench"))
    resolver = client.network("bench", "default").resolver

    def in_device(key: PublicKey) -> bool:
        return key.raw in uapi.read(device).peers

    def in_dns(name: str) -> bool:
        return _answers(folder / "resolver.sock", resolver, name)

    for number in range(ROUNDS):
        key, name = PrivateKey.generate().public(), f"peer-{number}"
        client.add_peer("bench", NewPeer(name=name, public_key=key))
        acknowledged = time.perf_counter()
        times[names[0]].append(_until(partial(in_device, key), True, acknowledged))
        times[names[1]].append(_until(partial(in_dns, name), True, acknowledged))
        client.remove_peer("bench", "default", name)
        acknowledged = time.perf_counter()
        times[names[2]].append(_until(partial(in_device, key), False, acknowledged))
        times[names[3]].append(_until(partial(in_dns, name), False, acknowledged))
    return times


def _last_packets(lab: Lab) -> dict[str, list[float]]:
    """Ping through a real tunnel each 10 ms, and see when the last answer came."""
    folder, laptop = lab.gateway.folder, lab.client()
    client, taken = Client(folder / "run" / "api.sock"), list[float]()
    resolver = str(client.network("bench", "default").resolver)
    for number in range(TUNNELS):
        name, config = f"laptop-{number}", lab.config_path(f"t{number}")
        lab.gateway.add_peer("bench", name, config=config)
        laptop.tunnel_up(config)
        said = lab.folder / f"ping-{number}"
        pinging = laptop.start("ping", "-6", "-D", "-n", "-i", "0.01", resolver, log=said)
        eventually(partial(_last_echo, said), what="the tunnel works")
        client.remove_peer("bench", "default", name)
        acknowledged = time.time()
        time.sleep(SILENT_S)
        pinging.terminate()
        pinging.wait()
        taken.append(max(0.0, _last_echo(said) - acknowledged) * 1e3)
        laptop.tunnel_down(config)
    return {"peer removed, last echo": taken}


def _last_echo(said: Path) -> float:
    """Return when ping last had an answer, in seconds since 1970; 0 if it had none."""
    echoes = [line for line in said.read_text().splitlines() if "bytes from" in line]
    return float(echoes[-1].split("]")[0][1:]) if echoes else 0.0


def _answers(socket: Path, resolver: IPv6Address, name: str) -> bool:
    return bool(ask(socket, asker=resolver, name=f"{name}._peer.internal").answers)


def _until(look: Callable[[], bool], wanted: bool, began: float) -> float:  # noqa: FBT001
    """Return the milliseconds from `began` until `look` gives what is wanted."""
    while look() is not wanted:
        if time.perf_counter() - began > TIMEOUT_S:
            raise SystemExit(f"bench: a change had not arrived after {TIMEOUT_S} s")
        time.sleep(0.001)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
