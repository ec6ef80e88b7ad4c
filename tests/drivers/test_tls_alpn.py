"""Connections as a CA makes them, beside those of clients, over the loopback."""

import asyncio
import socket
import ssl
import time

import pytest
from cryptography import x509

from tests.drivers.serving import Place, served
from tests.patience import HANG_S
from wgctl.core.challenge import PROTOCOL, proof
from wgctl.core.pin import NAME
from wgctl.drivers.tls_alpn import Proofs

_NOW = int(time.time())
_PROOFS = {name: proof(name, f"for {name}", now=_NOW) for name in ("a.example", "b.example")}


def _looker(*protocols: str) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.set_alpn_protocols(list(protocols))
    return tls


def _looks(place: Place, name: str, *protocols: str) -> tuple[str | None, set[str], bytes]:
    """Return the protocol that is agreed on, the names that are shown, and what is sent then."""
    with (
        socket.create_connection(("127.0.0.1", place.port), timeout=HANG_S) as connection,
        _looker(*protocols).wrap_socket(connection, server_hostname=name) as talking,
    ):
        shown = x509.load_der_x509_certificate(talking.getpeercert(binary_form=True) or b"")
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        agreed = talking.selected_alpn_protocol()
        sent = talking.recv(100) if agreed == PROTOCOL else b""
        return agreed, set(names.get_values_for_type(x509.DNSName)), sent


def test_who_looks_for_a_proof_sees_that_of_the_name_and_is_served_nothing() -> None:
    proofs = Proofs()

    async def scene() -> list[tuple[str | None, set[str], bytes]]:
        async with served(proofs=proofs) as place:
            with proofs.shown(_PROOFS):
                return [await asyncio.to_thread(_looks, place, name, PROTOCOL) for name in _PROOFS]

    assert asyncio.run(scene()) == [
        (PROTOCOL, {"a.example"}, b""),
        (PROTOCOL, {"b.example"}, b""),
    ]


def test_everybody_else_is_served_as_ever_meanwhile() -> None:
    proofs = Proofs()

    async def scene() -> tuple[object, str | None, object]:
        async with served(proofs=proofs) as place:
            before = await place.call()
            with proofs.shown(_PROOFS):
                agreed, names, _ = await asyncio.to_thread(_looks, place, "a.example", "http/1.1")
                assert not names & set(_PROOFS)
                during = await place.call()
                return await before.asks(), agreed, await during.asks()

    assert asyncio.run(scene()) == (["127.0.0.1", "https"], "http/1.1", ["127.0.0.1", "https"])


def test_a_proof_of_another_name_is_refused() -> None:
    proofs = Proofs()

    async def scene() -> None:
        async with served(proofs=proofs) as place:
            with proofs.shown(_PROOFS):
                await asyncio.to_thread(_looks, place, "c.example", PROTOCOL)

    with pytest.raises(OSError, match=r"EOF occurred|reset"):
        asyncio.run(scene())


def test_there_is_no_proof_before_and_after() -> None:
    proofs = Proofs()

    async def scene() -> list[tuple[str | None, set[str], bytes]]:
        async with served(proofs=proofs) as place:
            before = await asyncio.to_thread(_looks, place, "a.example", PROTOCOL)
            with proofs.shown(_PROOFS):
                pass
            return [before, await asyncio.to_thread(_looks, place, "a.example", PROTOCOL)]

    assert asyncio.run(scene()) == [(None, {NAME}, b"")] * 2


def test_a_hello_in_pieces_is_waited_for_and_one_that_never_ends_is_not() -> None:
    proofs = Proofs()

    async def scene() -> None:
        async with served(proofs=proofs, handshake_s=0.5) as place:
            with proofs.shown(_PROOFS):
                slow = await place.call(tls=False)
                for octet in b"\x16\x03\x01":
                    slow.writer.write(bytes([octet]))
                    await asyncio.sleep(0.03)
                await slow.is_closed()
                plain = await place.call(tls=False)
                plain.writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await plain.is_closed()

    asyncio.run(scene())


def test_a_hello_in_pieces_is_answered() -> None:
    proofs = Proofs()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    asker = _looker(PROTOCOL).wrap_bio(incoming, outgoing, server_hostname="a.example")
    with pytest.raises(ssl.SSLWantReadError):
        asker.do_handshake()
    hello = outgoing.read()

    async def scene() -> bytes:
        async with served(proofs=proofs) as place:
            with proofs.shown(_PROOFS):
                reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
                for begin in range(0, len(hello), 100):
                    writer.write(hello[begin : begin + 100])
                    await asyncio.sleep(0.03)
                async with asyncio.timeout(HANG_S):
                    first = await reader.readexactly(1)
                writer.close()
                return first

    assert asyncio.run(scene()) == b"\x16"
