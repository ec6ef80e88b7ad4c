"""The resolver role: its views follow the feed, and it answers with or without a controller."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv6Address, IPv6Network
from itertools import count
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import dns.message
import dns.rcode
import pytest

from peers.endpoint import Endpoint
from peers.keys import PublicKey
from peers.names import Label
from tests.drivers.upstream.servers import nothing, running, within_deadline
from wgctl.client.resolver import Reply, ask
from wgctl.core.check import Target
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Commit, Delete, Event, Kind, Put, Row, Snapshot, render_line
from wgctl.core.lease import Standing
from wgctl.core.model import App, Check, Machine, MachineState, Network, Peer
from wgctl.core.region import Vantage
from wgctl.core.settings import GatewaySettings, ResolverSettings, Settings, render
from wgctl.core.view import View
from wgctl.core.wire import Qtype
from wgctl.daemon.follow import Changes
from wgctl.daemon.resolver import Answers, Views
from wgctl.drivers.dns_server import Asker
from wgctl.drivers.upstream.forwarder import Upstreams
from wgctl.store.copy import Copy

KEY = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
ACME = Network(1, 1, Label("default"), IPv6Network("fdaa:0:18::/48"), 0)
OTHER = Network(2, 2, Label("default"), IPv6Network("fdaa:0:19::/48"), 0)
WEB = App(1, 1, 1, Label("web"), 0)
DEADLINE_S = 15.0
NOW = 1000


def peer(number: int, network: Network, *, expires_at: int | None = None) -> Peer:
    address = network.prefix[0x10 << 64 | number]
    name = Label(f"peer{number}")
    return Peer(
        number, network.org_id, network.id, 1, name, "operator", KEY, address, 0, expires_at
    )


ALICE, BOB, CAROL = peer(2, ACME), peer(3, ACME), peer(4, OTHER)
MACHINE = Machine(
    *(1, 1, 1, WEB.id, BOB.id, Label("m1"), Label("ams"), Label("app")),
    *((), {}, MachineState.STARTED, 0),
)
ROWS: list[Row] = [ACME, OTHER, WEB, ALICE, BOB, CAROL, MACHINE]
KINDS = {
    Network: Kind.NETWORK,
    Peer: Kind.PEER,
    App: Kind.APP,
    Machine: Kind.MACHINE,
    Check: Kind.CHECK,
}


def put(row: Row) -> Put:
    return Put(KINDS[type(row)], row)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    opened = Copy(tmp_path / "copy.sqlite")
    opened.write([put(row) for row in ROWS], epoch="e", revision=1)
    yield opened
    opened.close()


class Followed:
    """Views of a copy, and the feed that changes both."""

    def __init__(self, copy: Copy) -> None:
        self.now = NOW
        self._copy = copy
        self.views = Views(copy, now=lambda: self.now)

    def commit(self, *events: Put | Delete, revision: int = 2) -> None:
        self._copy.write(events, epoch="e", revision=revision)
        self.views.take(Changes(replaced=False, events=events, revision=revision))

    def names(self, network: Network) -> set[str]:
        """Return the names of apps and peers, and those that every network has."""
        view = self.views.of(network.prefix.network_address.packed[:6])
        assert view is not None
        return {
            b".".join(name).decode()
            for name in view.names
            if name[1:] in {(), (b"internal",), (b"_peer", b"internal")}
        }


FIXED = {
    *("internal", "flycast"),
    *("_api.internal", "_apps.internal", "_peer.internal", "_instances.internal"),
}


def test_a_network_s_view_holds_its_own_rows(copy: Copy) -> None:
    followed = Followed(copy)

    assert followed.names(ACME) == FIXED | {
        "web.internal",
        "peer2._peer.internal",
        "peer3._peer.internal",
    }
    assert followed.names(OTHER) == FIXED | {"peer4._peer.internal"}


def test_a_network_that_is_not_there_has_no_view(copy: Copy) -> None:
    assert Followed(copy).views.of(bytes.fromhex("fdaa00000020")) is None


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (put(peer(5, ACME)), {"peer5._peer.internal"}),
        (put(App(2, 1, 1, Label("db"), 0)), {"db.internal"}),
        (Delete(Kind.PEER, ALICE.id), {"peer2._peer.internal"}),
        (Delete(Kind.APP, WEB.id), {"web.internal"}),
        (put(replace(ALICE, name=Label("anna"))), {"peer2._peer.internal", "anna._peer.internal"}),
    ],
)
def test_a_change_is_in_the_next_answer_and_leaves_other_views_alone(
    copy: Copy, event: Put | Delete, changed: set[str]
) -> None:
    followed = Followed(copy)
    before, other = followed.names(ACME), followed.views.of(OTHER.prefix.network_address.packed[:6])
    followed.commit(event)

    assert followed.names(ACME) ^ before == changed
    assert followed.views.of(OTHER.prefix.network_address.packed[:6]) is other


@pytest.mark.parametrize(
    "event", [Delete(Kind.MACHINE, 1), put(replace(MACHINE, state=MachineState.STOPPED))]
)
def test_a_machine_that_stops_leaves_its_app(copy: Copy, event: Put | Delete) -> None:
    followed = Followed(copy)
    prefix, name = ACME.prefix.network_address.packed[:6], (b"web", b"internal")
    before = followed.views.of(prefix)
    assert before is not None
    assert before.names[name].records
    followed.commit(event)

    after = followed.views.of(prefix)
    assert after is not None
    assert not after.names[name].records


def test_a_machine_that_fails_leaves_its_app_and_no_other_view_is_built_anew(copy: Copy) -> None:
    second = replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id)
    copy.write([put(second)], epoch="e", revision=2)
    followed = Followed(copy)
    prefix, other = (net.prefix.network_address.packed[:6] for net in (ACME, OTHER))
    untouched = followed.views.of(other)

    def answered(*name: bytes) -> int:
        view = followed.views.of(prefix)
        assert view is not None
        records = view.names[(*name, b"web", b"internal")].records.get(Qtype.AAAA)
        return 0 if records is None else len(records.pick(0))

    counts = []
    for failing in (set(), {1}, {1, 2}, {2}, set()):
        followed.views.leave_out(ACME.id, frozenset(failing))
        counts.append((answered(), answered(b"m1", b"vm")))

    assert counts == [(2, 1), (1, 1), (2, 1), (1, 1), (2, 1)]  # none that passes: all are given
    assert followed.views.of(other) is untouched


def test_a_check_that_changes_builds_no_view_anew(copy: Copy) -> None:
    followed = Followed(copy)
    prefix = ACME.prefix.network_address.packed[:6]
    before = followed.views.of(prefix)
    check = Check(5, 1, ACME.id, MACHINE.id, Target(80), 10, 2, 30, 2, 3)
    followed.commit(put(check))
    followed.commit(Delete(Kind.CHECK, check.id), revision=3)

    assert followed.views.of(prefix) is before


def test_a_deleted_network_has_no_view(copy: Copy) -> None:
    followed = Followed(copy)
    followed.names(ACME)
    followed.commit(Delete(Kind.NETWORK, ACME.id))

    assert followed.views.of(ACME.prefix.network_address.packed[:6]) is None


def test_a_snapshot_may_change_everything(copy: Copy) -> None:
    followed = Followed(copy)
    followed.names(ACME)
    with copy.replacing() as replacement:
        replacement.add(put(ACME))
        replacement.commit(epoch="f", revision=9)
    followed.views.take(Changes(replaced=True, events=(), revision=9))

    assert followed.names(ACME) == FIXED


def test_a_peer_leaves_when_its_time_is_over_without_any_change(copy: Copy) -> None:
    followed = Followed(copy)
    followed.commit(put(replace(ALICE, expires_at=NOW + 10)))

    assert "peer2._peer.internal" in followed.names(ACME)
    followed.now += 9
    assert "peer2._peer.internal" in followed.names(ACME)
    followed.now += 1
    assert "peer2._peer.internal" not in followed.names(ACME)


def leased(copy: Copy, clock: Callable[[], float]) -> tuple[Views, Callable[[], set[int]]]:
    """Return views of a copy in which `m1` has a lease, and what `web` answers with."""
    copy.write([put(replace(MACHINE, lease_s=15))], epoch="e", revision=2)
    views = Views(copy, now=lambda: NOW + int(clock()), clock=clock)

    def answered() -> set[int]:
        view = views.of(ACME.prefix.network_address.packed[:6])
        assert view is not None
        node = view.find((b"web", b"internal"))
        assert node is not None
        return {
            int.from_bytes(one.record[6:10], "big")
            for found in node.records.values()
            for one in found.pick(0)
        }

    return views, answered


def test_a_machine_leaves_when_its_lease_ends_without_any_change(copy: Copy) -> None:
    """And no answer of the last seconds may be kept for longer than it is there."""
    passed = 0.0
    views, answered = leased(copy, lambda: passed)
    views.hear({1: Standing(15.0, healthy=True, holder="")})
    seen = []
    for passed in (0.0, 8.0, 10.0, 12.5, 14.9, 15.0):  # noqa: B007  # the clock reads it
        seen += [answered()]

    assert seen == [{5}, {5}, {3}, {1}, {0}, set()]


def test_a_renewed_lease_keeps_its_view(copy: Copy) -> None:
    passed = 0.0
    views, answered = leased(copy, lambda: passed)
    views.hear({1: Standing(15.0, healthy=True, holder="")})
    prefix = ACME.prefix.network_address.packed[:6]
    first = views.of(prefix)
    for passed in (5.0, 10.0, 20.0):  # the clock reads it
        views.hear({1: Standing(passed + 15, healthy=True, holder="")})
        assert answered() == {5}
    last = views.of(prefix)

    assert first is not None
    assert last is not None
    assert first.names is last.names


def test_an_announcers_word_counts_at_once(copy: Copy) -> None:
    """One that is ill and alone still answers; one that was withdrawn does not."""
    views, answered = leased(copy, lambda: 1.0)
    prefix = ACME.prefix.network_address.packed[:6]
    assert answered() == {5}

    views.hear({1: Standing(16.0, healthy=False, holder="")})
    ill = views.of(prefix)
    assert ill is not None
    node = ill.find((b"web", b"internal"))
    assert node is not None
    assert node.records[Qtype.AAAA].note
    views.hear({1: Standing(1.0, healthy=False, holder="")})
    assert answered() == set()


def test_a_machine_is_not_answered_beside_others_before_its_announcer_was_heard(copy: Copy) -> None:
    """Its row may come before the word that it is not healthy yet; alone it still answers."""
    views, _ = leased(copy, lambda: 1.0)
    copy.write(
        [put(replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id))], epoch="e", revision=3
    )

    def answered() -> set[bytes]:
        view = views.of(ACME.prefix.network_address.packed[:6])
        assert view is not None
        node = view.find((b"web", b"internal"))
        assert node is not None
        return {found.record[-16:] for found in node.records[Qtype.AAAA].pick(0)}

    alice, bob = ALICE.address.packed, BOB.address.packed
    assert answered() == {alice, bob}  # nothing is known of any lease
    views.hear({})
    assert answered() == {alice}
    views.hear({1: Standing(16.0, healthy=True, holder="")})
    assert answered() == {alice, bob}


def test_a_machine_that_was_heard_of_late_is_back(copy: Copy) -> None:
    passed = 0.0
    views, answered = leased(copy, lambda: passed)
    seen = [answered()]
    passed = 16.0
    seen += [answered()]
    views.hear({1: Standing(31.0, healthy=True, holder="")})

    assert [*seen, answered()] == [{5}, set(), {5}]


def test_a_view_that_takes_long_to_build_is_not_built_for_every_word_on_health(copy: Copy) -> None:
    """A peer may say so 4 times a second; each time all other networks would wait."""
    passed = 0.0
    copy.write([put(replace(MACHINE, lease_s=15))], epoch="e", revision=2)
    timer = count(0, 0.25)  # Each build seems to take as long: it is good for 5 s.
    views = Views(copy, now=lambda: NOW, clock=lambda: passed, timer=lambda: next(timer))

    def seen() -> View | None:
        return views.of(ACME.prefix.network_address.packed[:6])

    def flip(*, healthy: bool) -> None:
        views.hear({1: Standing(15.0, healthy=healthy, holder="")})
        views.leave_out(ACME.id, frozenset() if healthy else frozenset({1}))

    first = seen()
    for passed in (0.5, 1.0, 4.9):  # the clock reads it
        flip(healthy=passed != 1.0)
        assert seen() is first
    passed = 5.0
    second = seen()
    assert second is not first
    views.hear({1: Standing(passed, healthy=True, holder="")})
    ended = seen()
    assert ended is not second
    passed = 11.0
    assert seen() is ended
    flip(healthy=False)
    assert seen() is not ended


def test_a_clock_that_is_set_back_keeps_nobody(copy: Copy) -> None:
    followed = Followed(copy)
    followed.commit(put(replace(ALICE, expires_at=NOW + 10)))
    assert "peer2._peer.internal" in followed.names(ACME)
    before = followed.views.of(ACME.prefix.network_address.packed[:6])
    followed.now -= 3600

    assert followed.views.of(ACME.prefix.network_address.packed[:6]) is not before


def test_an_answer_comes_from_the_view_of_the_askers_network(copy: Copy) -> None:
    answers = Answers(Followed(copy).views, Upstreams([]))
    query = dns.message.make_query("web.internal", "AAAA")

    def rcode(address: IPv6Address) -> dns.rcode.Rcode:
        reply = answers.to(query.to_wire(), Asker(address.packed, stream=False))
        assert isinstance(reply, bytes)
        return dns.message.from_wire(reply).rcode()

    assert rcode(ALICE.address) == dns.rcode.NOERROR
    assert rcode(CAROL.address) == dns.rcode.NXDOMAIN
    stranger = Asker(IPv6Address("fdaa:0:20::2").packed, stream=False)
    assert answers.to(query.to_wire(), stranger) is None


def test_where_each_answer_begins_is_drawn_anew(copy: Copy) -> None:
    followed = Followed(copy)
    followed.commit(put(replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id)))
    turns = iter([0, 1, 1, 4])
    answers = Answers(followed.views, Upstreams([]), turn=lambda: next(turns))
    query = dns.message.make_query("web.internal", "AAAA").to_wire()

    def first() -> str:
        reply = answers.to(query, Asker(ALICE.address.packed, stream=False))
        assert isinstance(reply, bytes)
        return str(dns.message.from_wire(reply).answer[0][0])

    alice, bob = str(ALICE.address), str(BOB.address)
    assert [first() for _ in range(4)] == [alice, bob, bob, alice]


def test_near_is_what_is_near_to_this_host(copy: Copy) -> None:
    far = replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id, region=Label("iad"))
    copy.write([put(far)], epoch="e", revision=2)

    def nearest(here: Vantage) -> IPv6Address:
        view = Views(copy, now=lambda: NOW, here=here).of(ACME.prefix.network_address.packed[:6])
        assert view is not None
        node = view.find((b"top1", b"nearest", b"of", b"web", b"internal"))
        assert node is not None
        return IPv6Address(node.records[Qtype.AAAA].pick(0)[0].record[-16:])

    assert nearest(Vantage(Label("fra"))) == BOB.address
    assert nearest(Vantage(Label("ord"))) == ALICE.address
    assert nearest(Vantage(Label("fra"), {Label("iad"): 1})) == ALICE.address


def test_a_fault_of_ours_costs_one_answer(copy: Copy) -> None:
    """A row that cannot be read must not end the role."""
    answers = Answers(Followed(copy).views, Upstreams([]))
    query = dns.message.make_query("web.internal", "AAAA").to_wire()
    copy.close()

    assert answers.to(query, Asker(ALICE.address.packed, stream=False)) is None


def test_own_names_are_answered_while_an_upstream_keeps_others_waiting(copy: Copy) -> None:
    async def work() -> None:
        async with running(nothing) as (_, upstream):
            upstreams = Upstreams([upstream])
            answers = Answers(Followed(copy).views, upstreams)
            asker = Asker(ALICE.address.packed, stream=False)
            waiting = answers.to(dns.message.make_query("example.com", "A").to_wire(), asker)
            assert waiting is not None
            assert not isinstance(waiting, bytes)
            task = asyncio.ensure_future(waiting)
            await asyncio.sleep(0)
            own = answers.to(dns.message.make_query("web.internal", "AAAA").to_wire(), asker)
            assert isinstance(own, bytes)
            assert dns.message.from_wire(own).rcode() == dns.rcode.NOERROR
            assert not task.done()
            upstreams.close()
            task.cancel()
            await asyncio.wait([task])

    within_deadline(work)


class Home:
    """The folders of one deployment, and its settings; sockets need a short path."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            state_dir=folder,
            runtime_dir=folder / "run",
            gateway=GatewaySettings(
                region=Label("ams"),
                endpoint=Endpoint("192.0.2.1", 51820),
                interface=f"wr{secrets.token_hex(4)}",
            ),
            resolver=ResolverSettings(),
        )
        self.folder = folder / "resolver"
        self.folder.mkdir()
        self.settings.runtime_dir.mkdir()
        self._file = folder / "wgctl.toml"
        self._file.write_text(render(self.settings))

    def fill(self) -> None:
        copy = Copy(self.folder / "copy.sqlite")
        copy.write([put(row) for row in ROWS], epoch="e", revision=1)
        copy.close()

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the role in a process of its own, and end it."""
        code = (
            "import sys, pathlib; from wgctl.core.settings import parse\n"
            "from wgctl.core.model import Role; from wgctl.daemon.roles import run\n"
            "run(Role.RESOLVER, parse(pathlib.Path(sys.argv[1]).read_text(), origin='test'))"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(self._file)]) as process:
            try:
                yield process
            finally:
                process.kill()

    def ask(self, network: Network, name: str, type_: str = "AAAA") -> Reply:
        """Return what the role answers, as soon as it answers at all."""
        path = self.settings.resolver_socket
        return eventually(lambda: ask(path, asker=network.resolver, name=name, type_=type_))


def eventually(work: Callable[[], Reply]) -> Reply:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return work()
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="wgctl-") as folder:
        yield Home(Path(folder))


def test_it_answers_from_its_copy_without_a_controller(home: Home) -> None:
    home.fill()
    for _ in range(2):  # and again after a restart
        with home.running() as process:
            web = home.ask(ACME, "web.internal")
            assert [answer.data for answer in web.answers] == [str(BOB.address)]
            assert home.ask(OTHER, "web.internal").rcode == "NXDOMAIN"
            assert home.ask(ACME, "_peer.internal", "TXT").answers[0].data == "peer2,peer3"
            assert home.ask(ACME, "vms.web.internal", "TXT").answers[0].data == "m1 ams"
            top = home.ask(ACME, "top1.nearest.of.web.internal").answers
            assert [answer.data for answer in top] == [str(BOB.address)]
            alice = home.ask(ACME, str(ALICE.address), "PTR").answers
            assert [answer.data for answer in alice] == ["peer2._peer.internal."]
            assert home.ask(ACME, str(CAROL.address), "PTR").rcode == "NXDOMAIN"
            assert home.ask(ACME, "example.com", "A").rcode == "REFUSED"

            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
            assert not home.settings.resolver_socket.exists()


def test_the_operators_socket_is_for_its_owner_and_group(home: Home) -> None:
    home.fill()
    with home.running():
        home.ask(ACME, "web.internal")
        mode = home.settings.resolver_socket.stat().st_mode

        assert mode & 0o007 == 0
        assert mode & 0o600 == 0o600


def test_before_its_first_snapshot_it_is_silent(home: Home) -> None:
    with home.running():
        deadline = time.monotonic() + DEADLINE_S
        while "no network" not in why_unavailable(home):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def why_unavailable(home: Home) -> str:
    with pytest.raises(Unavailable) as refusal:
        ask(home.settings.resolver_socket, asker=ACME.resolver, name="web.internal")
    return str(refusal.value)


class Controller:
    """Serves a feed and takes reports on `node.sock`, as the controller does."""

    def __init__(self, path: Path) -> None:
        self.reports: list[dict[str, object]] = []
        self._lines: list[bytes] = []
        self._grown = threading.Condition()
        self._closed = False
        self._server = _Server(str(path), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def send(self, *events: Event) -> None:
        with self._grown:
            self._lines.extend(map(render_line, events))
            self._grown.notify_all()

    def close(self) -> None:
        with self._grown:
            self._closed = True
            self._grown.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _stream(self, write: Callable[[bytes], object]) -> None:
        sent = 0
        with self._grown:
            while not self._closed:
                for line in self._lines[sent:]:
                    write(line)
                sent = len(self._lines)
                self._grown.wait()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        controller = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):
                    controller._stream(self.wfile.write)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                controller.reports.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

            def address_string(self) -> str:
                return "role"

        return Handler


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def controller(home: Home) -> Iterator[Controller]:
    running = Controller(home.settings.node_socket)
    try:
        yield running
    finally:
        running.close()
        home.settings.node_socket.unlink()


def within_a_second(work: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 1.0
    while not work():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_change_of_the_feed_is_answered_within_a_second(home: Home) -> None:
    with home.running(), controller(home) as node:
        node.send(Snapshot("e"), *(put(row) for row in ROWS), Commit(1))
        home.ask(ACME, "web.internal")
        node.send(put(App(2, 1, 1, Label("db"), 0)), Commit(2))
        within_a_second(lambda: home.ask(ACME, "db.internal").rcode == "NOERROR")
        node.send(Delete(Kind.PEER, BOB.id), Delete(Kind.MACHINE, MACHINE.id), Commit(3))
        within_a_second(lambda: home.ask(ACME, "peer3._peer.internal").rcode == "NXDOMAIN")

        assert home.ask(ACME, "web.internal") == Reply("NOERROR", ())
        assert home.ask(ACME, str(BOB.address), "PTR").rcode == "NXDOMAIN"

    with home.running():  # what is deleted stays so, the controller gone
        assert home.ask(ACME, "peer3._peer.internal").rcode == "NXDOMAIN"
        assert home.ask(ACME, "db.internal").rcode == "NOERROR"


def test_it_reports_the_revision_that_it_stands_at(home: Home) -> None:
    home.fill()
    with controller(home) as node, home.running():
        deadline = time.monotonic() + DEADLINE_S
        while not node.reports:
            assert time.monotonic() < deadline
            time.sleep(0.05)

        assert node.reports[0]["role"] == "resolver"
        assert node.reports[0]["revision"] == 1
