"""What is kept of a network's replies is what the responder would say at that moment."""

import gc
import tracemalloc

import dns.message
from hypothesis import given
from hypothesis import strategies as st

from peers.names import Label
from tests.core.names.samples import NETWORK, NOW, app, machine, peer
from wgctl.core.model import App
from wgctl.core.responder import Answer, answer
from wgctl.core.view import View, build
from wgctl.drivers.kept import MOST_TURNS, Kept

NAMES = ["web.internal", "db.internal", "peer2._peer.internal", "peer3._peer.internal", "internal"]
APPS = [app(1, "web"), app(2, "db")]


def view(*, web: int = 1, db: bool = True, peers: int = 3, at: int = NOW) -> View:
    machines = [machine(n, 1, n + 1) for n in range(1, web + 1)]
    machines += [machine(99, 2, 2)] if db else []
    return build(NETWORK, [peer(n) for n in range(2, peers + 1)], APPS, machines, now=at)


def query(name: str, type_: str = "AAAA") -> bytes:
    return dns.message.make_query(name, type_, id=0).to_wire()[2:]


def said(query: bytes, of: View, turn: int = 0) -> Answer:
    found = answer(b"\0\0" + query, view=of, forwards=False, stream=False, turn=turn)
    assert isinstance(found, Answer)
    return found


def ask(kept: Kept, query: bytes, of: View, turn: int = 0) -> bytes:
    kept.renew(of)
    return kept.add(query, said(query, of, turn), turn)


def test_a_reply_is_kept_without_its_id() -> None:
    kept, now = Kept(), view()
    reply = ask(kept, query("web.internal"), now)

    assert kept.replies == {query("web.internal"): reply}
    assert reply == said(query("web.internal"), now).octets[2:]


def test_what_a_change_leaves_alone_comes_back_with_the_view_that_is_right() -> None:
    kept, before = Kept(), view()
    for name in NAMES:
        ask(kept, query(name), before)
    ask(kept, query("no.internal"), before)
    kept.suspend()
    assert not kept.replies
    kept.renew(view(db=False, at=NOW + 1))

    # The SOA of «no» has the serial of its view; `internal` holds nothing but SOA and NS.
    assert kept.replies.keys() == {
        query(name) for name in ("web.internal", "peer2._peer.internal", "peer3._peer.internal")
    }


def test_the_same_view_gives_everything_back() -> None:
    kept, now = Kept(), view()
    for name in [*NAMES, "no.internal"]:
        ask(kept, query(name), now)
    before = dict(kept.replies)
    kept.suspend()
    kept.renew(now)

    assert kept.replies == before


@given(
    st.lists(
        st.tuples(
            st.builds(
                view,
                web=st.integers(0, 3),
                db=st.booleans(),
                peers=st.integers(1, 4),
                at=st.integers(NOW, NOW + 2),
            ),
            st.lists(st.sampled_from([*NAMES, "no.internal", "_peer.internal"]), max_size=6),
        ),
        max_size=5,
    )
)
def test_nothing_is_kept_that_would_not_be_said(steps: list[tuple[View, list[str]]]) -> None:
    kept = Kept()
    for now, names in steps:
        kept.suspend()
        kept.renew(now)
        for one, reply in kept.replies.items():
            assert reply == said(one, now).octets[2:]
        for one, orders in kept.turning.items():
            for turn, order in enumerate(orders):
                assert order in {None, said(one, now, turn).octets[2:]}
        for name in names:
            for turn in range(3):
                ask(kept, query(name), now, turn)


def test_an_answer_of_several_orders_keeps_each_by_its_turn() -> None:
    kept, now = Kept(), view(web=3, peers=4)
    replies = [ask(kept, query("web.internal"), now, turn) for turn in (0, 1, 2, 5)]

    assert replies[2] == replies[3]
    assert kept.turning == {query("web.internal"): replies[:3]}
    assert not kept.replies


def test_what_has_too_many_orders_is_not_kept() -> None:
    kept = Kept()
    count = MOST_TURNS + 1
    machines = [machine(n, 1, n + 1) for n in range(1, count + 1)]
    apps: list[App] = [App(1, 1, 1, Label("web"), 0)]
    crowd = build(NETWORK, [peer(n) for n in range(2, count + 2)], apps, machines, now=NOW)
    ask(kept, query("web.internal"), crowd)

    assert len(kept) == 0
    assert (kept.replies, kept.turning) == ({}, {})


def test_a_network_that_asks_for_ever_new_names_keeps_so_many_and_begins_anew() -> None:
    kept, now = Kept(), view()
    kept.renew(now)
    denial = said(query("no.internal"), now)
    for number in range(20_001):
        kept.add(b"%d" % number, denial, 0)

    assert kept.replies.keys() == {b"20000"}
    assert len(kept) == 1


def test_nothing_is_left_of_apps_that_come_and_go() -> None:
    """Each is asked for once; where nobody looks after it, it costs half a kilobyte for good."""
    kept = Kept()

    def come_and_go(first: int, last: int) -> None:
        for number in range(first, last):
            machines = [machine(number, number, 2)]
            now = build(NETWORK, [peer(2)], [app(number, f"a{number}")], machines, now=NOW)
            ask(kept, query(f"a{number}.internal"), now)

    come_and_go(1, 50)
    gc.collect()
    tracemalloc.start()
    come_and_go(50, 1050)
    gc.collect()
    left_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert left_bytes < 100_000


def test_nothing_is_kept_once_it_is_cleared() -> None:
    kept, now = Kept(), view()
    ask(kept, query("web.internal"), now)
    kept.clear()
    kept.renew(view(at=NOW + 1))

    assert len(kept) == len(kept.replies) == 0
