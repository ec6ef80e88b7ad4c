import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.errors import Invalid
from wgctl.core.renewal import (
    FIRST_S,
    LONGEST_S,
    MOST_TOLD_S,
    Standing,
    Wanted,
    told_s,
)

_WANTED = Wanted("https://ca.example.org/directory", ("vpn.example.org",))
_OTHER = Wanted("https://ca.example.org/directory", ("other.example.org",))
_DAY_S = 86_400

_times = st.integers(0, 2**33)
_chances = st.floats(0, 1, exclude_max=True)
_standings = st.builds(
    Standing,
    st.builds(Wanted, st.text(), st.lists(st.text(), max_size=3).map(tuple)),
    failures=st.integers(0, 2**40),
    problem=st.text(),
    tried_at=_times,
    again_at=_times,
)


@given(_standings)
def test_what_is_kept_is_read_back(standing: Standing) -> None:
    assert Standing.parse(standing.render()) == standing


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"wanted": 1}'])
def test_what_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        Standing.parse(text)


def test_tries_that_fail_become_rare_and_go_on() -> None:
    standing, pauses, now = None, [], 0
    for _ in range(8):
        standing = Standing.begun(standing, _WANTED, now=now, chance=0).failed(
            "no", told_s=0, now=now
        )
        pauses.append(standing.again_at - now)
        now = standing.again_at

    assert pauses == [FIRST_S, 600, 1200, 2400, 4800, LONGEST_S, LONGEST_S, LONGEST_S]


@given(_standings, _times, _chances)
def test_a_try_counts_before_it_is_known_how_it_ends(
    before: Standing, now: int, chance: float
) -> None:
    begun = Standing.begun(before, before.wanted, now=now, chance=chance)

    assert begun.failures == before.failures + 1
    assert now + FIRST_S <= begun.again_at <= now + LONGEST_S * 5 // 4
    assert not begun.is_due(before.wanted, now=now)
    assert not begun.is_due(before.wanted, now=begun.again_at - 1)
    assert begun.is_due(before.wanted, now=begun.again_at)


@given(_times, _chances, st.integers(0, MOST_TOLD_S), st.integers(0, 600))
def test_a_ca_that_wants_to_be_left_alone_is(now: int, chance: float, told: int, took: int) -> None:
    begun = Standing.begun(None, _WANTED, now=now, chance=chance)
    failed = begun.failed("busy", told_s=told, now=now + took)

    assert failed.again_at >= now + took + told
    assert failed.again_at in {begun.again_at, now + took + told}


@given(_times, st.integers(60, 4000 * _DAY_S), _chances)
def test_a_certificate_is_renewed_while_a_third_of_its_time_is_left(
    begins: int, lifetime_s: int, chance: float
) -> None:
    got = Standing.begun(None, _WANTED, now=begins, chance=0).got(
        begins=begins, ends=begins + lifetime_s, now=begins, chance=chance
    )

    assert (got.failures, got.problem) == (0, "")
    assert 0.59 * lifetime_s <= got.again_at - begins <= lifetime_s * 2 / 3


@given(_times, st.integers(60, 4000 * _DAY_S), st.integers(0, 4000 * _DAY_S), _chances)
def test_a_certificate_that_began_long_ago_is_not_renewed_without_a_pause(
    begins: int, lifetime_s: int, late_s: int, chance: float
) -> None:
    """Where the clock is ahead, or the CA dates back, each would be due as soon as it is there."""
    now = begins + late_s
    got = Standing.begun(None, _WANTED, now=now, chance=0).got(
        begins=begins, ends=begins + lifetime_s, now=now, chance=chance
    )

    assert got.again_at - now >= min(FIRST_S, int(0.59 * lifetime_s))
    assert got.again_at <= max(now + FIRST_S, begins + lifetime_s * 2 / 3)


def test_what_else_is_wanted_is_due_at_once_and_begins_anew() -> None:
    standing = Standing(_WANTED, failures=9, problem="no", tried_at=0, again_at=LONGEST_S)

    assert not standing.is_due(_WANTED, now=1)
    assert standing.is_due(_OTHER, now=1)
    assert Standing.begun(standing, _OTHER, now=1, chance=0).failures == 1


@given(_standings)
def test_a_clock_that_goes_back_a_lot_keeps_nothing_from_being_asked(standing: Standing) -> None:
    assert standing.is_due(standing.wanted, now=standing.tried_at - LONGEST_S - 1)


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        ("120", 120),
        ("0", 0),
        ("99999999999999999999", MOST_TOLD_S),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thu, 01 Jan 1970 02:20:00 +0200", 200),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MOST_TOLD_S),
        ("", 0),
        ("-5", 0),
        ("soon", 0),
        ("١٢", 0),
    ],
)
def test_how_long_a_ca_wants_to_be_left_alone(header: str, pause_s: int) -> None:
    assert told_s(header, now=1000) == pause_s


@given(st.text(), _times)
def test_no_header_makes_it_long(header: str, now: int) -> None:
    assert 0 <= told_s(header, now=now) <= MOST_TOLD_S
