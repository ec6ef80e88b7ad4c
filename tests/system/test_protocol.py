"""What a resolver owes those who ask, whatever they ask: over a real tunnel, by UDP and by TCP.

dig sends the probes of RFC 8906, section 8, as it writes them, nsupdate an update, and a program
what no client sends: the messages of `tests.core.messages`, many at once, half ones, and nothing.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import dns.message
import dns.rcode
import pytest

from tests.core.messages import MESSAGES, QUERY
from tests.system.asker import CROWD, PIPELINED
from tests.system.clients import by_dig, parse
from tests.system.naming import LONG, Named

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

ASKER = str(Path(__file__).parent / "asker.py")
MOST_DATAGRAM, MOST_CONNECTIONS, PATIENCE_S = 4096, 8, 10.0
PLAIN, EDNS = "+noedns +noad +norec", "+nocookie +noad +norec"
EDNS_1 = f"{EDNS} +edns=1 +noednsnegotiation"


class Probe(NamedTuple):
    """How dig asks, and what it must print."""

    words: str
    status: str = "NOERROR"
    flags: str = "qr aa"
    answers: int = 1
    opt: str | None = None


SOA = "soa internal"
PROBES = {
    "the zone": Probe(f"{PLAIN} {SOA}"),
    "an unknown type": Probe(f"{PLAIN} type1000 internal", answers=0),
    "CD": Probe(f"{PLAIN} +cd {SOA}", flags="qr aa cd"),
    "AD": Probe(f"+noedns +norec +ad {SOA}"),
    "the last reserved bit": Probe(f"{PLAIN} +zflag {SOA}"),
    "RD": Probe(f"+noedns +noad +rec {SOA}", flags="qr aa rd"),
    "opcode 15": Probe(f"{PLAIN} +opcode=15 +header-only", "NOTIMP", "qr", 0),
    "opcode IQUERY": Probe(f"{PLAIN} +opcode=1 +header-only", "NOTIMP", "qr", 0),
    "opcode STATUS": Probe(f"{PLAIN} +opcode=2 +header-only", "NOTIMP", "qr", 0),
    "NOTIFY": Probe(f"{PLAIN} +opcode=4 {SOA}", "NOTIMP", "qr", 0),
    "UPDATE": Probe(f"{PLAIN} +opcode=5 {SOA}", "NOTIMP", "qr", 0),
    "EDNS": Probe(f"{EDNS} +edns=0 {SOA}", opt=""),
    "EDNS 1": Probe(f"{EDNS_1} {SOA}", "BADVERS", "qr", 0, ""),
    "an unknown option": Probe(f"{EDNS} +edns=0 +ednsopt=100 {SOA}", opt=""),
    "an unknown flag": Probe(f"{EDNS} +edns=0 +ednsflags=0x40 {SOA}", opt=""),
    "EDNS 1, flag": Probe(f"{EDNS_1} +ednsflags=0x40 {SOA}", "BADVERS", "qr", 0, ""),
    "EDNS 1, option": Probe(f"{EDNS_1} +ednsopt=100 {SOA}", "BADVERS", "qr", 0, ""),
    "DO": Probe(f"{EDNS} +edns=0 +dnssec {SOA}", opt=" do"),
    "EDNS 1, DO": Probe(f"{EDNS_1} +dnssec {SOA}", "BADVERS", "qr", 0, " do"),
    "many options": Probe(f"+noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 {SOA}", opt=""),
    "class CHAOS": Probe(f"{PLAIN} txt ch version.bind", "REFUSED", "qr", 0),
    "ANY": Probe(f"{PLAIN} any _api.internal"),
}


@pytest.fixture(scope="module")
def scene(scene_of_names: Named) -> Named:
    return scene_of_names


@pytest.fixture(scope="module")
def asked(scene: Named) -> Any:
    """What the program got for all messages, and for being many, and for being slow."""
    words = {
        "at": scene.resolver,
        "follow": (b"\xfe\xed" + QUERY[2:]).hex(),
        "messages": [octets.hex() for _, octets, _ in MESSAGES],
    }
    return json.loads(scene.alice.run(sys.executable, ASKER, stdin=json.dumps(words)).stdout)


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_each_probe_of_rfc_8906_has_its_reply(scene: Named, probe: Probe, transport: str) -> None:
    words = ("dig", f"@{scene.resolver}", "+time=5", transport, *probe.words.split())
    printed = scene.alice.run(*words, check=False).stdout
    [reply] = parse(printed)
    opt = re.search(r"; EDNS: version: 0, flags:(.*); udp: 1232\n(?!; [A-Z])", printed)

    assert (reply.status, {*reply.flags}) == (probe.status, {*probe.flags.split()}), printed
    assert len(reply.answers) == probe.answers, printed
    assert (opt and opt[1]) == probe.opt, printed
    assert "MBZ" not in printed


@pytest.mark.parametrize("number", range(len(MESSAGES)), ids=[each[0] for each in MESSAGES])
def test_each_message_has_its_rcode_or_silence(asked: Any, number: int) -> None:
    """Silence too where no query is as long as the datagram."""
    _, octets, said = MESSAGES[number]
    for transport in ("udp", "tcp"):
        rcode = None if transport == "udp" and len(octets) > MOST_DATAGRAM else said
        reply = asked[transport][number]
        got = reply and dns.rcode.to_text(dns.message.from_wire(bytes.fromhex(reply)).rcode())

        assert got == rcode, transport
        assert reply is None or reply[:4] == octets[:2].hex()


@pytest.mark.parametrize("words", ["AXFR", "IXFR=1 +tcp"])
def test_a_zone_goes_to_nobody(scene: Named, words: str) -> None:
    asked = ("dig", f"@{scene.resolver}", "internal", *words.split())
    printed = scene.alice.run(*asked, check=False).stdout

    assert "; Transfer failed." in printed
    assert "SOA" not in printed.replace(";internal.", "")


def test_an_update_is_not_implemented(scene: Named) -> None:
    update = f"server {scene.resolver}\nzone internal\nupdate add x.internal 5 AAAA ::1\nsend\n"
    done = scene.alice.run("nsupdate", stdin=update, check=False)

    assert done.returncode != 0
    assert "update failed: NOTIMP" in done.stderr


def test_what_no_datagram_holds_is_truncated_and_asked_again_over_tcp(scene: Named) -> None:
    """With the question and OPT in what is truncated (RFC 9715, RFC 6891 section 7)."""
    question, at = [("_instances.internal", "TXT")], scene.resolver
    for option, opt in (("+noedns", False), ("+edns=0", True)):
        words = ("dig", f"@{at}", *question[0], option, "+nocookie")
        short, whole = (scene.alice.run(*words, more).stdout for more in ("+ignore", "+noignore"))
        [truncated], [complete] = parse(short), parse(whole)

        assert (truncated.status, {*truncated.flags}) == ("NOERROR", {"qr", "aa", "tc", "rd"})
        assert (truncated.answers, truncated.authority) == ([], [])
        assert ";_instances.internal." in short
        assert ("; EDNS: version: 0" in short) == opt
        assert "Truncated, retrying in TCP mode" in whole
        assert complete.answers[0].count('" "') > 4


def test_a_datagram_is_as_long_as_its_asker_takes(scene: Named) -> None:
    question = [("_apps.internal", "TXT")]
    assert sum(map(len, LONG)) < 512
    for option, fits in (("+bufsize=0", True), ("+bufsize=512", True), ("+noedns", True)):
        [reply] = by_dig(scene.alice, scene.resolver, question, "+ignore", option)
        assert bool(reply.answers) == fits
    for option, fits in (("+noedns", False), ("+bufsize=512", False), ("+bufsize=4096", True)):
        [reply] = by_dig(
            scene.alice, scene.resolver, [("crowd.internal", "AAAA")], "+ignore", option
        )
        assert bool(reply.answers) == fits
        assert ("tc" in reply.flags) == (not fits)


def test_queries_may_follow_each_other_without_waiting(asked: Any, scene: Named) -> None:
    """RFC 7766, section 6.2.1.1; and real clients that keep a connection."""
    assert asked["pipelined"] == PIPELINED

    for client in ("dig", "kdig"):
        words = [word for _ in range(5) for word in ("web.internal", "AAAA")]
        kept = scene.alice.run(client, f"@{scene.resolver}", "+tcp", "+keepopen", *words).stdout
        assert [reply.status for reply in parse(kept)] == ["NOERROR"] * 5


def test_one_client_keeps_eight_connections_and_no_more(asked: Any) -> None:
    assert asked["crowd"] == [True] * MOST_CONNECTIONS + [False] * (CROWD - MOST_CONNECTIONS)
    assert asked["after"]


def test_a_connection_that_says_nothing_is_closed(asked: Any) -> None:
    """After a query, and in the middle of one."""
    assert all(PATIENCE_S - 1 < each_s < 6 * PATIENCE_S for each_s in asked["idle_s"])
