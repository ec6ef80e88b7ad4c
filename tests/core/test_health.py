from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.check import Target
from wgctl.core.health import KEPT, Health, Record, State, after, next_due
from wgctl.core.model import Check

CHECK = Check(*(1, 1, 1, 1, Target(80)), interval_s=10, timeout_s=2, grace_s=30, rise=2, fall=3)
GRACE_ENDS = 100.0

_healths = st.sampled_from(Health)
_counts = st.integers(1, 4)
_probes = st.lists(st.booleans(), max_size=30)


def walked(state: State, probes: str, *, at: float = GRACE_ENDS) -> list[State]:
    """Return the states after each of `probes`: `+` passed, `-` failed."""
    states = []
    for probe in probes:
        state = after(state, passed=probe == "+", check=CHECK, now=at)
        states.append(state)
    return states


@pytest.mark.parametrize(
    ("health", "probes", "ends"),
    [
        (Health.UNKNOWN, "+", Health.HEALTHY),
        (Health.UNKNOWN, "--", Health.UNKNOWN),
        (Health.UNKNOWN, "---", Health.UNHEALTHY),
        (Health.UNKNOWN, "--+", Health.HEALTHY),
        (Health.STARTING, "+", Health.HEALTHY),
        (Health.STARTING, "--", Health.STARTING),
        (Health.STARTING, "---", Health.UNHEALTHY),
        (Health.HEALTHY, "--", Health.HEALTHY),
        (Health.HEALTHY, "--+--", Health.HEALTHY),
        (Health.HEALTHY, "---", Health.UNHEALTHY),
        (Health.UNHEALTHY, "+", Health.UNHEALTHY),
        (Health.UNHEALTHY, "+-+", Health.UNHEALTHY),
        (Health.UNHEALTHY, "++", Health.HEALTHY),
    ],
)
def test_probes_in_a_row_make_a_machine_what_it_is(
    health: Health, probes: str, ends: Health
) -> None:
    assert walked(State(health), probes)[-1].health is ends


@pytest.mark.parametrize("health", [Health.UNKNOWN, Health.STARTING])
def test_failures_in_the_grace_do_not_count_and_a_pass_ends_it(health: Health) -> None:
    begun = State(health, GRACE_ENDS)
    within = GRACE_ENDS - 0.1

    assert walked(begun, "-" * 9, at=within)[-1] == begun
    assert walked(begun, "+---", at=within)[-1].health is Health.UNHEALTHY
    assert walked(begun, "---")[-1].health is Health.UNHEALTHY


def test_only_what_was_started_and_did_not_pass_or_fails_is_left_out() -> None:
    answered = {health: State(health).answered for health in Health}

    assert answered == {
        Health.UNKNOWN: True,
        Health.STARTING: False,
        Health.HEALTHY: True,
        Health.UNHEALTHY: False,
    }


@given(_healths, _counts, _counts, _probes)
def test_health_is_what_the_last_probes_in_a_row_say(
    health: Health, rise: int, fall: int, probes: list[bool]
) -> None:
    """Told without counts of its own: by looking back over all that was seen."""
    check = replace(CHECK, rise=rise, fall=fall)
    state = State(health)
    for number in range(1, len(probes) + 1):
        before, state = state, after(state, passed=probes[number - 1], check=check, now=0)
        undecided = before.health in {Health.UNKNOWN, Health.STARTING}
        if state.health is Health.HEALTHY and before.health is not Health.HEALTHY:
            assert all(probes[:number][-(1 if undecided else rise) :])
        if state.health is Health.UNHEALTHY and before.health is not Health.UNHEALTHY:
            assert not any(probes[:number][-fall:])
        if state.health is before.health:
            assert state.run < max(rise, fall)
    if probes[-fall:] == [False] * fall:
        assert state.health is Health.UNHEALTHY
    if probes[-rise:] == [True] * rise:
        assert state.health is Health.HEALTHY


@given(
    st.floats(0, 1e6, allow_nan=False),
    st.integers(1, 3600),
    st.floats(-10, 1e5, allow_nan=False),
)
def test_the_next_probe_is_a_whole_number_of_intervals_after_the_last(
    due: float, every_s: int, late_s: float
) -> None:
    now = due + late_s
    following = next_due(due, every_s=every_s, now=now)
    steps = (following - due) / every_s

    assert following > now - 1e-6
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert round(steps) >= 1
    assert steps == 1 or following - every_s <= now + 1e-6


def test_a_record_keeps_the_last_transitions_in_order() -> None:
    record = Record(7)
    for number in range(KEPT + 5):
        to = (Health.HEALTHY, Health.UNHEALTHY)[number % 2]
        record = record.moved(to, at=number, reason=f"reason {number}")

    assert record.health is record.transitions[-1].after
    assert [moved.at for moved in record.transitions] == list(range(5, KEPT + 5))
    befores = [moved.before for moved in record.transitions]
    assert befores[1:] == [moved.after for moved in record.transitions[:-1]]
