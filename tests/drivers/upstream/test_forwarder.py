"""What members get, whatever the upstreams do."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from ipaddress import IPv6Address
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from peers.endpoint import Endpoint
from tests.drivers.upstream.hostile import HOSTILE, TO_TCP, forged
from tests.drivers.upstream.servers import (
    Raw,
    Script,
    certified,
    good,
    nothing,
    refusal,
    reply,
    running,
    tls_context,
    within_deadline,
    wrong_id,
    wrong_question,
)
from wgctl.core.errors import Invalid
from wgctl.core.forward.upstream import Transport, Upstream
from wgctl.core.wire import Query, read_query
from wgctl.drivers.dns_stream import Asker
from wgctl.drivers.upstream.forwarder import Upstreams

ALICE = Asker(IPv6Address("fdaa:0:18:10::2").packed, stream=False)
BOB = Asker(IPv6Address("fdaa:0:19:10::2").packed, stream=False)
NAME = "wWw.a-name-of-letters.example"
PACE = 0.15
BUDGET_S = 20.0


def query_for(name: str = NAME, type_: str = "A", *, edns: bool = True) -> Query:
    query = read_query(dns.message.make_query(name, type_, use_edns=edns).to_wire())
    assert query is not None
    return query


async def get(
    upstreams: Upstreams, query: Query | None = None, *, asker: Asker = ALICE
) -> dns.message.Message:
    query = query or query_for()
    answered = upstreams.ask(query, asker)
    octets = answered if isinstance(answered, bytes) else await answered
    message = dns.message.from_wire(octets)
    assert message.id == query.id
    assert octets[12 : 12 + len(query.question)] == query.question
    assert message.flags & dns.flags.RA
    return message


async def ask(*upstreams: Upstream) -> dns.message.Message:
    opened = Upstreams(upstreams)
    try:
        return await get(opened)
    finally:
        opened.close()


def addresses(message: dns.message.Message) -> list[str]:
    assert message.rcode() == dns.rcode.NOERROR
    return [rdata.to_text() for rrset in message.answer for rdata in rrset]


def errors(message: dns.message.Message) -> list[int]:
    return [int(one.code) for one in message.options if isinstance(one, dns.edns.EDEOption)]


def always(asked: bytes) -> list[bytes]:
    return [good(asked)]


def test_a_good_upstream_s_answer_is_passed_on_and_kept_for_all_networks() -> None:
    async def work() -> None:
        async with running(always) as (server, upstream):
            upstreams = Upstreams([upstream])
            assert addresses(await get(upstreams)) == ["192.0.2.1"]
            again = upstreams.ask(query_for(NAME.upper()), BOB)
            assert isinstance(again, bytes)
            assert addresses(dns.message.from_wire(again)) == ["192.0.2.1"]
            assert server.asked == ["udp"]
            await get(upstreams, query_for(type_="AAAA"))
            assert server.asked == ["udp", "udp"]

    within_deadline(work)


def test_each_question_has_a_port_an_id_and_a_spelling_of_its_own() -> None:
    async def work() -> None:
        async with running(lambda asked: [good(asked, ttl_s=0)]) as (server, upstream):
            upstreams = Upstreams([upstream])
            for _ in range(20):
                await get(upstreams)
            # By chance 20 of 28,232 ports or 65,536 ids fall twice together once in 10^5 runs.
            assert len({port for _, port in server.sources}) >= 18
            assert len({message[:2] for message in server.messages}) >= 18
            assert len({message[12:43] for message in server.messages}) >= 18

    within_deadline(work)


def test_a_hostile_upstream_means_servfail_in_time_and_poisons_nothing() -> None:
    """All at once, each with a resolver of its own, so that they wait together."""

    async def one(udp: Script, tcp: Script) -> tuple[int, list[str], float]:
        async with running(udp, tcp) as (_, bad):
            upstreams = Upstreams([bad], pace=PACE)
            began = asyncio.get_running_loop().time()
            message = await get(upstreams)
            took_s = asyncio.get_running_loop().time() - began
            kept = await get(upstreams)
            upstreams.close()
            assert kept.answer == []
            return message.rcode(), [str(rrset) for rrset in message.answer], took_s

    async def work() -> None:
        ends = await asyncio.gather(*(one(*scripts) for scripts in HOSTILE.values()))
        for what, (rcode, answer, took_s) in zip(HOSTILE, ends, strict=True):
            assert (what, rcode, answer) == (what, dns.rcode.SERVFAIL, [])
            assert took_s < BUDGET_S, what  # of a seventh, and what a busy machine takes

    within_deadline(work)


def test_a_hostile_upstream_is_left_for_the_next() -> None:
    async def one(what: str, udp: Script, tcp: Script) -> tuple[str, list[str]]:
        async with running(udp, tcp) as (_, bad), running(always) as (_, well):
            return what, addresses(await ask(bad, well))

    async def work() -> None:
        ends = await asyncio.gather(*(one(what, *HOSTILE[what]) for what in HOSTILE))
        assert ends == [(what, ["192.0.2.1"]) for what in HOSTILE]

    within_deadline(work)


def test_a_reply_from_elsewhere_is_not_heard() -> None:
    """Another port of the same host sends what looks right."""

    async def work() -> None:
        async with AsyncExitStack() as stack:
            server, upstream = await stack.enter_async_context(running(nothing))
            upstreams = Upstreams([upstream], pace=PACE)
            task = asyncio.ensure_future(get(upstreams))
            await server.was_asked.wait()
            loop = asyncio.get_running_loop()
            forger, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
            )
            [source] = server.sources
            forger.sendto(forged(server.messages[0]), source)
            message = await task
            forger.abort()
            assert (message.rcode(), message.answer) == (dns.rcode.SERVFAIL, [])

    within_deadline(work)


@pytest.mark.parametrize(
    "udp",
    [
        pytest.param(lambda asked: [wrong_id(asked), good(asked)], id="wrong id first"),
        pytest.param(lambda asked: [wrong_question(asked), good(asked)], id="wrong question first"),
        pytest.param(lambda asked: [asked, b"", b"x" * 40, good(asked)], id="garbage first"),
    ],
)
def test_strays_are_passed_over(udp: Script) -> None:
    async def work() -> None:
        async with running(udp) as (_, upstream):
            assert addresses(await ask(upstream)) == ["192.0.2.1"]

    within_deadline(work)


def test_an_upstream_that_is_not_there_is_left_for_the_next_and_probed_until_it_is_back() -> None:
    async def work() -> None:
        told = asyncio.Queue[list[str | None]]()
        async with running(always) as (_, well):
            gone = Upstream(Endpoint("127.0.0.1", 1))
            upstreams = Upstreams(
                [gone, well],
                notify=lambda: told.put_nowait([one.reason for one in upstreams.conditions()]),
                pace=PACE,
            )
            running_probes = asyncio.create_task(upstreams.run())
            assert addresses(await get(upstreams)) == ["192.0.2.1"]
            assert [one.reason for one in upstreams.conditions()] == [None, None]
            assert await told.get() == ["Connection refused", None]
            running_probes.cancel()

    within_deadline(work)


def test_one_that_is_back_is_well_again() -> None:
    async def work() -> None:
        told = asyncio.Queue[str | None]()
        up = False
        script: Script = lambda asked: [good(asked)] if up else []  # noqa: E731
        async with running(script) as (_, upstream):
            upstreams = Upstreams(
                [upstream],
                notify=lambda: told.put_nowait(upstreams.conditions()[0].reason),
                pace=PACE,
            )
            probes = asyncio.create_task(upstreams.run())
            assert (await get(upstreams)).rcode() == dns.rcode.SERVFAIL
            assert await told.get() == "no reply in time"
            up = True
            assert await told.get() is None
            probes.cancel()

    within_deadline(work)


@pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP", "REFUSED"])
def test_a_question_that_an_upstream_will_not_answer_does_not_make_it_ill(rcode: str) -> None:
    """One member's ANY would take it from all."""
    no = refusal(dns.rcode.from_text(rcode))

    def script(asked: bytes) -> Sequence[bytes | Raw]:
        is_any = dns.message.from_wire(asked).question[0].rdtype == dns.rdatatype.ANY
        return no(asked) if is_any else [good(asked)]

    async def work() -> None:
        async with running(script) as (first, one), running(always) as (second, other):
            upstreams = Upstreams([one, other])
            assert addresses(await get(upstreams, query_for(type_="ANY"))) == ["192.0.2.1"]
            assert (len(first.asked), len(second.asked)) == (1, 1)
            assert addresses(await get(upstreams)) == ["192.0.2.1"]
            assert (len(first.asked), len(second.asked)) == (2, 1)
            upstreams.close()

    within_deadline(work)


def test_one_that_refuses_everything_is_found_out_by_a_probe() -> None:
    async def work() -> None:
        told = asyncio.Queue[str | None]()
        async with running(refusal(dns.rcode.REFUSED)) as (_, upstream):
            upstreams = Upstreams(
                [upstream],
                notify=lambda: told.put_nowait(upstreams.conditions()[0].reason),
                pace=PACE,
            )
            probes = asyncio.create_task(upstreams.run())
            assert (await get(upstreams)).rcode() == dns.rcode.SERVFAIL
            assert await told.get() == "it replies REFUSED"
            probes.cancel()

    within_deadline(work)


def test_a_firm_no_is_an_answer_and_is_kept_as_its_soa_says() -> None:
    def script(asked: bytes) -> list[bytes]:
        soa = "example. 900 IN SOA ns.example. root.example. 1 2 3 4 60"
        made = reply(asked, authority=[soa])
        made.set_rcode(dns.rcode.NXDOMAIN)
        return [made.to_wire()]

    async def work() -> None:
        async with running(script) as (first, one), running(always) as (second, other):
            upstreams = Upstreams([one, other])
            message = await get(upstreams)
            assert message.rcode() == dns.rcode.NXDOMAIN
            assert message.authority[0].ttl == 60
            assert isinstance(upstreams.ask(query_for(), BOB), bytes)
            assert (len(first.asked), second.asked) == (1, [])

    within_deadline(work)


def test_a_truncated_answer_is_asked_again_over_tcp() -> None:
    async def work() -> None:
        async with running(TO_TCP, always) as (server, upstream):
            assert addresses(await ask(upstream)) == ["192.0.2.1"]
            assert server.asked == ["udp", "tcp"]

    within_deadline(work)


def test_who_asks_what_is_being_asked_waits_with_the_others() -> None:
    async def work() -> None:
        async with running(nothing, nothing) as (server, upstream):
            upstreams = Upstreams([upstream], pace=PACE)
            together = [asyncio.ensure_future(get(upstreams, asker=ALICE)) for _ in range(50)]
            together += [asyncio.ensure_future(get(upstreams, asker=BOB)) for _ in range(50)]
            messages = await asyncio.gather(*together)
            assert {message.rcode() for message in messages} == {dns.rcode.SERVFAIL}
            asked = len(server.messages)
            assert asked <= 3  # the tries of one question
            # And what failed is not asked again at once (RFC 9520).
            again = upstreams.ask(query_for(), BOB)
            assert isinstance(again, bytes)
            assert errors(dns.message.from_wire(again)) == [22]
            assert len(server.messages) == asked

    within_deadline(work)


def test_one_network_cannot_take_all_the_room() -> None:
    async def work() -> None:
        async with running(nothing) as (_, upstream):
            upstreams = Upstreams([upstream])

            def ask_for(number: int, asker: Asker) -> "asyncio.Task[dns.message.Message]":
                return asyncio.ensure_future(
                    get(upstreams, query_for(f"n{number}.example"), asker=asker)
                )

            waiting = [ask_for(number, ALICE) for number in range(64)]
            refused = await ask_for(64, ALICE)
            neighbour = ask_for(65, BOB)
            done, _ = await asyncio.wait([*waiting, neighbour], timeout=0.2)
            assert refused.rcode() == dns.rcode.SERVFAIL
            assert errors(refused) == [0]
            assert not done
            for task in [*waiting, neighbour]:
                task.cancel()
            upstreams.close()
            await asyncio.wait([*waiting, neighbour])
            assert not (await asyncio.wait([ask_for(1, ALICE)], timeout=0.2))[0]
            upstreams.close()

    within_deadline(work)


def test_old_answers_go_on_while_upstreams_fail() -> None:
    """RFC 8767: within 1.8 s, and at once where it was tried of late."""

    async def work() -> None:
        up, later_s = True, 0.0
        script: Script = lambda asked: [good(asked)] if up else []  # noqa: E731
        async with running(script) as (server, upstream):
            upstreams = Upstreams(
                [upstream], pace=2 * PACE, clock=lambda: time.monotonic() + later_s
            )
            await get(upstreams)
            up, later_s = False, 61.0
            began = asyncio.get_running_loop().time()
            message = await get(upstreams)
            assert asyncio.get_running_loop().time() - began > 1.7 * 2 * PACE
            assert addresses(message) == ["192.0.2.1"]
            assert (message.answer[0].ttl, errors(message)) == (30, [3])
            while not isinstance(kept := upstreams.ask(query_for(), BOB), bytes):
                await kept
            assert addresses(dns.message.from_wire(kept)) == ["192.0.2.1"]
            assert len(server.messages) <= 4  # the good one, and the tries of one question

    within_deadline(work)


@pytest.mark.parametrize("by", ["address", "spelling"])
def test_a_question_that_comes_back_ends_at_once(by: str) -> None:
    """The upstream asks us what we ask it."""

    async def work() -> None:
        back = asyncio.Queue[Awaitable[bytes] | bytes]()
        asker = ALICE._replace(address=bytes([127, 0, 0, 1])) if by == "address" else BOB

        def script(asked: bytes) -> list[bytes]:
            plain = dns.message.make_query(NAME, "A").to_wire() if by == "address" else asked
            query = read_query(plain)
            assert query is not None
            back.put_nowait(upstreams.ask(query, asker))
            return []

        async with running(script) as (server, upstream):
            upstreams = Upstreams([upstream])
            task = asyncio.ensure_future(get(upstreams))
            first = await back.get()
            assert not isinstance(first, bytes)
            message = dns.message.from_wire(await first)
            assert message.rcode() == dns.rcode.REFUSED
            assert not task.done()
            assert len(server.messages) == 1
            task.cancel()
            upstreams.close()
            await asyncio.wait([task])

    within_deadline(work)


def test_an_address_of_ours_in_a_public_name_is_left_out() -> None:
    def script(asked: bytes) -> list[bytes]:
        name = dns.message.from_wire(asked).question[0].name
        return [reply(asked, f"{name} 60 IN AAAA fdaa:0:18:10::2").to_wire()]

    async def work() -> None:
        async with running(script) as (_, upstream):
            upstreams = Upstreams([upstream], ours=lambda address: address[:2] == b"\xfd\xaa")
            message = await get(upstreams, query_for(type_="AAAA"))
            assert addresses(message) == []
            assert errors(message) == [15]

    within_deadline(work)


def test_a_resolver_of_ours_is_no_upstream_and_told_as_such() -> None:
    async def work() -> None:
        told = asyncio.Queue[str | None]()
        upstreams = Upstreams(
            [Upstream(Endpoint("fdaa:0:18::3", 53))],
            ours=lambda address: address[:2] == b"\xfd\xaa",
            notify=lambda: told.put_nowait(upstreams.conditions()[0].reason),
            pace=PACE,
        )
        probes = asyncio.create_task(upstreams.run())
        assert (await get(upstreams)).rcode() == dns.rcode.SERVFAIL
        assert await told.get() == "it is this resolver itself"
        probes.cancel()

    within_deadline(work)


@pytest.mark.parametrize("named", [True, False])
def test_over_tls_only_the_right_certificate_is_believed(tmp_path: Path, *, named: bool) -> None:
    right = {"name": "dns.example"} if named else {"address": "127.0.0.1"}
    path = certified(tmp_path, **right)
    wrong = certified(tmp_path, name="other.example")
    name = "dns.example" if named else None

    async def ask_over(shown: Path, *, trusted: Path) -> dns.message.Message:
        tls = tls_context(shown)
        script = Transport.TLS
        async with running(nothing, always, transport=script, tls=tls, name=name) as (_, upstream):
            upstreams = Upstreams([upstream], tls_ca=trusted)
            try:
                return await get(upstreams)
            finally:
                upstreams.close()

    async def work() -> None:
        assert addresses(await ask_over(path, trusted=path)) == ["192.0.2.1"]
        for shown, trusted in ((wrong, wrong), (path, wrong)):
            refused = await ask_over(shown, trusted=trusted)
            assert refused.rcode() == dns.rcode.SERVFAIL

    within_deadline(work)


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("")
    upstream = Upstream.parse("tls://192.0.2.1")

    for path in (empty, tmp_path / "nothing.pem"):
        with pytest.raises(Invalid, match="tls_ca"):
            Upstreams([upstream], tls_ca=path)
    assert Upstreams([upstream])
    assert not Upstreams([])
