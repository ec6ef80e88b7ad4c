"""Every kind of name, asked by dig, kdig and dnspython over a real tunnel, by UDP and by TCP.

Which machines there are is in `naming`. Addresses stand here as the peers that have them, and
reverse names as `<peer>.reverse`.
"""

import pytest

from tests.system.clients import CLIENTS, Answered, Question, by_dig
from tests.system.naming import CROWD, LONG, Named

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

INTERNAL, FLYCAST, REVERSE = "internal", "flycast", "zone.reverse"
SOA = "SOA _api.internal. hostmaster.internal. SERIAL 3600 600 86400 5"
APPS = ["crowd", *LONG, "idle", "sick", "web"]
PEERS = ["alice", *(f"crowd-{number:02}" for number in range(CROWD)), "server-1", "server-2"]
INSTANCES = sorted(
    [(f"crowd-{number:02}", "crowd", f"crowd-{number:02}", "ams") for number in range(CROWD)]
    + [(f"sick-{number}", "sick", f"server-{number}", "ams") for number in (1, 2)]
    + [("web-1", "web", "server-1", "ams"), ("web-2", "web", "server-2", "fra")]
)
STOPPED = ("web-3", "web", "server-2", "iad")

# name, type, data of the records; a list of TXT is one text, however many strings it takes
ANSWERED: list[tuple[str, str, list[str]]] = [
    ("web.internal", "AAAA", ["server-1", "server-2"]),
    ("global.web.internal", "AAAA", ["server-1", "server-2"]),
    ("fra.web.internal", "AAAA", ["server-2"]),
    ("app.process.web.internal", "AAAA", ["server-1"]),
    ("worker.process.web.internal", "AAAA", ["server-2"]),
    ("web-1.vm.web.internal", "AAAA", ["server-1"]),
    ("top1.nearest.of.web.internal", "AAAA", ["server-1"]),
    ("top2.nearest.of.web.internal", "AAAA", ["server-1", "server-2"]),
    ("primary.role.kv._metadata.web.internal", "AAAA", ["server-1"]),
    ("role.kv._metadata.web.internal", "AAAA", ["server-1"]),
    ("alice._peer.internal", "AAAA", ["alice"]),
    ("_api.internal", "AAAA", ["resolver"]),
    ("web.flycast", "AAAA", ["service"]),
    # All of its machines fail their checks; one that does is still there by its own name.
    ("sick.internal", "AAAA", ["server-1", "server-2"]),
    ("sick-1.vm.sick.internal", "AAAA", ["server-1"]),
    (
        "_http._tcp.web.internal",
        "SRV",
        ["0 1 80 web-1.vm.web.internal.", "0 1 8080 web-2.vm.web.internal."],
    ),
    ("regions.web.internal", "TXT", ["ams,fra"]),
    ("all.regions.web.internal", "TXT", ["ams,fra,iad"]),
    ("vms.web.internal", "TXT", ["web-1 ams,web-2 fra"]),
    ("all.vms.web.internal", "TXT", ["web-1 ams,web-2 fra,web-3 iad"]),
    ("_apps.internal", "TXT", [",".join(APPS)]),
    ("_peer.internal", "TXT", [",".join(PEERS)]),
    (
        "_instances.internal",
        "TXT",
        [";".join("instance={},app={},ip={},region={}".format(*one) for one in INSTANCES)],
    ),
    (
        "all._instances.internal",
        "TXT",
        [
            ";".join(
                "instance={},app={},ip={},region={}".format(*one) for one in [*INSTANCES, STOPPED]
            )
        ],
    ),
    ("server-1.reverse", "PTR", ["server-1._peer.internal."]),
    ("resolver.reverse", "PTR", ["_api.internal."]),
    ("service.reverse", "PTR", ["web.flycast."]),
    *((zone, "SOA", [SOA.removeprefix("SOA ")]) for zone in (INTERNAL, FLYCAST, REVERSE)),
    *((zone, "NS", ["_api.internal."]) for zone in (INTERNAL, FLYCAST, REVERSE)),
    ("localhost", "AAAA", ["::1"]),
    ("localhost", "A", ["127.0.0.1"]),
    # The name comes back as it was spelled (RFC 4343), and one set is enough of everything (8482).
    ("wEb.iNtErNaL", "AAAA", ["server-1", "server-2"]),
    ("FRA.web.INTERNAL", "AAAA", ["server-2"]),
]

# name, type, the zone whose SOA says so: the name or one below it is there, and not of this type.
WITHOUT: list[tuple[str, str, str]] = [
    ("iad.web.internal", "AAAA", INTERNAL),
    ("web-3.vm.web.internal", "AAAA", INTERNAL),
    ("_dns._udp.web.internal", "SRV", INTERNAL),
    ("idle.internal", "AAAA", INTERNAL),
    ("regions.idle.internal", "TXT", INTERNAL),
    ("top3.nearest.of.idle.internal", "AAAA", INTERNAL),
    *((name, "AAAA", INTERNAL) for name in ("vm.web.internal", "process.web.internal")),
    *((name, "AAAA", INTERNAL) for name in ("of.web.internal", "nearest.of.web.internal")),
    *((name, "AAAA", INTERNAL) for name in ("_metadata.web.internal", "kv._metadata.web.internal")),
    *((name, "SRV", INTERNAL) for name in ("_tcp.web.internal", "_udp.web.internal")),
    *(("web.internal", type_, INTERNAL) for type_ in ("A", "MX", "CNAME", "HTTPS", "SVCB", "DS")),
    ("web.internal", "TYPE65280", INTERNAL),
    ("_peer.internal", "AAAA", INTERNAL),
    ("internal", "AAAA", INTERNAL),
    ("web.flycast", "A", FLYCAST),
    ("server-1.reverse", "AAAA", REVERSE),
    ("d.f.ip6.arpa", "PTR", "d.f.ip6.arpa"),
]

# name, type, the zone whose SOA says so: nothing is there, and nothing below it.
ABSENT: list[tuple[str, str, str]] = [
    *((f"{name}.internal", "AAAA", INTERNAL) for name in ("nope", "server-1", "all", "regions")),
    *((f"{name}.web.internal", "AAAA", INTERNAL) for name in ("syd", "nope.process", "web-4.vm")),
    *((f"{name}.web.internal", "AAAA", INTERNAL) for name in ("x.web-1.vm", "top0.nearest.of")),
    ("replica.role.kv._metadata.web.internal", "AAAA", INTERNAL),
    *((f"{name}.web.internal", "SRV", INTERNAL) for name in ("_ssh._tcp", "_http._udp")),
    ("nope._peer.internal", "AAAA", INTERNAL),
    ("idle.flycast", "AAAA", FLYCAST),
    # What is another network's looks as if it were nowhere.
    ("shop.internal", "AAAA", INTERNAL),
    ("regions.shop.internal", "TXT", INTERNAL),
    ("clerk._peer.internal", "AAAA", INTERNAL),
    ("shop.flycast", "AAAA", FLYCAST),
    ("clerk.reverse", "PTR", "d.f.ip6.arpa"),
    # No resolver on earth may hear of these.
    ("printer.local", "AAAA", "local"),
    ("x.onion", "AAAA", "onion"),
    ("x.home.arpa", "AAAA", "home.arpa"),
    ("1.0.0.10.in-addr.arpa", "PTR", "10.in-addr.arpa"),
]

# Names of others, when there is nobody to ask.
REFUSED = [("www.example", "A"), ("www.example", "AAAA"), (".", "NS"), ("xinternal", "AAAA")]

Replies = dict[str, dict[Question, Answered]]


@pytest.fixture(scope="module")
def scene(scene_of_names: Named) -> Named:
    return scene_of_names


@pytest.fixture(scope="module")
def replies(scene: Named) -> Replies:
    """What each client got, over UDP and over TCP."""
    questions = [(name, type_) for name, type_, _ in ANSWERED]
    questions += [(name, type_) for name, type_, _ in (*WITHOUT, *ABSENT)]
    questions += REFUSED
    asked = [(scene.concrete(name), type_) for name, type_ in questions]
    return {
        " ".join((client, *over)): dict(
            zip(questions, ask(scene.alice, scene.resolver, asked, *over), strict=True)
        )
        for client, ask in CLIENTS.items()
        for over in ([], ["+tcp"])
    }


@pytest.mark.parametrize(("name", "type_", "data"), ANSWERED)
def test_each_kind_of_name_has_its_answer(
    scene: Named, replies: Replies, name: str, type_: str, data: list[str]
) -> None:
    for client, got in replies.items():
        reply = got[name, type_]
        answers = [scene.abstract(_joined(line)) for line in reply.answers]

        assert (client, reply.status) == (client, "NOERROR")
        assert "aa" in reply.flags, client
        assert answers == [f"{name}. 5 IN {type_} {each}" for each in sorted(data)], client
        assert reply.authority == [], client


@pytest.mark.parametrize(("name", "type_", "zone"), WITHOUT)
def test_what_is_there_without_this_type_is_no_error(
    scene: Named, replies: Replies, name: str, type_: str, zone: str
) -> None:
    """RFC 4074: a question for A that is denied hides the AAAA from those who ask both."""
    _check_denied(scene, replies, (name, type_), status="NOERROR", zone=zone)


@pytest.mark.parametrize(("name", "type_", "zone"), ABSENT)
def test_what_is_not_there_or_anothers_is_denied(
    scene: Named, replies: Replies, name: str, type_: str, zone: str
) -> None:
    _check_denied(scene, replies, (name, type_), status="NXDOMAIN", zone=zone)


def _check_denied(
    scene: Named, replies: Replies, question: Question, *, status: str, zone: str
) -> None:
    """Check for the SOA that says how long that may be kept (RFC 2308)."""
    for client, got in replies.items():
        reply = got[question]
        soa = SOA if zone in {INTERNAL, FLYCAST, REVERSE} else SOA.replace("SERIAL", "1")
        authority = [scene.abstract(line).replace("SERIAL", "1") for line in reply.authority]

        assert (client, reply.status, reply.answers) == (client, status, [])
        assert "aa" in reply.flags, client
        assert authority == [f"{zone}. 5 IN {soa.replace('SERIAL', '1')}"], client


@pytest.mark.parametrize("question", REFUSED)
def test_names_of_others_are_refused_when_there_is_nobody_to_ask(
    replies: Replies, question: Question
) -> None:
    for client, got in replies.items():
        reply = got[question]

        assert (client, reply.status, reply.answers) == (client, "REFUSED", [])
        assert not reply.flags & {"aa", "ra"}, client


def test_a_service_brings_the_addresses_of_its_targets(scene: Named, replies: Replies) -> None:
    for client, got in replies.items():
        beside = got["_http._tcp.web.internal", "SRV"].additional

        assert [scene.abstract(line) for line in beside] == [
            "web-1.vm.web.internal. 5 IN AAAA server-1",
            "web-2.vm.web.internal. 5 IN AAAA server-2",
        ], client


def test_a_list_comes_in_strings_of_255_octets(replies: Replies) -> None:
    [line] = replies["dig"]["_apps.internal", "TXT"].answers
    strings = line.split(" TXT ")[1].split('" "')

    assert [len(each.strip('"')) for each in strings[:-1]] == [255] * (len(strings) - 1)
    assert len(strings) > 1


def test_when_all_fail_their_checks_the_answer_says_so(scene: Named) -> None:
    words = ("dig", f"@{scene.resolver}", "sick.internal", "AAAA")

    assert "; EDE: 0 (Other): (no machine passes its checks" in scene.alice.run(*words).stdout


def test_of_many_32_are_given_and_each_of_them_at_times(scene: Named) -> None:
    """One is left out of all of 30 answers once in 10^21 runs, of its own or of any."""
    replies = by_dig(scene.alice, scene.resolver, [("crowd.internal", "AAAA")] * 30)

    assert {len(set(reply.answers)) for reply in replies} == {32}
    assert len({answer for reply in replies for answer in reply.answers}) == CROWD


def test_each_machine_comes_first_at_times(scene: Named) -> None:
    """Of 60 answers all begin alike once in 2**59 runs."""
    names = ["web.internal", "AAAA"] * 60
    printed = scene.alice.run("dig", f"@{scene.resolver}", "+short", "+time=5", *names).stdout

    assert len(printed.split()) == 120
    assert set(printed.split()[::2]) == {str(scene.addresses[f"server-{at}"]) for at in (1, 2)}


def test_the_command_asks_for_the_same_names(scene: Named) -> None:
    answers = scene.gateway.json("dns", "_http._tcp.web.internal", "SRV", "--org", "acme")

    assert {answer["data"] for answer in answers["answers"]} == {
        "0 1 80 web-1.vm.web.internal.",
        "0 1 8080 web-2.vm.web.internal.",
    }


def _joined(line: str) -> str:
    """Return a record with the strings of a TXT joined, as its readers do."""
    return line.replace('" "', "").replace('"', "")
