"""Upstreams of every kind on the loopback: good, silent, broken and hostile, as scripts say."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from peers.endpoint import Endpoint
from tests.patience import HANG_S
from wgctl.core.forward.upstream import Transport, Upstream

__all__ = [
    "Raw",
    "Script",
    "Server",
    "certified",
    "good",
    "nothing",
    "refusal",
    "reply",
    "running",
    "tls_context",
    "truncated",
    "within_deadline",
    "wrong_id",
    "wrong_question",
]

HOST = "127.0.0.1"


class Raw(NamedTuple):
    """Octets of a stream as they are, slowly if so; then the connection is closed."""

    octets: bytes
    pause_s: float = 0.0


Script = Callable[[bytes], Sequence[bytes | Raw]]
"""What an upstream sends back, in order, when it is asked."""


def reply(
    asked: bytes, *lines: str, flags: int = 0, authority: Sequence[str] = ()
) -> dns.message.Message:
    made = dns.message.make_response(dns.message.from_wire(asked), recursion_available=True)
    made.flags |= flags
    for section, texts in ((made.answer, lines), (made.authority, authority)):
        for line in texts:
            name, ttl, class_, type_, data = line.split(" ", 4)
            section.append(dns.rrset.from_text(name, int(ttl), class_, type_, data))
    return made


def good(asked: bytes, *, address: str = "192.0.2.1", ttl_s: int = 60, flags: int = 0) -> bytes:
    name = dns.message.from_wire(asked).question[0].name
    return reply(asked, f"{name} {ttl_s} IN A {address}", flags=flags).to_wire()


def truncated(asked: bytes) -> bytes:
    return good(asked, address="192.0.2.66", flags=dns.flags.TC)


def wrong_id(asked: bytes) -> bytes:
    return bytes([asked[0] ^ 0x55]) + good(asked, address="192.0.2.66")[1:]


def wrong_question(asked: bytes) -> bytes:
    octets = bytearray(good(asked, address="192.0.2.66"))
    octets[13] ^= 1  # the first letter of the name
    return bytes(octets)


def refusal(rcode: dns.rcode.Rcode) -> Script:
    def script(asked: bytes) -> list[bytes]:
        refused = reply(asked)
        refused.set_rcode(rcode)
        return [refused.to_wire()]

    return script


def nothing(_: bytes) -> list[bytes]:
    return []


class Server(asyncio.DatagramProtocol):
    """One server, over UDP and TCP at the same port; remembers how it was asked."""

    def __init__(self, udp: Script, tcp: Script) -> None:
        self._udp = udp
        self._tcp = tcp
        self._transport: asyncio.DatagramTransport | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.asked: list[str] = []
        self.messages: list[bytes] = []
        self.sources: set[tuple[str, int]] = set()
        self.connections = 0
        self.was_asked = asyncio.Event()
        self.left = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._note("udp", data)
        self.sources.add(addr)
        for sent in self._udp(data):
            assert isinstance(sent, bytes)
            self._transport.sendto(sent, addr)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readexactly(2):
                asked = await reader.readexactly(int.from_bytes(head, "big"))
                self._note("tcp", asked)
                await self._reply(writer, self._tcp(asked))
        self.left.set()
        writer.transport.abort()

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _note(self, how: str, asked: bytes) -> None:
        self.asked.append(how)
        self.messages.append(asked)
        self.was_asked.set()

    async def _reply(self, writer: asyncio.StreamWriter, sent: Sequence[bytes | Raw]) -> None:
        for one in sent:
            if isinstance(one, bytes):
                writer.write(len(one).to_bytes(2, "big") + one)
                continue
            for octet in one.octets:
                writer.write(bytes([octet]))
                await writer.drain()
                await asyncio.sleep(one.pause_s)
            raise ConnectionAbortedError
        await writer.drain()


@asynccontextmanager
async def running(
    udp: Script = nothing,
    tcp: Script = nothing,
    *,
    transport: Transport = Transport.UDP,
    tls: ssl.SSLContext | None = None,
    name: str | None = None,
) -> AsyncIterator[tuple[Server, Upstream]]:
    """Run a server; yield it, and how it is asked over `transport`."""
    server = Server(udp, tcp)
    listener = await asyncio.start_server(server.serve, HOST, 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    datagrams, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=(HOST, port))
    try:
        yield server, Upstream(Endpoint(HOST, port), transport, name)
    finally:
        datagrams.abort()
        listener.close()
        server.close()


def certified(folder: Path, *, name: str | None = None, address: str | None = None) -> Path:
    """Make a certificate for `name` or `address` that vouches for itself; return both in a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    names: list[x509.GeneralName] = []
    if name is not None:
        names.append(x509.DNSName(name))
    if address is not None:
        names.append(x509.IPAddress(ip_address(address)))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name or address}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


def tls_context(path: Path) -> ssl.SSLContext:
    """Return what a server needs to show the certificate at `path`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def within_deadline(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), HANG_S))
