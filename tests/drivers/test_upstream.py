"""Upstreams of every kind on the loopback: good, silent, broken and hostile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from peers.endpoint import Endpoint
from wgctl.core.errors import Invalid
from wgctl.core.wire import Query, read_query
from wgctl.drivers.upstream import Upstreams

NETWORK = b"\xfd\xaa\0\0\0\x18"
TIMEOUT_S = 0.3
DEADLINE_S = 10.0

Script = Callable[[bytes], list[bytes]]
"""What an upstream sends back, in order, when it is asked."""


def good(asked: bytes, *, address: str = "192.0.2.1", flags: int = 0) -> bytes:
    query = dns.message.from_wire(asked)
    reply = dns.message.make_response(query, recursion_available=True)
    reply.flags |= flags
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", address))
    return reply.to_wire()


def other(asked: bytes) -> bytes:
    return good(asked, address="192.0.2.66")


def truncated(asked: bytes) -> bytes:
    return good(asked, address="192.0.2.66", flags=dns.flags.TC)


def refusal(rcode: dns.rcode.Rcode) -> Script:
    def script(asked: bytes) -> list[bytes]:
        reply = dns.message.make_response(dns.message.from_wire(asked))
        reply.set_rcode(rcode)
        return [reply.to_wire()]

    return script


def wrong_id(asked: bytes) -> bytes:
    return bytes([asked[0] ^ 0x55]) + other(asked)[1:]


def wrong_question(asked: bytes) -> bytes:
    return other(asked).replace(b"\7example", b"\7example"[:1] + b"elpmaxe")


class Upstream(asyncio.DatagramProtocol):
    """One server, over UDP and TCP at the same port; remembers how it was asked."""

    def __init__(self, udp: Script, tcp: Script) -> None:
        self._udp = udp
        self._tcp = tcp
        self._transport: asyncio.DatagramTransport | None = None
        self.asked: list[str] = []
        self.sources: set[tuple[str, int]] = set()
        self.ids: set[bytes] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self.asked.append("udp")
        self.sources.add(addr)
        self.ids.add(data[:2])
        for reply in self._udp(data):
            self._transport.sendto(reply, addr)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append("tcp")
        asked = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        for reply in self._tcp(asked):
            writer.write(len(reply).to_bytes(2, "big") + reply)
        with suppress(OSError):
            await writer.drain()
            await reader.read()
        writer.transport.abort()


def nothing(_: bytes) -> list[bytes]:
    return []


@asynccontextmanager
async def running(udp: Script, tcp: Script = nothing) -> AsyncIterator[tuple[Upstream, Endpoint]]:
    upstream = Upstream(udp, tcp)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: upstream, local_addr=("127.0.0.1", port)
    )
    try:
        yield upstream, Endpoint("127.0.0.1", port)
    finally:
        transport.abort()
        server.close()


def client_query(*, edns: bool = True) -> Query:
    message = dns.message.make_query("wWw.example.com", "A", use_edns=edns)
    query = read_query(message.to_wire())
    assert query is not None
    return query


async def ask(*endpoints: Endpoint, stream: bool = False) -> dns.message.Message:
    upstreams = Upstreams(endpoints, timeout_s=TIMEOUT_S)
    query = client_query()
    reply = dns.message.from_wire(await upstreams.ask(query, network=NETWORK, stream=stream))
    assert reply.id == query.id
    assert reply.question[0].name.to_text() == "wWw.example.com."
    assert reply.flags & dns.flags.RA
    return reply


def addresses(reply: dns.message.Message) -> list[str]:
    assert reply.rcode() == dns.rcode.NOERROR
    return [rdata.to_text() for rrset in reply.answer for rdata in rrset]


def within_deadline(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), DEADLINE_S))


def test_a_good_upstream_s_answer_is_relayed() -> None:
    async def work() -> None:
        async with running(lambda asked: [good(asked)]) as (upstream, endpoint):
            assert addresses(await ask(endpoint)) == ["192.0.2.1"]
            assert upstream.asked == ["udp"]

    within_deadline(work)


def test_each_question_has_a_port_and_an_id_of_its_own() -> None:
    async def work() -> None:
        async with running(lambda asked: [good(asked)]) as (upstream, endpoint):
            upstreams = Upstreams([endpoint])
            for _ in range(20):
                await upstreams.ask(client_query(), network=NETWORK, stream=False)
            # By chance 20 of 28,232 ports or 65,536 ids fall twice together once in 10^5 runs.
            assert len({port for _, port in upstream.sources}) >= 18
            assert len(upstream.ids) >= 18

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
        async with running(udp) as (_, endpoint):
            assert addresses(await ask(endpoint)) == ["192.0.2.1"]

    within_deadline(work)


@pytest.mark.parametrize(
    ("udp", "tcp"),
    [
        pytest.param(nothing, nothing, id="silence"),
        pytest.param(lambda asked: [wrong_id(asked)], nothing, id="wrong id"),
        pytest.param(lambda asked: [wrong_question(asked)], nothing, id="wrong question"),
        pytest.param(lambda asked: [other(asked)[:-1]], nothing, id="last record cut"),
        pytest.param(lambda _: [b"\xff" * 512] * 20, nothing, id="garbage"),
        pytest.param(
            lambda asked: [wrong_id(asked)] * 20 + [other(asked)], nothing, id="guessed ids"
        ),
        pytest.param(
            lambda asked: [truncated(asked)], lambda asked: [truncated(asked)], id="never whole"
        ),
        pytest.param(lambda asked: [truncated(asked)], nothing, id="truncated, then silence"),
        pytest.param(
            lambda asked: [truncated(asked)],
            lambda asked: [wrong_id(asked)],
            id="truncated, then another id",
        ),
        pytest.param(lambda asked: [truncated(asked)], lambda _: [b""], id="truncated, then empty"),
        pytest.param(refusal(dns.rcode.SERVFAIL), nothing, id="SERVFAIL"),
        pytest.param(refusal(dns.rcode.REFUSED), nothing, id="REFUSED"),
        pytest.param(refusal(dns.rcode.FORMERR), nothing, id="FORMERR"),
    ],
)
def test_a_bad_upstream_is_left_for_the_next_and_alone_means_servfail(
    udp: Script, tcp: Script
) -> None:
    async def work() -> None:
        async with (
            running(udp, tcp) as (_, bad),
            running(lambda asked: [good(asked)]) as (_, well),
        ):
            assert addresses(await ask(bad, well)) == ["192.0.2.1"]
            alone = await ask(bad)
            assert alone.rcode() == dns.rcode.SERVFAIL
            assert alone.answer == []

    within_deadline(work)


def test_an_upstream_that_is_not_there_is_left_for_the_next() -> None:
    async def work() -> None:
        async with running(nothing) as (_, gone):
            pass
        async with running(lambda asked: [good(asked)]) as (_, well):
            for stream in (False, True):
                assert (await ask(gone, stream=stream)).rcode() == dns.rcode.SERVFAIL
            assert addresses(await ask(gone, well)) == ["192.0.2.1"]

    within_deadline(work)


def test_a_firm_no_is_an_answer() -> None:
    async def work() -> None:
        async with (
            running(refusal(dns.rcode.NXDOMAIN)) as (_, first),
            running(lambda asked: [good(asked)]) as (second, endpoint),
        ):
            assert (await ask(first, endpoint)).rcode() == dns.rcode.NXDOMAIN
            assert second.asked == []

    within_deadline(work)


def test_a_truncated_answer_is_asked_again_over_tcp() -> None:
    async def work() -> None:
        tcp: Script = lambda asked: [good(asked)]  # noqa: E731  # as the table above writes them
        async with running(lambda asked: [truncated(asked)], tcp) as (upstream, endpoint):
            assert addresses(await ask(endpoint)) == ["192.0.2.1"]
            assert upstream.asked == ["udp", "tcp"]

    within_deadline(work)


def test_what_came_over_a_stream_goes_up_over_tcp() -> None:
    async def work() -> None:
        async with running(nothing, lambda asked: [good(asked)]) as (upstream, endpoint):
            assert addresses(await ask(endpoint, stream=True)) == ["192.0.2.1"]
            assert upstream.asked == ["tcp"]

    within_deadline(work)


def test_the_last_that_helped_is_asked_first() -> None:
    async def work() -> None:
        async with (
            running(nothing) as (silent, first),
            running(lambda asked: [good(asked)]) as (_, second),
        ):
            upstreams = Upstreams([first, second], timeout_s=TIMEOUT_S)
            for _ in range(3):
                await upstreams.ask(client_query(), network=NETWORK, stream=False)
            assert silent.asked == ["udp"]

    within_deadline(work)


def test_a_network_has_64_questions_under_way_and_leaves_others_room() -> None:
    async def work() -> None:
        async with running(nothing) as (_, endpoint):
            upstreams = Upstreams([endpoint], timeout_s=DEADLINE_S)

            def ask_for(network: bytes) -> asyncio.Task[bytes]:
                asked = upstreams.ask(client_query(), network=network, stream=False)
                return asyncio.ensure_future(asked)

            waiting = [ask_for(NETWORK) for _ in range(64)]
            refused = dns.message.from_wire(await ask_for(NETWORK))
            neighbour = ask_for(b"other!")
            done, _ = await asyncio.wait([*waiting, neighbour], timeout=TIMEOUT_S)

            assert refused.rcode() == dns.rcode.SERVFAIL
            assert not done
            for task in [*waiting, neighbour]:
                task.cancel()
            await asyncio.gather(*waiting, neighbour, return_exceptions=True)
            assert not (await asyncio.wait([ask_for(NETWORK)], timeout=TIMEOUT_S))[0]

    within_deadline(work)


def test_upstreams_are_addresses() -> None:
    with pytest.raises(Invalid, match=r"dns\.example:53.*expected an address"):
        Upstreams([Endpoint("192.0.2.1", 53), Endpoint("dns.example", 53)])

    assert not Upstreams([])
    assert Upstreams([Endpoint("2001:db8::1", 53)])
