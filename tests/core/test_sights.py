from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.ports import Seen
from wgctl.core.sights import Sights

_BLANK = Seen(None, None, 0, 0)


def _met(received: int) -> Seen:
    return Seen("192.0.2.1:9", 5, received, 0)


def _told(sights: Sights, seen: dict[int, Seen]) -> set[int]:
    """Return who is told of once, to a reader who hears it."""
    chosen = sights.choose(seen)
    sights.note_told(chosen, seen)
    return set(chosen)


def _tell_all(sights: Sights, seen: dict[int, Seen]) -> None:
    while _told(sights, seen):
        pass


def test_what_changed_is_told_once() -> None:
    sights = Sights()
    seen = {1: _met(1), 2: _BLANK, 3: _met(3)}

    assert _told(sights, seen) == {1, 3}
    assert _told(sights, seen) == set()
    assert _told(sights, {**seen, 2: _met(2)}) == {2}


def test_what_nobody_heard_is_told_again() -> None:
    sights = Sights()
    seen = {1: _met(1)}

    assert sights.choose(seen) == [1]
    assert sights.choose(seen) == [1]


def test_counters_that_begin_anew_are_a_change() -> None:
    sights = Sights()
    _told(sights, {1: _met(1)})

    assert _told(sights, {1: _BLANK}) == {1}


def test_a_round_tells_of_all_some_at_a_time_and_of_none_that_is_gone() -> None:
    sights = Sights(most=2)
    seen = dict.fromkeys(range(5), _BLANK)
    sights.begin_round(seen)
    first = _told(sights, seen)
    del seen[3]

    assert first == {0, 1}
    assert sights.in_round
    assert [_told(sights, seen), _told(sights, seen)] == [{2, 4}, set()]
    assert not sights.in_round


def test_what_changed_comes_before_the_round() -> None:
    sights = Sights(most=2)
    seen = {0: _BLANK, 1: _BLANK, 2: _met(1), 3: _met(1)}
    sights.begin_round(seen)

    assert _told(sights, seen) == {2, 3}
    assert _told(sights, seen) == {0, 1}


def test_who_was_gone_is_told_of_when_back() -> None:
    sights = Sights()
    _told(sights, {1: _met(1)})
    _told(sights, {})

    assert _told(sights, {1: _met(1)}) == {1}


@given(count=st.integers(1, 40), most=st.integers(1, 10))
def test_where_all_change_each_time_each_has_its_turn(count: int, most: int) -> None:
    sights = Sights(most=most)
    times = -(-count // most)
    told = [_told(sights, dict.fromkeys(range(count), _met(moment + 1))) for moment in range(times)]

    assert all(len(some) <= most for some in told)
    assert set().union(*told) == set(range(count))


@given(quiet=st.sets(st.integers(0, 60)), busy=st.sets(st.integers(0, 60)), most=st.integers(5, 12))
def test_a_round_ends_where_more_change_at_each_look_than_have_room(
    quiet: set[int], busy: set[int], most: int
) -> None:
    """Else a reader who has forgotten never hears of those who are quiet."""
    sights = Sights(most=most)
    still = dict.fromkeys(quiet, _met(1))
    _tell_all(sights, still)
    sights.begin_round(quiet | busy)
    told = [
        _told(sights, {**still, **dict.fromkeys(busy, _met(moment + 2))})
        for moment in range(-(-len(quiet | busy) // (most // 5)))
    ]

    assert not sights.in_round
    assert all(len(some) <= most for some in told)
    assert set().union(*told) == quiet | busy


def test_what_changed_has_most_of_the_room() -> None:
    sights = Sights(most=5)
    seen = {**dict.fromkeys(range(10), _BLANK), **dict.fromkeys(range(10, 20), _met(1))}
    sights.begin_round(seen)

    assert _told(sights, seen) == {10, 11, 12, 13, 0}
