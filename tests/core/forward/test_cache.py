from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.forward.answer import Answer
from wgctl.core.forward.cache import Cache, Found, State
from wgctl.core.forward.question import Question
from wgctl.core.forward.sections import Section

WWW = Question(b"\3www\7example\0", 28)
DAY_S = 86_400


def answer(ttl_s: int = 60, *, size: int = 16) -> Answer:
    return Answer(0, Section(1, bytes(size), ()), Section(0, b"", ()), ttl_s)


def states(cache: Cache, *times: float) -> list[tuple[State, bool]]:
    found = [cache.find(WWW, now=now) for now in times]
    return [(one.state, one.pause) for one in found]


def test_an_answer_holds_for_its_ttl_and_is_there_for_a_day_after_that() -> None:
    cache = Cache()
    cache.keep(WWW, answer(), now=100)

    assert cache.find(WWW, now=100) == Found(State.FRESH, answer(), 0, pause=True)
    assert cache.find(WWW, now=159.9) == Found(State.FRESH, answer(), 59, pause=True)
    assert cache.find(WWW, now=160) == Found(State.STALE, answer(), 60)
    assert states(cache, 159 + DAY_S, 160 + DAY_S) == [(State.STALE, False), (State.ABSENT, False)]
    assert cache.find(WWW._replace(dnssec_ok=True), now=100) == Found(State.ABSENT)


def test_a_ttl_of_nothing_is_not_kept() -> None:
    cache = Cache()
    cache.keep(WWW, answer(), now=100)
    cache.keep(WWW, answer(0), now=100)

    assert cache.find(WWW, now=100) == Found(State.ABSENT)
    assert (len(cache), cache.bytes) == (0, 0)


def test_a_failure_is_kept_for_a_second_and_twice_as_long_each_time() -> None:
    """RFC 9520, section 3.2: never less than 1 s, and a bound."""
    cache = Cache()
    now, pauses = 100.0, []
    for _ in range(7):
        cache.fail(WWW, error=22, now=now)
        pause = next(s for s in range(1, 100) if not cache.find(WWW, now=now + s).pause)
        assert cache.find(WWW, now=now + pause - 0.1) == Found(State.FAILED, pause=True, error=22)
        pauses.append(pause)
        now += pause

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    cache.keep(WWW, answer(), now=now)
    cache.fail(WWW, error=None, now=now + 60)
    assert states(cache, now + 60.9, now + 61.1) == [(State.STALE, True), (State.STALE, False)]


def test_an_old_answer_outlives_a_failure() -> None:
    cache = Cache()
    cache.keep(WWW, answer(), now=100)
    cache.fail(WWW, error=22, now=200)

    assert cache.find(WWW, now=200.5) == Found(State.STALE, answer(), 100, pause=True, error=22)


def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache = Cache(most_bytes=3 * 1700)
    asked = [Question(bytes([1, number, 0]), 1) for number in range(4)]
    for question in asked[:3]:
        cache.keep(question, answer(), now=1)
    cache.find(asked[0], now=2)
    cache.keep(asked[3], answer(), now=2)

    there = [cache.find(question, now=3).state is State.FRESH for question in asked]
    assert there == [True, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 900), st.integers(0, 2))))
def test_it_never_takes_more_than_it_may(deeds: list[tuple[int, int, int]]) -> None:
    cache = Cache(most_bytes=10_000)
    for number, size, ttl_s in deeds:
        question = Question(bytes([1, number, 0]), 1)
        if ttl_s:
            cache.keep(question, answer(ttl_s, size=size), now=number)
        else:
            cache.fail(question, error=None, now=number)
        assert cache.bytes <= 10_000
    assert (cache.bytes == 0) == (len(cache) == 0)


@pytest.mark.parametrize("records", [1, 20])
def test_the_estimate_is_no_less_than_what_is_taken(records: int) -> None:
    import gc
    import tracemalloc

    def made(number: int) -> tuple[Question, Answer]:
        octets = bytes(bytearray(28 * records))
        ttls = tuple((28 * at + 1000, number + 1000) for at in range(records))
        section = Section(records, octets, ttls)
        name = b"\7" + b"%07d" % number + b"\7example\0"
        return Question(name, 28), Answer(0, section, Section(0, bytes(0), ()), number + 1000)

    def keep_all(cache: Any) -> None:
        for number in range(1000):
            cache.keep(*made(number), now=float(number))

    cache = Cache()
    gc.collect()
    tracemalloc.start()
    keep_all(cache)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken <= cache.bytes <= 2 * taken
