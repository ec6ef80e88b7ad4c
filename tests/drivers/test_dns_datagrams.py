"""DNS over UDP in a namespace, asked by dig and by plain sockets from another one."""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.edns
import dns.message
import dns.rrset
import pytest

from tests.drivers.lan import (
    OTHER_PEER,
    OTHER_RESOLVER,
    PEER,
    RESOLVER,
    UPLINK_HERE,
    Lan,
)
from tests.patience import HANG_S
from wgctl.core.responder import Answer
from wgctl.drivers.dns_datagrams import Allowance, DnsDatagrams, Question
from wgctl.drivers.kept import Kept
from wgctl.drivers.tunnel_socket import listen_on

pytestmark = pytest.mark.network

PLENTY = Allowance(1_000_000, 1_000_000)


@dataclass(slots=True)
class Served:
    """Datagrams that are answered with a TXT record that says who asked."""

    asked: list[Question] = field(default_factory=list)
    later: list[Question] = field(default_factory=list)

    def who(self, question: Question, _: Kept, turn: int) -> Answer | None:
        self.asked.append(question)
        query = dns.message.from_wire(question.message)
        name = query.question[0].name
        if name.labels[0] == b"silence":
            return None
        if name.labels[0] == b"later":
            self.later.append(question)
            return None
        turns = 2 if name.labels[0] == b"turns" else 1
        return Answer(self.reply(question, turn % turns), turns)

    @staticmethod
    def reply(question: Question, turn: int = 0) -> bytes:
        query = dns.message.from_wire(question.message)
        reply = dns.message.make_response(query)
        asker = socket.inet_ntop(socket.AF_INET6, question.asker)
        data = f'"{asker}{turn or ""}"'
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "TXT", data))
        return reply.to_wire()


@contextmanager
def serving(lan: Lan, allowance: Allowance = PLENTY) -> Iterator[tuple[Served, DnsDatagrams]]:
    """Serve on the device until the block ends, in the namespace's thread."""
    bound = lan.server.run(lambda: listen_on(lan.device, 53, kind=socket.SOCK_DGRAM))
    served = Served()
    datagrams = DnsDatagrams(bound, served.who, allowance=allowance)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            if not datagrams.exchange(time.monotonic()):
                ended.wait(0.002)

    work = lan.server.thread.submit(serve)
    try:
        yield served, datagrams
    finally:
        ended.set()
        work.result(HANG_S)
        bound.close()


def test_who_asks_is_known_and_answered_from_the_address_that_was_asked(lan: Lan) -> None:
    lan.add_device()
    with serving(lan):
        for peer, resolver in ((PEER, RESOLVER), (OTHER_PEER, OTHER_RESOLVER)):
            for _ in range(2):
                reply = lan.dig("-b", peer, f"@{resolver}", "+nocookie")

                assert reply == f'"{peer}"'


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(PEER, OTHER_RESOLVER, id="the resolver of another network"),
        pytest.param(PEER, "fdaa:0:18::4", id="another address of the host in the network"),
        pytest.param(PEER, UPLINK_HERE, id="the host's own address"),
    ],
)
def test_only_the_resolver_of_the_askers_own_network_answers(
    lan: Lan, source: str, target: str
) -> None:
    lan.add_device()
    lan.add_uplink()
    with serving(lan) as (served, _datagrams):
        assert lan.dig("-b", source, f"@{target}", tries=1) == ""
        assert not served.asked
        assert lan.dig("-b", PEER, f"@{RESOLVER}") != ""


def test_nothing_that_comes_by_another_interface_is_answered(lan: Lan) -> None:
    """Whatever its source says: there is no firewall here, and the address is the host's own."""
    lan.add_device()
    lan.add_uplink()
    with serving(lan) as (served, _datagrams):
        lan.take_uplink()

        assert lan.dig("-b", PEER, f"@{RESOLVER}", tries=1) == ""
        assert not served.asked
        lan.leave_uplink()
        assert lan.dig("-b", PEER, f"@{RESOLVER}") != ""


def test_a_reply_that_is_kept_is_given_without_asking_again_until_it_is_suspended(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as (served, datagrams):
        asking = ("-b", PEER, f"@{RESOLVER}", "+nocookie")
        replies = [lan.dig(*asking) for _ in range(3)]
        assert len(served.asked) == 1
        datagrams.suspend(socket.inet_pton(socket.AF_INET6, OTHER_RESOLVER)[:6])
        replies += [lan.dig(*asking)]
        assert len(served.asked) == 1
        datagrams.suspend(socket.inet_pton(socket.AF_INET6, RESOLVER)[:6])
        replies += [lan.dig(*asking)]

        assert len(served.asked) == 2
        assert set(replies) == {f'"{PEER}"'}


def test_what_is_kept_of_one_network_is_given_to_no_other(lan: Lan) -> None:
    lan.add_device()
    with serving(lan):
        asked = {
            peer: lan.dig("-b", peer, f"@{resolver}", "+nocookie")
            for peer, resolver in ((PEER, RESOLVER), (OTHER_PEER, OTHER_RESOLVER))
        }

        assert asked == {PEER: f'"{PEER}"', OTHER_PEER: f'"{OTHER_PEER}"'}


def test_the_orders_of_an_answer_take_turns_when_it_is_kept(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as (served, _datagrams), client(lan) as (asker, _):
        seen = set()
        for _ in range(60):
            seen.add(exchanged(asker, query("turns")))

        assert len(seen) == 2
        assert len(served.asked) == 2


def test_silence_is_silence_and_others_in_the_batch_are_answered(lan: Lan) -> None:
    lan.add_device()
    with serving(lan), client(lan) as (asker, _):
        for number in range(100):
            asker.send(query("silence" if number % 3 else f"name{number}", number))
        found = sorted(struct.unpack("!H", asker.recv(512)[:2])[0] for _ in range(34))

        assert found == list(range(0, 100, 3))
        asker.settimeout(0.2)
        with pytest.raises(TimeoutError):
            asker.recv(512)


def test_a_reply_may_come_later_from_the_address_that_was_asked(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as (served, datagrams), client(lan) as (asker, _):
        asker.send(query("later"))
        within(lambda: bool(served.later))
        [question] = served.later
        datagrams.send(question.envelope, served.reply(question))

        assert asker.recv(512) == served.reply(question)


@pytest.mark.parametrize("length", [184, 185, 1000, 4096])
def test_a_long_query_is_read_whole(lan: Lan, length: int) -> None:
    lan.add_device()
    padded = dns.message.make_query("long.internal", "TXT", use_edns=0, payload=1232)
    short = len(padded.to_wire())
    padded.use_edns(
        0, options=[dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(length - short - 4))]
    )
    with serving(lan) as (served, _datagrams), client(lan) as (asker, _):
        replies = [exchanged(asker, padded.to_wire(max_size=length)) for _ in range(2)]

        assert [len(one.message) for one in served.asked][-1] == length
        assert [dns.message.from_wire(one).rcode() for one in replies] == [0, 0]


def test_what_is_longer_than_any_query_is_not_answered(lan: Lan) -> None:
    lan.add_device()
    with serving(lan) as (served, _datagrams), client(lan) as (asker, _):
        asker.send(query("long").ljust(4097, b"\0"))
        exchanged(asker, query("short"))

        assert len(served.asked) == 1


def test_who_floods_is_limited_alone_and_told_of(lan: Lan) -> None:
    lan.add_device()
    with (
        serving(lan, Allowance(per_s=1, burst=20)) as (_served, datagrams),
        client(lan) as (asker, other),
    ):
        for number in range(200):
            asker.send(query("flood", number))
        reply = exchanged(other, query("calm"))
        counts: Counter[bytes] = Counter()

        def many() -> bool:
            counts.update(datagrams.refused())
            return counts.total() > 100

        within(many)
        assert counts.keys() == {socket.inet_pton(socket.AF_INET6, PEER)}
        assert dns.message.from_wire(reply).answer


def test_a_network_that_nobody_asks_from_is_forgotten(lan: Lan) -> None:
    lan.add_device()
    network = socket.inet_pton(socket.AF_INET6, RESOLVER)[:6]
    with serving(lan) as (_served, datagrams):
        lan.dig("-b", PEER, f"@{RESOLVER}")
        idle = [datagrams.sweep(), datagrams.sweep(), datagrams.sweep()]

        assert idle == [frozenset(), frozenset({network}), frozenset()]
        assert lan.dig("-b", PEER, f"@{RESOLVER}") != ""


def query(name: str, number: int = 7) -> bytes:
    return dns.message.make_query(f"{name}.internal", "TXT", id=number).to_wire()


def exchanged(asker: socket.socket, message: bytes) -> bytes:
    asker.send(message)
    return asker.recv(4096)


@contextmanager
def client(lan: Lan) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield sockets of the client's namespace, of one peer and of another network's."""
    with lan.beside() as thread:
        opened = [
            thread.submit(_connected, *ends).result()
            for ends in ((PEER, RESOLVER), (OTHER_PEER, OTHER_RESOLVER))
        ]
    try:
        yield opened[0], opened[1]
    finally:
        for one in opened:
            one.close()


def _connected(source: str, target: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    opened.settimeout(HANG_S)
    opened.bind((source, 0))
    opened.connect((target, 53))
    return opened


def within(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
