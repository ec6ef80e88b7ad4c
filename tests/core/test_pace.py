from wgctl.core.pace import REMEMBERED_S, Pace, Refusals


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    pace = Pace(per_s=2, burst=3)
    asked = [0.0, 0.0, 0.0, 0.0, 0.4, 0.5, 0.6, 100.0, 100.0, 100.0, 100.0]

    admitted = [pace.admit("a", now=now) for now in asked]

    assert admitted == [True, True, True, False, False, True, False, True, True, True, False]


def test_askers_do_not_take_from_each_other() -> None:
    pace = Pace(per_s=1, burst=1)

    assert [pace.admit(asker, now=0.0) for asker in "aab"] == [True, False, True]


def test_a_dear_request_takes_more() -> None:
    pace = Pace(per_s=1, burst=10)

    assert [pace.admit("a", now=0.0, cost=4) for _ in range(3)] == [True, True, False]
    assert pace.admit("a", now=0.0, cost=2)


def test_looking_takes_nothing() -> None:
    pace = Pace(per_s=1, burst=2)
    pace.admit("a", now=0.0)

    assert [pace.has("a", now=0.0, cost=cost) for cost in (1, 1, 2)] == [True, True, False]
    assert pace.has("b", now=0.0, cost=2)


def test_whoever_was_longest_away_is_forgotten_so_that_memory_is_bounded() -> None:
    """Also where every asker is a new one: a source can be made up."""
    pace = Pace(per_s=0.01, burst=1)
    pace.admit("stays", now=0.0)
    for number in range(20_000):
        pace.admit(number, now=0.0)

    assert len(pace._spent) == 10_000  # noqa: SLF001  # memory has no other face
    assert [pace.admit(asker, now=0.0) for asker in ("stays", 19_999)] == [True, False]


def test_the_worst_of_the_last_minute_come_first_and_then_are_forgotten() -> None:
    refusals = Refusals()
    refusals.note({b"a": 5, b"b": 1}, now=0.0)
    refusals.note({b"b": 7, b"c": 2}, now=30.0)

    assert refusals.worst(2, now=40.0) == [(b"b", 8), (b"a", 5)]
    assert refusals.worst(9, now=REMEMBERED_S + 1.0) == [(b"b", 7), (b"c", 2)]
    assert refusals.worst(9, now=REMEMBERED_S + 31.0) == []
