"""Two walls between networks, each of which holds alone: thirty ordered pairs of six orgs.

Every client's own AllowedIPs are opened to fd00::/8, so that only the gateway can stop a packet.
The last test takes both walls away: there the matrix must fail, or it would prove nothing.
"""

import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.patience import HANG_S
from tests.system.hosts import Host, Lab, Started, eventually

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

ORGS = ("amber", "birch", "cedar", "dunes", "ember", "fjord")
TCP_PORT = 8080
CURL_COULD_NOT_CONNECT = 7
PROBER = str(Path(__file__).parent / "prober.py")
# What does not come is waited for in full; what comes may come late on a busy machine.
NOTHING_S, SOMETHING_S = 3, 20


@dataclass
class Member:
    """A client of one org; its neighbour in the same org answers what it asks."""

    org: str
    host: Host
    address: str
    resolver: str


@dataclass
class Matrix:
    """Six orgs with two members each, behind one gateway."""

    lab: Lab
    first: dict[str, Member]
    second: dict[str, Member]
    roles: dict[str, Started]

    def across(self, *, wait_s: int = NOTHING_S) -> list[tuple[str, str, bool]]:
        """Return what each org's first member got through to in each other org."""
        return self._probe(
            {org: [self._foreign(other, by=org) for other in ORGS if other != org] for org in ORGS},
            wait_s,
        )

    def inside(self) -> list[tuple[str, str, bool]]:
        """Return what each org's first member got through to in its own org."""
        return self._probe({org: [self._own(org)] for org in ORGS}, SOMETHING_S)

    def _foreign(self, org: str, *, by: str) -> dict[str, Any]:
        own, target = self.first[by], self.first[org]
        return {
            "name": f"{by} to {org}",
            "ping": [target.address],
            "tcp": [target.address, TCP_PORT],
            "dns-AAAA": [own.resolver, f"{org}-0._peer.internal", "AAAA"],
            "dns-PTR": [own.resolver, reverse(target.address), "PTR"],
            "dns-foreign-resolver": [target.resolver, "_api.internal", "AAAA"],
            "ping-foreign-resolver": [target.resolver],
            "tcp-foreign-resolver": [target.resolver, 53],
        }

    def _own(self, org: str) -> dict[str, Any]:
        own, target = self.first[org], self.second[org]
        return {
            "name": f"inside {org}",
            "ping": [target.address],
            "tcp": [target.address, TCP_PORT],
            "dns-AAAA": [own.resolver, f"{org}-1._peer.internal", "AAAA"],
            "dns-PTR": [own.resolver, reverse(target.address), "PTR"],
            "ping-resolver": [own.resolver],
            "tcp-resolver": [own.resolver, 53],
        }

    def _probe(
        self, targets: dict[str, list[dict[str, Any]]], wait_s: int
    ) -> list[tuple[str, str, bool]]:
        """Try all at once: most of it is waiting for what does not come."""
        with ThreadPoolExecutor(len(targets)) as threads:
            probing = [
                threads.submit(
                    self.first[org].host.run,
                    *(sys.executable, PROBER, str(wait_s)),
                    stdin=json.dumps(asked),
                )
                for org, asked in targets.items()
            ]
            printed = [probed.result().stdout for probed in probing]
        return [(name, way, got) for one in printed for name, way, got in json.loads(one)]


def reverse(address: str) -> str:
    import ipaddress

    return ipaddress.IPv6Address(address).reverse_pointer


def open_wide(config: Path) -> None:
    """Let the client send anywhere in fd00::/8, and take packets from anywhere in it."""
    lines = config.read_text().splitlines()
    config.write_text(
        "\n".join("AllowedIPs = fd00::/8" if "AllowedIPs" in line else line for line in lines)
        + "\n"
    )


def join(lab: Lab, org: str, number: int) -> Member:
    host = lab.client()
    config = lab.config_path(f"{org[:3]}{number}")
    enrolment = lab.gateway.add_peer(org, f"{org}-{number}", config=config, more=["--dns", "none"])
    open_wide(config)
    host.tunnel_up(config)
    host.start(
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "::",
        str(TCP_PORT),
        log=lab.folder / f"{org}-{number}.log",
    )
    tunnel = enrolment["tunnel"]
    return Member(org, host, tunnel["address"], tunnel["resolver"])


@pytest.fixture(scope="module")
def matrix(lab: Lab) -> Iterator[Matrix]:
    gateway = lab.gateway
    gateway.write_config()
    gateway.init()
    roles = {
        role: gateway.run_role(role)
        for role in ("controller", "gateway", "resolver", "internal-api")
    }
    gateway.wait_ready("gateway", "resolver", "internal-api")
    for org in ORGS:
        gateway.wgctl("org", "add", org)
    first = {org: join(lab, org, 0) for org in ORGS}
    second = {org: join(lab, org, 1) for org in ORGS}
    made = Matrix(lab, first, second, roles)
    eventually(lambda: all(got for *_, got in made.inside()), what="all inside")
    yield made
    gateway.wgctl("down", check=False)


def stop_gateway_role(matrix: Matrix) -> None:
    """Without this the role would mend the wall that a test takes away."""
    process = matrix.roles.pop("gateway", None)
    if process is not None:
        process.terminate()
        process.wait(HANG_S)


def start_gateway_role(matrix: Matrix) -> None:
    matrix.roles["gateway"] = matrix.lab.gateway.run_role("gateway")
    eventually(lambda: has_table(matrix), what="the nftables table is back")
    eventually(lambda: not has_pool_route(matrix), what="the routes are back")
    matrix.lab.gateway.wait_ready("gateway")


def drift(matrix: Matrix) -> int:
    """Return how much drift the gateway role has repaired, as `wgctl status` says."""
    roles = matrix.lab.gateway.json("status")["roles"]
    return next(int(role["drift"]) for role in roles if role["role"] == "gateway")


def has_table(matrix: Matrix) -> bool:
    gateway = matrix.lab.gateway
    tables = gateway.host.run("nft", "list", "tables").stdout
    return f"table inet {gateway.interface}" in tables


def remove_table(matrix: Matrix) -> None:
    gateway = matrix.lab.gateway
    gateway.host.run("nft", "delete", "table", "inet", gateway.interface)


def routes(matrix: Matrix) -> list[str]:
    return matrix.lab.gateway.host.run("ip", "-6", "route", "show").stdout.splitlines()


def has_pool_route(matrix: Matrix) -> bool:
    return any(route.startswith("fdaa::/16 dev") for route in routes(matrix))


def replace_routes(matrix: Matrix) -> None:
    """Replace the routes between networks by one for the whole pool."""
    gateway = matrix.lab.gateway
    for line in routes(matrix):
        words = line.split()
        if line.startswith("unreachable fdaa::/16"):
            gateway.host.run("ip", "-6", "route", "del", "unreachable", "fdaa::/16", *words[2:6])
        elif "from" in words and words[0].startswith("fdaa:"):
            gateway.host.run("ip", "-6", "route", "del", *words[:5])
    gateway.host.run("ip", "-6", "route", "add", "fdaa::/16", "dev", gateway.interface)


def assert_blocked(results: list[tuple[str, str, bool]]) -> None:
    assert len({name for name, *_ in results}) == len(ORGS) * (len(ORGS) - 1)
    assert [result for result in results if result[2]] == []


def assert_open(results: list[tuple[str, str, bool]]) -> None:
    assert len({name for name, *_ in results}) == len(ORGS)
    assert [result for result in results if not result[2]] == []


def test_networks_are_open_inside_and_closed_across(matrix: Matrix) -> None:
    assert_open(matrix.inside())
    assert_blocked(matrix.across())


def served(matrix: Matrix, org: str, number: int) -> list[str]:
    """Return who has asked a member's server for a page, by what the server saw of them."""
    log = (matrix.lab.folder / f"{org}-{number}.log").read_text()
    return [line.split()[0] for line in log.splitlines() if '"GET /page-' in line]


def fetch(member: Member, address: str, pages: int) -> int:
    """Fetch so many pages from `address`, a connection each; return curl's exit code."""
    url = f"http://[{address}]:{TCP_PORT}/page-[1-{pages}]"
    return member.host.run(
        "curl", "-sS", "-o", "/dev/null", "--connect-timeout", "20", url, check=False
    ).returncode


def test_a_service_address_leads_to_the_machines_of_its_app_alone(matrix: Matrix) -> None:
    """Its own client is one of them: what comes back to it has another source."""
    wgctl, amber, birch = matrix.lab.gateway.json, matrix.first["amber"], matrix.first["birch"]
    service = wgctl("app", "add", "web", "--org", "amber", "--flycast")["service_address"]
    eventually(
        lambda: fetch(amber, service, 1) == CURL_COULD_NOT_CONNECT, what="no machine is there"
    )
    for number in range(2):
        words = ("web", f"web-{number}", "--peer", f"amber-{number}", "--org", "amber")
        wgctl("machine", "add", *words)
    eventually(lambda: fetch(amber, service, 1) == 0, what="the service answers")
    eventually(lambda: amber.host.dig("web.flycast", "AAAA", at=amber.resolver) == service)

    assert fetch(amber, service, 24) == 0
    assert set(served(matrix, "amber", 0)) == {amber.resolver}
    assert set(served(matrix, "amber", 1)) == {amber.address}
    assert amber.host.pings(service)
    assert fetch(birch, service, 1) != 0

    wgctl("machine", "stop", "web-0", "--org", "amber")
    before = len(served(matrix, "amber", 1))
    eventually(lambda: len(slots(matrix, service)) == 1, what="one machine is left")
    assert fetch(amber, service, 8) == 0
    assert len(served(matrix, "amber", 1)) == before + 8


def slots(matrix: Matrix, service: str) -> set[str]:
    """Return the machines that the gateway sends a service's connections to."""
    gateway = matrix.lab.gateway
    listed = gateway.host.run("nft", "-j", "list", "map", "inet", gateway.interface, "slots").stdout
    (body,) = [each["map"] for each in json.loads(listed)["nftables"] if "map" in each]
    return {machine for key, machine in body.get("elem", []) if key["concat"][0] == service}


def test_routes_alone_hold(matrix: Matrix) -> None:
    stop_gateway_role(matrix)
    remove_table(matrix)

    assert not has_table(matrix)
    assert_open(matrix.inside())
    assert_blocked(matrix.across())


def test_firewall_alone_holds(matrix: Matrix) -> None:
    start_gateway_role(matrix)
    stop_gateway_role(matrix)
    replace_routes(matrix)

    assert has_pool_route(matrix)
    assert has_table(matrix)
    assert_open(matrix.inside())
    assert_blocked(matrix.across())


def test_without_both_walls_packets_cross(matrix: Matrix) -> None:
    stop_gateway_role(matrix)
    if not has_pool_route(matrix):
        replace_routes(matrix)
    if has_table(matrix):
        remove_table(matrix)

    crossed = [(name, way) for name, way, got in matrix.across(wait_s=SOMETHING_S) if got]

    pairs = [f"{one} to {other}" for one in ORGS for other in ORGS if one != other]
    assert {name for name, way in crossed if way == "ping"} == set(pairs)
    assert {name for name, way in crossed if way == "tcp"} == set(pairs)


def test_the_gateway_role_mends_both_walls(matrix: Matrix) -> None:
    gateway = matrix.lab.gateway
    gateway.host.run("ip", "-6", "route", "del", "fdaa::/16", "dev", gateway.interface, check=False)
    start_gateway_role(matrix)

    assert_open(matrix.inside())
    assert_blocked(matrix.across())


def test_nothing_crosses_while_the_walls_are_taken_down_again_and_again(matrix: Matrix) -> None:
    """One at a time, as a reload of the host's firewall does, or a routing daemon."""
    gateway, over = matrix.lab.gateway, threading.Event()
    inside = next(line for line in routes(matrix) if " from " in line).split()[:5]

    def tear_down() -> int:
        times = 0
        while not over.is_set():
            gateway.host.run("nft", "flush", "ruleset")
            eventually(lambda: has_table(matrix), what="the table is back")
            gateway.host.run("ip", "-6", "route", "del", *inside)
            eventually(
                lambda: any(line.split()[:5] == inside for line in routes(matrix)),
                what="the route is back",
            )
            times += 1
        return times

    with ThreadPoolExecutor(1) as thread:
        tearing = thread.submit(tear_down)
        for _ in range(6):
            assert_blocked(matrix.across())
        over.set()
        times = tearing.result()

    assert times > 0
    assert_open(matrix.inside())
    eventually(lambda: drift(matrix) >= 2 * times, what="each is counted")
