import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address

import pytest
from dnslib import AAAA, EDNS0, QTYPE, RCODE, RR, TXT, DNSRecord, EDNSOption

from tests.cli.conftest import Deployment, Wgctl


@dataclass
class Resolver:
    """What stands at the operators' socket: it notes who asked what, and says what it is told."""

    rcode: str = "NOERROR"
    extended_error: bytes = b""
    asked: list[tuple[IPv6Address, str, str]] = field(default_factory=list)

    def answer(self, asker: IPv6Address, message: bytes) -> bytes:
        query = DNSRecord.parse(message)
        name, type_ = str(query.q.qname), QTYPE[query.q.qtype]
        self.asked.append((asker, name, type_))
        reply = query.reply()
        reply.header.rcode = getattr(RCODE, self.rcode)
        if self.rcode == "NOERROR" and type_ == "AAAA":
            reply.add_answer(RR(name, QTYPE.AAAA, ttl=5, rdata=AAAA("fdaa::2")))
        if self.rcode == "NOERROR" and type_ == "TXT":
            reply.add_answer(RR(name, QTYPE.TXT, ttl=5, rdata=TXT([b"web,\x1b", b"db"])))
        if self.extended_error:
            reply.add_ar(EDNS0(opts=[EDNSOption(15, b"\0\x03" + self.extended_error)]))
        return bytes(reply.pack())


@pytest.fixture
def resolver(deployment: Deployment) -> Iterator[Resolver]:
    made, path = Resolver(), deployment.folder / "run" / "resolver.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, made))
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    path.unlink()


def _serve(listener: socket.socket, resolver: Resolver) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as stream:
            asker = IPv6Address(stream.read(16))
            message = stream.read(int.from_bytes(stream.read(2), "big"))
            reply = resolver.answer(asker, message)
            connection.sendall(len(reply).to_bytes(2, "big") + reply)


def test_the_question_is_asked_in_the_name_of_the_network(acme: Wgctl, resolver: Resolver) -> None:
    acme("network", "add", "ci")
    (asker,) = [
        IPv6Address(network["resolver"])
        for network in acme("network", "list", "--json").document
        if network["name"] == "ci"
    ]

    result = acme("dns", "web.internal", "--network", "ci")

    assert result.stdout == "web.internal. 5 IN AAAA fdaa::2\n"
    assert resolver.asked == [(asker, "web.internal.", "AAAA")]


def test_an_address_is_asked_for_its_name(acme: Wgctl, resolver: Resolver) -> None:
    result = acme("dns", "fdaa::2")

    assert resolver.asked[0][1].endswith(".a.a.d.f.ip6.arpa.")
    assert resolver.asked[0][2] == "PTR"
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no record of this type" in result.stderr


def test_text_is_quoted_and_cannot_steer_the_terminal(acme: Wgctl, resolver: Resolver) -> None:
    result = acme("dns", "_apps.internal", "txt")

    assert result.stdout == '_apps.internal. 5 IN TXT "web,\\027db"\n'


def test_json_has_the_answers(acme: Wgctl, resolver: Resolver) -> None:
    assert acme("dns", "web.internal", "--json").document == {
        "rcode": "NOERROR",
        "answers": [{"name": "web.internal.", "ttl_s": 5, "type": "AAAA", "data": "fdaa::2"}],
        "extended_errors": [],
    }


def test_what_is_out_of_the_ordinary_is_said_beside_the_answer(
    acme: Wgctl, resolver: Resolver
) -> None:
    resolver.extended_error = b"of yesterday"
    plain, as_json = acme("dns", "web.internal"), acme("dns", "web.internal", "--json")
    resolver.rcode = "SERVFAIL"
    failed = acme("dns", "web.internal")

    assert plain.stdout == "web.internal. 5 IN AAAA fdaa::2\n"
    assert "stale answer: of yesterday" in plain.stderr
    assert as_json.document["extended_errors"] == [{"code": 3, "text": "of yesterday"}]
    assert "SERVFAIL, stale answer: of yesterday" in failed.stderr
    assert "end in .internal" not in failed.stderr


@pytest.mark.parametrize(
    ("rcode", "exit_code"), [("NXDOMAIN", 4), ("REFUSED", 3), ("SERVFAIL", 7), ("FORMERR", 1)]
)
def test_each_refusal_has_its_exit_code(
    acme: Wgctl, resolver: Resolver, rcode: str, exit_code: int
) -> None:
    resolver.rcode = rcode

    result = acme("dns", "web.internal")

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert rcode in result.stderr
    assert ("own names end in .internal" in result.stderr) is (rcode == "REFUSED")


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["a..b"], "expected labels of 1 to 63"),
        (["a\nb"], "expected labels of 1 to 63"),
        ([f"{'a' * 64}.internal"], "expected labels of 1 to 63"),
        (["web.internal", "NOPE"], "expected one like AAAA"),
    ],
)
def test_what_no_resolver_could_answer_is_refused(acme: Wgctl, words: list[str], rule: str) -> None:
    result = acme("dns", *words)

    assert result.exit_code == 2
    assert rule in result.stderr


def test_no_resolver_is_unavailable_with_the_command_that_starts_it(acme: Wgctl) -> None:
    result = acme("dns", "web.internal")

    assert result.exit_code == 7
    assert "wgctl run resolver" in result.stderr
