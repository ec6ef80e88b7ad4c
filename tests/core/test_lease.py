"""Who holds a lease until when, as renewals arrive, and as a reader of them sees it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.names import Label
from wgctl.core.errors import Conflict, Invalid, NotFound
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.lease import Book, Heard, Standing, Term, parse, pause_s, render
from wgctl.core.model import Machine, MachineState

WEB = Term(machine_id=7, org_id=1, peer_id=2, name="web-1", lease_s=15)
ROW = Machine(
    *(7, 1, 1, 1, 2, Label("web-1"), Label("ams"), Label("app"), ()),
    *({}, MachineState.STARTED, 0, 15),
)
MINE, OTHERS = "a" * 32, "b" * 32


def book(*, holder: str = MINE) -> Book:
    """Return a book with the lease of `web-1`, which began at 100."""
    made = Book([], {}, now=0.0)
    made.start(WEB, holder=holder, healthy=True, now=100.0)
    return made


def renew(of: Book, now: float, *, holder: str = MINE, healthy: bool = True) -> float:
    return of.renew(2, "web-1", holder=holder, healthy=healthy, now=now)[1].ends_at


def ended(of: Book, now: float) -> list[int]:
    return [term.machine_id for term in of.give_up(now=now, most=10)]


def test_a_lease_lasts_for_its_time_after_the_last_renewal() -> None:
    held = book()

    assert ended(held, 114.9) == []
    assert renew(held, 110.0) == 125.0
    assert ended(held, 124.9) == []
    assert ended(held, 125.0) == [7]


def test_one_that_has_ended_lasts_again_while_its_machine_is_there() -> None:
    """As while the controller is down: nobody has taken the machine away."""
    held = book()

    assert renew(held, 500.0) == 515.0
    assert ended(held, 500.0) == []


def test_one_that_was_given_up_cannot_be_renewed_unless_it_is_spared() -> None:
    """What the controller is told to have ended must not have been renewed when it believes it."""
    held = book()
    assert ended(held, 200.0) == [7]

    assert ended(held, 200.0) == []
    with pytest.raises(NotFound, match="announce it"):
        renew(held, 200.0)
    held.spare()
    assert renew(held, 200.0) == 215.0


def test_a_machine_that_went_although_its_lease_was_spared_may_be_announced_again() -> None:
    """The controller had heard of the end after all, and its answer was lost."""
    held = book()
    ended(held, 200.0)
    held.spare()
    renew(held, 200.0)
    held.take([Delete(Kind.MACHINE, 7)], now=201.0)

    with pytest.raises(NotFound):
        renew(held, 202.0)


def test_no_more_are_given_up_than_are_asked_for_and_the_rest_goes_on() -> None:
    terms = [WEB._replace(machine_id=id_, name=f"web-{id_}") for id_ in (3, 1, 2)]
    held = Book(terms, {}, now=0.0)

    assert [term.machine_id for term in held.give_up(now=50.0, most=2)] == [1, 2]
    assert held.renew(2, "web-3", holder=MINE, healthy=True, now=50.0)[0] == 15


def test_a_new_announcer_takes_over_and_the_old_one_hears_of_it() -> None:
    held = book()
    held.start(WEB, holder=OTHERS, healthy=True, now=101.0)

    with pytest.raises(Conflict, match="another announcer"):
        renew(held, 102.0)
    # What the old one withdraws is not its own any more.
    held.withdraw(2, "web-1", holder=MINE, now=102.0)
    assert ended(held, 103.0) == []
    assert renew(held, 104.0, holder=OTHERS) == 119.0


def test_what_is_withdrawn_has_ended() -> None:
    held = book()
    held.withdraw(2, "web-1", holder=MINE, now=101.0)

    assert ended(held, 101.0) == [7]


@pytest.mark.parametrize(("peer_id", "name"), [(3, "web-1"), (2, "web-2"), (2, "\x1b[2J")])
def test_another_peers_machine_or_none_has_no_lease_here(peer_id: int, name: str) -> None:
    held = book()
    held.withdraw(peer_id, name, holder=MINE, now=101.0)

    with pytest.raises(NotFound) as refused:
        held.renew(peer_id, name, holder=MINE, healthy=True, now=101.0)
    assert str(refused.value).isprintable()
    assert ended(held, 101.0) == []


def test_who_holds_a_machine_that_was_removed_is_told_until_the_lease_is_over() -> None:
    """An operator's removal is not undone by the next renewal."""
    held = book()
    held.take([Delete(Kind.MACHINE, 7)], now=101.0)

    with pytest.raises(Conflict, match="was removed"):
        renew(held, 105.0)
    assert held.standings() == {}
    assert ended(held, 120.0) == []
    with pytest.raises(NotFound):
        renew(held, 120.0)


def test_a_machine_that_went_after_the_end_of_its_lease_may_be_announced_again() -> None:
    held = book()
    ended(held, 120.0)
    held.take([Delete(Kind.MACHINE, 7)], now=121.0)

    with pytest.raises(NotFound):
        renew(held, 121.0)
    held.start(WEB._replace(machine_id=8), holder=MINE, healthy=True, now=122.0)
    assert renew(held, 123.0) == 138.0


def test_the_feed_brings_leases_and_renewals_stay_as_they_are() -> None:
    held = Book([], {}, now=0.0)
    held.take([Put(Kind.MACHINE, ROW), Put(Kind.MACHINE, replace(ROW, id=8, lease_s=None))], now=10)
    # Whether it is healthy is for its announcer to say.
    assert held.standings() == {7: Standing(25.0, healthy=False, holder="")}
    renew(held, 20.0)

    held.take([Put(Kind.MACHINE, replace(ROW, state=MachineState.STOPPED))], now=21.0)
    assert held.standings()[7].ends_at == 35.0


def test_a_snapshot_keeps_what_is_known_of_those_that_are_still_there() -> None:
    held = book()
    held.replace([WEB, WEB._replace(machine_id=9, name="web-9")], now=103.0)

    assert {id_: one.ends_at for id_, one in held.standings().items()} == {7: 115.0, 9: 118.0}
    held.replace([], now=104.0)
    assert held.standings() == {}
    with pytest.raises(NotFound):
        renew(held, 104.0)


@pytest.mark.parametrize(
    ("known", "ends_at"),
    [
        ({}, 1015.0),
        ({7: Standing(1004.0, healthy=True, holder=MINE)}, 1004.0),
        ({7: Standing(2.0, healthy=True, holder=MINE)}, 2.0),
        ({7: Standing(10.0**9, healthy=True, holder=MINE)}, 1015.0),
    ],
    ids=["never heard of", "as it was", "over", "of another boot"],
)
def test_a_start_goes_on_with_what_was_written_down(
    known: dict[int, Standing], ends_at: float
) -> None:
    assert Book([WEB], known, now=1000.0).standings()[7].ends_at == ends_at


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "renew", "withdraw", "give up", "delete", "put"]),
        st.sampled_from([MINE, OTHERS]),
        st.integers(0, 20),
    ),
    max_size=30,
)


@given(_STEPS)
def test_no_lease_lasts_longer_than_its_time_whatever_happens(
    steps: list[tuple[str, str, int]],
) -> None:
    held, now = Book([], {}, now=0.0), 0.0
    for what, holder, seconds in steps:
        now += seconds
        try:
            match what:
                case "start":
                    held.start(WEB, holder=holder, healthy=True, now=now)
                case "renew":
                    renew(held, now, holder=holder)
                case "withdraw":
                    held.withdraw(2, "web-1", holder=holder, now=now)
                case "give up":
                    ended(held, now)
                case "delete":
                    held.take([Delete(Kind.MACHINE, 7)], now=now)
                case _:
                    held.take([Put(Kind.MACHINE, ROW)], now=now)
        except (Conflict, NotFound):
            pass
        assert all(one.ends_at <= now + 15 for one in held.standings().values())
    held.spare()
    assert ended(held, now + 15) == list(held.standings())


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {7: Standing(15.0, healthy=True, holder="")}, set()),
        ({}, {7: Standing(15.0, healthy=False, holder="")}, {7}),
        ({}, {7: Standing(9.0, healthy=True, holder="")}, {7}),
        ({7: Standing(15.0, True, "")}, {7: Standing(20.0, True, "")}, set()),
        ({7: Standing(15.0, True, "")}, {7: Standing(15.0, True, MINE)}, set()),
        ({7: Standing(15.0, True, "")}, {7: Standing(15.0, False, "")}, {7}),
        ({7: Standing(15.0, True, "")}, {7: Standing(10.0, True, "")}, {7}),
        ({7: Standing(5.0, True, "")}, {7: Standing(25.0, True, "")}, {7}),
        ({7: Standing(15.0, True, "")}, {}, set()),
    ],
    ids=[
        *("new", "new and ill", "new and over"),
        *("renewed", "held by another", "ill", "withdrawn", "back", "gone with its row"),
    ],
)
def test_a_reader_hears_of_those_that_come_go_or_fall_ill(
    before: dict[int, Standing], after: dict[int, Standing], changed: set[int]
) -> None:
    heard = Heard()
    heard.take(before, now=10.0)

    assert heard.take(after, now=10.0) == changed


def test_a_lease_that_was_asked_for_before_the_book_had_it_is_heard_of_once() -> None:
    """A name that left it out when its whole time was over must have it back."""
    heard = Heard()
    assert [heard.left_s(ROW, now=now) for now in (100.0, 115.0)] == [15, 0]

    standings = {7: Standing(131.0, healthy=True, holder="")}
    assert heard.take(standings, now=116.0) == {7}
    assert heard.take(standings, now=116.0) == frozenset()


def test_a_reader_counts_begun_seconds_and_nothing_after_the_end() -> None:
    heard = Heard()
    heard.take({7: Standing(110.0, healthy=True, holder="")}, now=100.0)

    assert [heard.left_s(ROW, now=now) for now in (99.5, 100.0, 109.1, 110.0, 200.0)] == [
        *(11, 10, 1, 0, 0)
    ]
    assert heard.left_s(replace(ROW, lease_s=None), now=500.0) is None


def test_a_reader_gives_what_it_has_not_heard_of_its_whole_time_once() -> None:
    heard = Heard()

    assert [heard.left_s(ROW, now=now) for now in (100.0, 110.0, 115.0)] == [15, 5, 0]
    heard.take({7: Standing(130.0, healthy=True, holder="")}, now=116.0)
    assert heard.left_s(ROW, now=120.0) == 10


def test_what_a_reader_has_not_heard_of_is_forgotten_with_its_machine() -> None:
    """They would add up: each machine that came and went before the book had it."""
    heard = Heard()
    assert heard.left_s(ROW, now=100.0) == 15

    heard.forget([7, 8])
    assert heard.take({}, now=110.0) == frozenset()
    assert heard.left_s(ROW, now=110.0) == 15


def test_no_clock_makes_a_lease_longer_than_it_is() -> None:
    heard = Heard()
    heard.take({7: Standing(10.0**9, healthy=True, holder="")}, now=0.0)

    assert heard.left_s(ROW, now=5.0) == 15


def test_those_whose_announcers_say_so_are_failing() -> None:
    heard = Heard()
    heard.take({7: Standing(9.0, False, ""), 8: Standing(9.0, True, "")}, now=0.0)

    assert heard.failing([ROW, replace(ROW, id=8)]) == {7}
    assert heard.failing([replace(ROW, lease_s=None)]) == frozenset()


def test_one_that_the_book_does_not_have_yet_is_failing_unless_there_is_no_book() -> None:
    """A row may come before what its announcer says of its health; no book says nothing."""
    heard = Heard()
    heard.left_s(ROW, now=0.0)
    assert heard.failing([ROW]) == frozenset()

    assert heard.take({}, now=0.0) == {7}
    assert heard.failing([ROW, replace(ROW, id=8, lease_s=None)]) == {7}


@pytest.mark.parametrize(
    ("failures", "draw", "pause"),
    [(0, 0.0, 5.0), (0, 1.0, 4.0), (1, 0.0, 0.5), (2, 0.0, 1.0), (4, 0.0, 4.0), (99, 0.0, 5.0)],
)
def test_an_announcer_renews_three_times_in_a_lease_and_sooner_after_a_failure(
    failures: int, draw: float, pause: float
) -> None:
    assert pause_s(15, failures=failures, draw=draw) == pytest.approx(pause)


@given(
    st.dictionaries(
        st.integers(0, 2**63 - 1),
        st.builds(
            Standing,
            st.floats(0, 10**9),
            st.booleans(),
            st.text(st.characters(codec="ascii"), max_size=32),
        ),
    )
)
def test_what_is_written_is_read(standings: dict[int, Standing]) -> None:
    assert parse(render(standings)) == standings


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '{"x": [1, true, ""]}',
        '{"7": 1}',
        '{"7": [1]}',
        '{"7": [1, true, ""]}',
        '{"7": [1.0, 1, ""]}',
        '{"7": [NaN, true, ""]}',
        '{"7": [-Infinity, true, ""]}',
        '{"7": [1e999, true, ""]}',
    ],
)
def test_anything_else_is_invalid(text: str) -> None:
    with pytest.raises(Invalid, match="leases: "):
        parse(text)
