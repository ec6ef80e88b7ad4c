"""The resolver's datagrams: asked by dig over a device, while rows, device and upstreams change."""

import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dns.message
import pytest

from peers.endpoint import Endpoint
from peers.names import Label
from tests.daemon.networks import ALICE, BOB, MACHINE, ROWS, WEB, put
from tests.daemon.resolving import Home, controller
from tests.drivers.lan import OTHER_PEER, OTHER_RESOLVER, PEER, RESOLVER, Lan, joined
from tests.drivers.namespaces import namespaced
from tests.patience import HANG_S
from wgctl.core.feed import Commit, Delete, Kind, Snapshot
from wgctl.core.forward.upstream import Upstream
from wgctl.core.model import App
from wgctl.core.settings import ResolverSettings
from wgctl.store.copy_reader import CopyReader

pytestmark = pytest.mark.network

FAST = ResolverSettings(workers=2)


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with namespaced() as server, joined(server) as made:
        made.add_device()
        yield made


@contextmanager
def home(lan: Lan, settings: ResolverSettings = FAST) -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="wgctl-") as folder:
        yield Home(Path(folder), interface=lan.device, resolver=settings)


@contextmanager
def answering(lan: Lan, at: Home) -> Iterator["subprocess.Popen[bytes]"]:
    with at.running("ip", "netns", "exec", lan.server.name) as role:
        until(lambda: asked(lan, "_api") == RESOLVER)
        yield role


def asked(lan: Lan, name: str, *words: str, type_: str = "AAAA") -> str:
    ends = ("-b", PEER, f"@{RESOLVER}", "+nocookie", *words)
    return lan.dig(*ends, name=f"{name}.internal", type_=type_, tries=1)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_datagrams_are_answered_from_the_copy_each_in_its_network(lan: Lan) -> None:
    with home(lan) as at:
        at.fill()
        with answering(lan, at):
            for _ in range(3):
                assert asked(lan, "web") == str(BOB.address)
                assert asked(lan, "_peer", type_="TXT") == '"peer2,peer3"'
            other = ("-b", OTHER_PEER, f"@{OTHER_RESOLVER}")

            assert lan.dig(*other, name="web.internal", type_="AAAA") == ""
            assert lan.dig(*other, name="_peer.internal") == '"peer4"'


def test_a_change_of_the_feed_is_in_the_next_answers(lan: Lan) -> None:
    with home(lan) as at, controller(at) as node:
        node.send(Snapshot("e"), *(put(row) for row in ROWS), Commit(1))
        with answering(lan, at):
            assert asked(lan, "web") == str(BOB.address)
            node.send(put(replace(MACHINE, peer_id=ALICE.id)), Commit(2))
            until(lambda: asked(lan, "web") == str(ALICE.address))
            node.send(put(App(2, 1, 1, Label("db"), 0)), Delete(Kind.MACHINE, 1), Commit(3))
            until(lambda: asked(lan, "web") == "")
            assert asked(lan, "_apps", type_="TXT") == '"db,web"'
            node.send(Delete(Kind.APP, WEB.id), Commit(4))
            until(lambda: asked(lan, "_apps", type_="TXT") == '"db"')
            node.send(Snapshot("f"), put(ROWS[0]), Commit(9))
            until(lambda: asked(lan, "_apps", type_="TXT") == "")


def test_the_device_may_go_and_come_back(lan: Lan) -> None:
    with home(lan) as at:
        at.fill()
        with answering(lan, at):
            lan.server.shell("ip", "link", "delete", lan.device)
            lan.add_device()
            until(lambda: asked(lan, "web") == str(BOB.address))
            until(lambda: asked(lan, "web", "+tcp") == str(BOB.address))


def test_names_of_others_come_from_the_upstreams_of_the_role(lan: Lan) -> None:
    upstream = lan.server.run(_public_resolver)
    settings = ResolverSettings(upstreams=(Upstream(Endpoint("127.0.0.1", upstream)),))
    with home(lan, settings) as at:
        at.fill()
        with answering(lan, at):
            reply = lan.dig("-b", PEER, f"@{RESOLVER}", name="example.com", type_="A")

            assert reply == "192.0.2.80"
            assert asked(lan, "web") == str(BOB.address)


def _public_resolver() -> int:
    """Answer every question with one address, for as long as the process lives."""
    import socket

    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            message, source = bound.recvfrom(4096)
            reply = dns.message.make_response(dns.message.from_wire(message))
            reply.flags |= dns.flags.RA
            reply.answer.append(
                dns.rrset.from_text(reply.question[0].name, 60, "IN", "A", "192.0.2.80")
            )
            bound.sendto(reply.to_wire(), source)

    threading.Thread(target=serve, daemon=True).start()
    port = bound.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_who_floods_gets_less_and_is_told_of(lan: Lan) -> None:
    settings = ResolverSettings(queries_per_s=10)
    with home(lan, settings) as at, controller(at) as node:
        at.fill()
        with answering(lan, at):
            for number in range(12):
                lan.dig("-b", PEER, f"@{RESOLVER}", "+time=1", name=f"n{number}.internal", tries=1)
            other = lan.dig("-b", OTHER_PEER, f"@{OTHER_RESOLVER}", name="_peer.internal")

            assert other == '"peer4"'
            until(lambda: bool(node.reports[-1]["limited"]))
            assert str(node.reports[-1]["limited"]).startswith(f"[{{'address': '{PEER}'")


def test_a_row_that_cannot_be_read_is_left_out_and_fetched_anew(lan: Lan) -> None:
    with home(lan) as at:
        at.fill()
        with sqlite3.connect(at.folder / "copy.sqlite") as raw:
            raw.execute("UPDATE rows SET body = '{' WHERE kind = 'peer' AND id = ?", (ALICE.id,))
        with answering(lan, at):
            until(lambda: asked(lan, "web") == str(BOB.address))
            reader = CopyReader(at.folder / "copy.sqlite")
            until(lambda: reader.position == ("", 0))
            reader.close()

            assert asked(lan, "peer2._peer") == ""


def test_a_role_whose_process_is_killed_ends_and_says_why(lan: Lan) -> None:
    with home(lan) as at:
        at.fill()
        with answering(lan, at) as role:
            children = Path(f"/proc/{role.pid}/task/{role.pid}/children").read_text().split()
            assert len(children) == 2
            os.kill(int(children[0]), signal.SIGKILL)

            assert role.wait(HANG_S) != 0
            assert not Path(f"/proc/{children[1]}").exists()
