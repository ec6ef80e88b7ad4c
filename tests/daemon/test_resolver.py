"""The resolver role: it follows the feed, and answers with or without a controller."""

import asyncio
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from peers.names import Label
from tests.daemon.networks import ACME, ALICE, BOB, CAROL, MACHINE, NOW, OTHER, ROWS, put
from tests.daemon.resolving import Home, controller
from tests.daemon.running import until
from tests.drivers.upstream.servers import nothing, running, within_deadline
from tests.patience import HANG_S
from wgctl.client.resolver import Reply, ask
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Commit, Delete, Kind, Snapshot
from wgctl.core.model import App
from wgctl.daemon.resolver import Answers
from wgctl.daemon.views import Views
from wgctl.drivers.dns_stream import Asker
from wgctl.drivers.upstream.forwarder import Upstreams
from wgctl.store.copy import Copy


def test_an_answer_comes_from_the_view_of_the_askers_network(copy: Copy) -> None:
    answers = Answers(Views(copy, now=lambda: NOW), Upstreams([]))
    query = dns.message.make_query("web.internal", "AAAA")

    def rcode(address: IPv6Address) -> dns.rcode.Rcode:
        reply = answers.to(query.to_wire(), Asker(address.packed, stream=False))
        assert isinstance(reply, bytes)
        return dns.message.from_wire(reply).rcode()

    assert rcode(ALICE.address) == dns.rcode.NOERROR
    assert rcode(CAROL.address) == dns.rcode.NXDOMAIN
    stranger = Asker(IPv6Address("fdaa:0:20::2").packed, stream=False)
    assert answers.to(query.to_wire(), stranger) is None


def test_where_each_answer_begins_is_drawn_anew(copy: Copy) -> None:
    second = put(replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id))
    copy.write([second], epoch="e", revision=2)
    turns = iter([0, 1, 1, 4])
    answers = Answers(Views(copy, now=lambda: NOW), Upstreams([]), turn=lambda: next(turns))
    query = dns.message.make_query("web.internal", "AAAA").to_wire()

    def first() -> str:
        reply = answers.to(query, Asker(ALICE.address.packed, stream=False))
        assert isinstance(reply, bytes)
        return str(dns.message.from_wire(reply).answer[0][0])

    alice, bob = str(ALICE.address), str(BOB.address)
    assert [first() for _ in range(4)] == [alice, bob, bob, alice]


def test_a_fault_of_ours_costs_one_answer(copy: Copy) -> None:
    """A row that cannot be read must not end the role."""
    answers = Answers(Views(copy, now=lambda: NOW), Upstreams([]))
    query = dns.message.make_query("web.internal", "AAAA").to_wire()
    copy.close()

    assert answers.to(query, Asker(ALICE.address.packed, stream=False)) is None


def test_own_names_are_answered_while_an_upstream_keeps_others_waiting(copy: Copy) -> None:
    async def work() -> None:
        async with running(nothing) as (_, upstream):
            upstreams = Upstreams([upstream])
            answers = Answers(Views(copy, now=lambda: NOW), upstreams)
            asker = Asker(ALICE.address.packed, stream=False)
            waiting = answers.to(dns.message.make_query("example.com", "A").to_wire(), asker)
            assert waiting is not None
            assert not isinstance(waiting, bytes)
            task = asyncio.ensure_future(waiting)
            await asyncio.sleep(0)
            own = answers.to(dns.message.make_query("web.internal", "AAAA").to_wire(), asker)
            assert isinstance(own, bytes)
            assert dns.message.from_wire(own).rcode() == dns.rcode.NOERROR
            assert not task.done()
            upstreams.close()
            task.cancel()
            await asyncio.wait([task])

    within_deadline(work)


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="wgctl-") as folder:
        yield Home(Path(folder))


def test_it_answers_from_its_copy_without_a_controller(home: Home) -> None:
    home.fill()
    for _ in range(2):  # and again after a restart
        with home.running() as process:
            web = home.ask(ACME, "web.internal")
            assert [answer.data for answer in web.answers] == [str(BOB.address)]
            assert home.ask(OTHER, "web.internal").rcode == "NXDOMAIN"
            assert home.ask(ACME, "_peer.internal", "TXT").answers[0].data == "peer2,peer3"
            assert home.ask(ACME, "vms.web.internal", "TXT").answers[0].data == "m1 ams"
            top = home.ask(ACME, "top1.nearest.of.web.internal").answers
            assert [answer.data for answer in top] == [str(BOB.address)]
            alice = home.ask(ACME, str(ALICE.address), "PTR").answers
            assert [answer.data for answer in alice] == ["peer2._peer.internal."]
            assert home.ask(ACME, str(CAROL.address), "PTR").rcode == "NXDOMAIN"
            assert home.ask(ACME, "example.com", "A").rcode == "REFUSED"

            process.send_signal(signal.SIGTERM)
            assert process.wait(HANG_S) == 0
            assert not home.settings.resolver_socket.exists()


def test_the_operators_socket_is_for_its_owner_and_group(home: Home) -> None:
    home.fill()
    with home.running():
        home.ask(ACME, "web.internal")
        mode = home.settings.resolver_socket.stat().st_mode

        assert mode & 0o007 == 0
        assert mode & 0o600 == 0o600


def test_before_its_first_snapshot_it_is_silent(home: Home) -> None:
    with home.running():
        deadline = time.monotonic() + HANG_S
        while "no network" not in why_unavailable(home):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def why_unavailable(home: Home) -> str:
    with pytest.raises(Unavailable) as refusal:
        ask(home.settings.resolver_socket, asker=ACME.resolver, name="web.internal")
    return str(refusal.value)


def test_a_change_of_the_feed_is_answered(home: Home) -> None:
    with home.running(), controller(home) as node:
        node.send(Snapshot("e"), *(put(row) for row in ROWS), Commit(1))
        home.ask(ACME, "web.internal")
        node.send(put(App(2, 1, 1, Label("db"), 0)), Commit(2))
        until(lambda: home.ask(ACME, "db.internal").rcode == "NOERROR")
        node.send(Delete(Kind.PEER, BOB.id), Delete(Kind.MACHINE, MACHINE.id), Commit(3))
        until(lambda: home.ask(ACME, "peer3._peer.internal").rcode == "NXDOMAIN")

        assert home.ask(ACME, "web.internal") == Reply("NOERROR", ())
        assert home.ask(ACME, str(BOB.address), "PTR").rcode == "NXDOMAIN"

    with home.running():  # what is deleted stays so, the controller gone
        assert home.ask(ACME, "peer3._peer.internal").rcode == "NXDOMAIN"
        assert home.ask(ACME, "db.internal").rcode == "NOERROR"


def test_it_reports_the_revision_that_it_stands_at(home: Home) -> None:
    home.fill()
    with controller(home) as node, home.running():
        deadline = time.monotonic() + HANG_S
        while not node.reports:
            assert time.monotonic() < deadline
            time.sleep(0.05)

        assert node.reports[0]["role"] == "resolver"
        assert node.reports[0]["revision"] == 1
