import asyncio
from ipaddress import IPv6Address

from tests.cli.conftest import Deployment, Wgctl
from wgctl.client.node import Node
from wgctl.core.model import Role
from wgctl.core.schema import LimitedAddress, OnDemand, RoleReport, UpstreamCondition


def test_status_counts_what_there_is(wgctl: Wgctl, deployment: Deployment) -> None:
    before = wgctl("status", "--json").document
    wgctl("org", "add", "counted")
    after = wgctl("status", "--json").document

    assert after["orgs"] == before["orgs"] + 1
    assert after["revision"] > before["revision"]
    assert after["store"].startswith(str(deployment.folder))


def test_status_reads_as_facts_and_a_table_of_roles(wgctl: Wgctl) -> None:
    shown = wgctl("status").stdout

    for title in ("version", "revision", "pool      fdaa::/16", "store", "online"):
        assert title in shown
    for title in ("ROLE", "ALIVE", "INTERFACE", "BACKEND", "DRIFT"):
        assert title in shown


def test_what_keeps_a_role_from_its_work_is_told(wgctl: Wgctl, deployment: Deployment) -> None:
    node = Node(deployment.folder / "run" / "node.sock")

    def report(problem: str | None) -> None:
        said = RoleReport(role=Role.RESOLVER, revision=1, started_at=1, problem=problem)
        asyncio.run(node.report(said))

    report("not listening: \x1b[31mport taken")
    troubled = wgctl("status").stdout
    report(None)

    assert "what keeps a role from its work:\nresolver  not listening: \\x1b[31mport" in troubled
    assert "what keeps" not in wgctl("status").stdout


def test_upstreams_and_who_floods_are_shown(wgctl: Wgctl, deployment: Deployment) -> None:
    node = Node(deployment.folder / "run" / "node.sock")
    upstreams = [
        UpstreamCondition(upstream="9.9.9.9:53"),
        UpstreamCondition(upstream="1.1.1.1:53", reason="no reply\x1b in time"),
    ]
    limited = [LimitedAddress(address=IPv6Address("fdaa:0:18:10::2"), queries=4321)]
    said = RoleReport(
        role=Role.RESOLVER, revision=1, started_at=1, upstreams=upstreams, limited=limited
    )
    asyncio.run(node.report(said))
    shown = wgctl("status").stdout

    assert "got nothing:\nfdaa:0:18:10::2  4321\n" in shown
    assert "where names of others are asked:\n9.9.9.9:53  well\n1.1.1.1:53  no reply\\x1b" in shown


def test_every_stage_of_a_handshake_is_counted_where_peers_are_on_demand(
    wgctl: Wgctl, deployment: Deployment
) -> None:
    assert "on demand" not in wgctl("status").stdout
    counts = {name: 100 + number for number, name in enumerate(OnDemand.model_fields)}
    said = RoleReport(role=Role.GATEWAY, revision=1, started_at=1, on_demand=OnDemand(**counts))
    asyncio.run(Node(deployment.folder / "run" / "node.sock").report(said))

    lines = wgctl("status").stdout.partition("peers on demand")[2].splitlines()[1:12]
    assert sorted(int(line.rpartition(" ")[2]) for line in lines) == sorted(counts.values())
