"""The upstreams in the resolver role: whose addresses are ours, and what is told of them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import dns.message
import pytest

from peers.names import Label
from tests.drivers.upstream.servers import nothing, running, within_deadline
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Network
from wgctl.core.schema import UpstreamCondition
from wgctl.core.settings import ResolverSettings
from wgctl.core.wire import read_query
from wgctl.daemon.forwarding import of_ours, open_upstreams
from wgctl.daemon.reports import Reports
from wgctl.drivers.dns_stream import Asker
from wgctl.store.copy import Copy

ACME = Network(1, 1, Label("default"), IPv6Network("fdaa:0:18::/48"), 0)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    opened = Copy(tmp_path / "copy.sqlite")
    opened.write([Put(Kind.NETWORK, ACME)], epoch="e", revision=1)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("fdaa:0:18::3", True),
        ("fdaa:0:18:ffff::", True),
        ("fdaa:0:19::3", False),
        ("2001:db8::1", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_ours_are_the_addresses_of_networks_that_are_there(
    copy: Copy, address: str, *, is_ours: bool
) -> None:
    assert of_ours(copy)(IPv6Address(address).packed) is is_ours


@dataclass
class Told(Reports):
    """Keeps what it is told."""

    conditions: list[list[UpstreamCondition]] = field(default_factory=list)
    problems: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)

    def trouble(self, problem: str | None, *, of: str = "") -> bool:
        assert of == "upstreams"
        self.problems.put_nowait(problem)
        return True

    def upstreams(self, conditions: list[UpstreamCondition]) -> None:
        self.conditions.append(conditions)


def test_that_no_upstream_answers_is_told_as_what_keeps_the_role_from_its_work(
    copy: Copy, tmp_path: Path
) -> None:
    query = read_query(dns.message.make_query("www.example.com", "A").to_wire())
    assert query is not None

    async def work() -> None:
        async with running(nothing) as (server, upstream):
            pass  # Nobody is there any more.
        told = Told()
        settings = ResolverSettings(upstreams=(upstream,))
        upstreams = open_upstreams(settings, copy, told)
        assert told.conditions == [[UpstreamCondition(upstream=str(upstream))]]

        probes = asyncio.create_task(upstreams.run())
        asked = upstreams.ask(query, Asker(ACME.resolver.packed, stream=False))
        assert not isinstance(asked, bytes)
        await asked
        problem = await told.problems.get()
        probes.cancel()
        assert problem == f"no upstream answers; {upstream}: Connection refused"
        [condition] = told.conditions[-1]
        assert condition.reason == "Connection refused"
        assert server.asked == []

    within_deadline(work)
