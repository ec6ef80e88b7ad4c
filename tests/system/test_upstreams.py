"""A real resolver as upstream: what Unbound says over UDP, TCP and TLS is what members get."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.drivers.upstream.servers import certified, within_deadline
from tests.patience import HANG_S
from tests.system.unbound import UNBOUND, write_config
from wgctl.core.forward.upstream import Upstream
from wgctl.core.wire import read_query
from wgctl.drivers.dns_stream import Asker
from wgctl.drivers.upstream.forwarder import Upstreams

ASKER = Asker(bytes.fromhex("fdaa0000001800100000000000000002"), stream=True)


# A port that is free may be somebody's before Unbound has it: all tests of the host share them.
TRIES = 10


class Unbound(NamedTuple):
    """A running server."""

    port: int
    tls_port: int
    certificate: Path


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unbound]:
    folder = tmp_path_factory.mktemp("unbound")
    certificate = certified(folder, name="dns.example")
    with ExitStack() as running:
        for _ in range(TRIES):
            port, tls_port = _free_ports(2)
            served = Unbound(port, tls_port, certificate)
            process = running.enter_context(_started(folder, served))
            if _listens(tls_port, process):
                break
        assert process.poll() is None, (folder / "log").read_text()
        yield served


@contextmanager
def _started(folder: Path, served: Unbound) -> "Iterator[subprocess.Popen[bytes]]":
    config = write_config(folder, **served._asdict())
    with (
        (folder / "log").open("wb") as output,
        subprocess.Popen([UNBOUND, "-c", config], stdout=output, stderr=output) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _free_ports(total: int) -> list[int]:
    sockets = [socket.socket() for _ in range(total)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until it listens; return False when it has ended, as where a port was taken."""
    deadline = time.monotonic() + HANG_S
    while process.poll() is None:
        assert time.monotonic() < deadline
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return process.poll() is None
        time.sleep(0.02)
    return False


def ask_all(
    upstream: str, names: Sequence[str], *, tls_ca: Path | None = None
) -> list[dns.message.Message]:
    """Return the replies to A queries for `names`, asked at once."""
    replies: list[dns.message.Message] = []

    async def one(upstreams: Upstreams, name: str) -> dns.message.Message:
        query = read_query(dns.message.make_query(name, "A", use_edns=0).to_wire())
        assert query is not None
        asked = upstreams.ask(query, ASKER)
        assert not isinstance(asked, bytes)
        return dns.message.from_wire(await asked)

    async def work() -> None:
        with closing(Upstreams([Upstream.parse(upstream)], tls_ca=tls_ca)) as upstreams:
            replies.extend(await asyncio.gather(*(one(upstreams, name) for name in names)))

    within_deadline(work)
    return replies


NAMES = ["www.example", "nope.example", "WWW.example", "many.example", "a.evil"]


def check(replies: list[dns.message.Message]) -> None:
    www, nope, again, many, refused = replies

    assert www.answer[0].to_text() == "www.example. 300 IN A 192.0.2.1"
    assert again.answer[0].to_text() == "WWW.example. 300 IN A 192.0.2.1"
    assert (nope.rcode(), nope.answer) == (dns.rcode.NXDOMAIN, [])
    assert nope.authority[0].to_text().startswith("example. 60 IN SOA")
    assert len(many.answer[0]) == 200
    assert not many.flags & dns.flags.TC
    assert refused.rcode() == dns.rcode.SERVFAIL


def test_over_udp_and_what_is_too_long_for_that_over_tcp(unbound: Unbound) -> None:
    check(ask_all(f"127.0.0.1:{unbound.port}", NAMES))


def test_over_tcp_alone(unbound: Unbound) -> None:
    check(ask_all(f"tcp://127.0.0.1:{unbound.port}", NAMES))


def test_over_tls_to_the_one_whose_name_is_in_the_certificate(unbound: Unbound) -> None:
    at, certificate = f"tls://127.0.0.1:{unbound.tls_port}", unbound.certificate

    check(ask_all(f"{at}#dns.example", NAMES, tls_ca=certificate))
    for name, trusted in (("other.example", certificate), ("dns.example", None)):
        [www] = ask_all(f"{at}#{name}", NAMES[:1], tls_ca=trusted)
        assert www.rcode() == dns.rcode.SERVFAIL
