from wgctl.core.pace import Pace


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


def test_what_is_kept_of_idle_askers_is_forgotten() -> None:
    pace = Pace(per_s=1, burst=1)
    for number in range(10_000):
        pace.admit(number, now=0.0)
    pace.admit("late", now=5.0)

    assert list(pace._spent) == ["late"]  # noqa: SLF001  # memory has no other face
