import pytest

from wgctl.core.forward.health import BUDGET_S, Health, patience_s
from wgctl.core.forward.upstream import Upstream

ONE, TWO, THREE = (Upstream.parse(f"192.0.2.{number}") for number in (1, 2, 3))


def failing(health: Health, upstream: Upstream, *, now: float) -> bool:
    return health.failed(upstream, "no reply in time", asked_at=now, now=now)


def test_those_that_work_are_asked_as_they_were_given_and_the_others_after_them() -> None:
    health = Health([ONE, TWO, THREE])
    assert health.order() == [ONE, TWO, THREE]

    failing(health, ONE, now=10)
    failing(health, TWO, now=9)
    assert health.order() == [THREE, TWO, ONE]

    health.worked(ONE, now=11)
    assert health.order() == [ONE, THREE, TWO]


def test_each_probe_that_fails_doubles_the_wait_up_to_a_minute() -> None:
    health = Health([ONE])
    now, waits = 100.0, []
    for _ in range(8):
        failing(health, ONE, now=now)
        at = health.next_probe_at()
        assert at is not None
        assert health.due(now=at - 0.01) == []
        assert health.due(now=at) == [ONE]
        waits.append(at - now)
        now = at

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    health.worked(ONE, now=now)
    assert (health.next_probe_at(), health.due(now=now)) == (None, [])


def test_many_questions_that_fail_at_once_say_no_more_than_one() -> None:
    health = Health([ONE])
    for _ in range(50):
        failing(health, ONE, now=10)

    assert health.next_probe_at() == 11
    assert health.conditions()[0].reason is None


def test_one_that_replied_since_the_question_was_put_is_alive() -> None:
    """One dead domain must not cost an upstream its place."""
    health = Health([ONE])
    health.worked(ONE, now=10.5)

    assert not health.failed(ONE, "no reply in time", asked_at=10, now=11)
    assert health.next_probe_at() is None


def test_a_second_failure_is_told_and_so_is_the_return() -> None:
    health = Health([ONE, TWO])

    assert not failing(health, ONE, now=10)
    assert health.conditions()[0].reason is None
    assert failing(health, ONE, now=11)
    assert health.conditions() == [("192.0.2.1:53", "no reply in time"), ("192.0.2.2:53", None)]
    assert not failing(health, ONE, now=20)
    assert health.worked(ONE, now=21)
    assert not health.worked(ONE, now=22)
    assert health.conditions()[0].reason is None


@pytest.mark.parametrize("others", [0, 1, 3])
def test_tries_fit_into_the_budget_of_a_stub_resolver(others: int) -> None:
    waits = [patience_s(number, others=others) for number in range(3)]

    assert sum(waits) <= BUDGET_S < 5
    assert min(waits) >= 1
