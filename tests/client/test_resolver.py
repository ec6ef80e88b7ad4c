"""The operators' question to the resolver, against scripted replies."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode
import dns.rrset
import pytest

from tests.patience import HANG_S
from wgctl.client.resolver import Answer, Reply, ask
from wgctl.core.errors import Invalid, Unavailable

ASKER = IPv6Address("fdaa:0:18::3")

Script = Callable[[dns.message.Message], bytes]


class Resolver:
    """Answers one request as its script says; `heard` is who asked, and what."""

    def __init__(self, path: Path, script: Script) -> None:
        self.path = path
        self.heard: list[tuple[IPv6Address, dns.message.Message]] = []
        self._script = script
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(HANG_S)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as stream:
            asker = IPv6Address(stream.read(16))
            query = dns.message.from_wire(stream.read(int.from_bytes(stream.read(2), "big")))
            self.heard.append((asker, query))
            connection.sendall(self._script(query))
            stream.read()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(HANG_S)
        self._listener.close()


@contextmanager
def resolver(folder: Path, script: Script) -> Iterator[Resolver]:
    running = Resolver(folder / "s", script)
    try:
        yield running
    finally:
        running.close()


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def records(*lines: str) -> Script:
    def script(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        for line in lines:
            name, ttl, class_, type_, data = line.split(" ", 4)
            reply.answer.append(dns.rrset.from_text(name, int(ttl), class_, type_, data))
        return framed(reply.to_wire())

    return script


def rcode(value: dns.rcode.Rcode) -> Script:
    def script(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        reply.set_rcode(value)
        return framed(reply.to_wire())

    return script


@pytest.mark.parametrize(
    ("type_", "line", "data"),
    [
        ("AAAA", "n.internal. 5 IN AAAA fdaa:0:18:10::2", "fdaa:0:18:10::2"),
        ("TXT", 'n.internal. 5 IN TXT "alice,b" "ob,carol"', "alice,bob,carol"),
        ("TXT", r'n.internal. 5 IN TXT "\027[31mred\\\200"', r"\027[31mred\092\200"),
        ("PTR", "n.internal. 5 IN PTR alice._peer.internal.", "alice._peer.internal."),
        ("A", "n.internal. 5 IN A 192.0.2.1", "192.0.2.1"),
        ("TYPE65280", r"n.internal. 5 IN TYPE65280 \# 3 010203", r"\# 3 010203"),
    ],
)
def test_records_come_as_text(tmp_path: Path, type_: str, line: str, data: str) -> None:
    with resolver(tmp_path, records(line)) as running:
        reply = ask(running.path, asker=ASKER, name="n.internal", type_=type_.lower())

        assert reply == Reply("NOERROR", (Answer("n.internal.", 5, type_, data),))
        [(asker, query)] = running.heard
        assert asker == ASKER
        assert query.question[0].to_text() == f"n.internal. IN {type_}"


@pytest.mark.parametrize("value", [dns.rcode.NXDOMAIN, dns.rcode.REFUSED, dns.rcode.SERVFAIL])
def test_an_rcode_comes_in_words(tmp_path: Path, value: dns.rcode.Rcode) -> None:
    with resolver(tmp_path, rcode(value)) as running:
        reply = ask(running.path, asker=ASKER, name="n.internal")

        assert reply == Reply(dns.rcode.to_text(value), ())


@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        (0, "all are given", "all are given"),
        (0, "", "other"),
        (3, "", "stale answer"),
        (24, "no CNAME", "invalid data: no CNAME"),
        (4000, "x\x1b[31m", r"code 4000: x\027[31m"),
    ],
)
def test_extended_errors_come_in_words(tmp_path: Path, code: int, text: str, shown: str) -> None:
    def script(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        kind = dns.edns.OptionType
        unknown = dns.edns.GenericOption(kind.make(65001), b"x")
        short = dns.edns.GenericOption(kind.EDE, b"\0")
        found = dns.edns.GenericOption(kind.EDE, code.to_bytes(2, "big") + text.encode())
        reply.use_edns(0, options=[unknown, short, found])
        return framed(reply.to_wire())

    with resolver(tmp_path, script) as running:
        reply = ask(running.path, asker=ASKER, name="n.internal")

        assert [str(error) for error in reply.extended_errors] == [shown]
        assert [error.code for error in reply.extended_errors] == [code]
        assert running.heard[0][1].payload == 1232


@pytest.mark.parametrize(
    ("name", "type_", "question"),
    [
        ("WEB.internal.", "AAAA", "WEB.internal. IN AAAA"),
        (".", "NS", ". IN NS"),
        ("_http._tcp.web.internal", "SRV", "_http._tcp.web.internal. IN SRV"),
        (
            "fdaa:0:18::3",
            "ptr",
            "3.0.0.0" + ".0" * 16 + ".8.1.0.0.0.0.0.0.a.a.d.f.ip6.arpa. IN PTR",
        ),
    ],
)
def test_names_and_addresses_may_be_asked(
    tmp_path: Path, name: str, type_: str, question: str
) -> None:
    with resolver(tmp_path, records()) as running:
        ask(running.path, asker=ASKER, name=name, type_=type_)

        assert running.heard[0][1].question[0].to_text() == question


@pytest.mark.parametrize(
    "name", ["", "a..internal", ".internal", "a" * 64, "a." * 127 + "a", "a\nb", "ü", "a b", "a\\b"]
)
def test_what_cannot_be_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="expected labels"):
        ask(tmp_path / "s", asker=ASKER, name=name)


@pytest.mark.parametrize("type_", ["", "AAAAA", "TYPE", "TYPE65536", "TYPE-1", "TYPE\u0663"])
def test_what_cannot_be_a_type_is_refused(tmp_path: Path, type_: str) -> None:
    with pytest.raises(Invalid, match="expected one like AAAA"):
        ask(tmp_path / "s", asker=ASKER, name="n.internal", type_=type_)


def test_without_a_resolver_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"No such file.*wgctl run resolver"):
        ask(tmp_path / "s", asker=ASKER, name="n.internal")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(lambda _: b"", "timed out", id="no reply"),
        pytest.param(lambda _: b"\0\x20abc", "timed out", id="half a reply"),
        pytest.param(lambda _: framed(b""), "no network for fdaa:0:18::3", id="silence"),
        pytest.param(lambda _: framed(b"x" * 20), "cannot be read", id="garbage"),
        pytest.param(lambda _: framed(b"x" * 5), "cannot be read", id="half a header"),
    ],
)
def test_no_reply_and_nonsense_are_unavailable(
    tmp_path: Path, script: Script, message: str
) -> None:
    with (
        resolver(tmp_path, script) as running,
        pytest.raises(Unavailable, match=message),
    ):
        ask(running.path, asker=ASKER, name="n.internal", timeout_s=0.3)


def test_asking_costs_the_command_line_no_library_before_it_asks() -> None:
    heavy = "{'dnslib', 'asyncio'}"
    code = f"import sys, wgctl.client.resolver; print(not {heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "True\n"
