"""Many datagrams in one call, each with its own addresses."""

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.patience import HANG_S
from wgctl.drivers.batch import (
    ENVELOPE_BYTES,
    MESSAGE_AT,
    OFFSETS,
    ROOM_BYTES,
    SENDERS,
    SLOTS,
    Batch,
    Sender,
    send,
)

HERE = socket.inet_pton(socket.AF_INET6, "::1")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a socket that tells destinations, and one that is connected to it."""
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client,
    ):
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        server.setblocking(False)
        server.bind(("::1", 0))
        client.settimeout(HANG_S)
        client.connect(server.getsockname())
        yield server, client


def message(number: int, length: int) -> bytes:
    return struct.pack("!H", number).ljust(length, bytes([number % 256]))


def test_each_message_is_taken_whole_with_where_it_came_from(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    lengths = [2, 12, ROOM_BYTES, ROOM_BYTES + 1, 4096]
    for number, length in enumerate(lengths):
        client.send(message(number, length))
    batch = Batch(server)
    slots, taken = batch.take()

    assert taken == lengths
    for number, length in enumerate(lengths):
        found = slots[OFFSETS[number] + MESSAGE_AT :][: min(length, ROOM_BYTES)]
        if length > ROOM_BYTES:
            found += batch.rest(number, length)
        assert found == message(number, length)
        assert Sender.read(slots[SENDERS[number]]) == (HERE, HERE)
    assert batch.take() == (b"", [])


def test_each_reply_has_the_first_two_octets_of_its_message_and_none_is_sent_for_silence(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    for number in range(SLOTS + 2):
        client.send(message(number, 20))
    batch = Batch(server)
    received = []
    for expected in (SLOTS, 2):
        _, lengths = batch.take()
        assert len(lengths) == expected
        batch.reply([b"" if slot % 3 == 1 else b"x" * (slot + 1) for slot in range(expected)])
        sent = sum(slot % 3 != 1 for slot in range(expected))
        received += [client.recv(512) for _ in range(sent)]

    first = [message(n, 2) + b"x" * (n + 1) for n in range(SLOTS) if n % 3 != 1]
    assert received == [*first, message(SLOTS, 2) + b"x"]


def test_a_datagram_without_a_destination_has_no_sender(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """Nor that of the one that lay in its slot before."""
    server, client = pair
    batch = Batch(server)
    senders = []
    for told in (1, 0):
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, told)
        client.send(b"question")
        slots, _ = batch.take()
        senders.append(Sender.read(slots[SENDERS[0]]))

    assert senders == [(HERE, HERE), None]


def test_an_address_with_a_zone_is_no_sender() -> None:
    link_local = bytes.fromhex("fe80").ljust(16, b"\1")
    header = struct.pack("@Nii", 36, socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
    place = header + HERE + struct.pack("=i", 1)

    assert Sender.read(link_local + struct.pack("=i", 3) + bytes(4) + place) is None
    assert Sender.read(link_local + bytes(8) + place) == (link_local, HERE)


def test_a_reply_may_be_sent_later(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    client.send(b"question")
    slots, _ = Batch(server).take()
    send(server, slots[:ENVELOPE_BYTES], b"answer")

    assert client.recv(512) == b"answer"
