import json

import pytest
from pydantic import ValidationError

from wgctl.core.check import Page, Target
from wgctl.core.health import KEPT
from wgctl.core.health_shape import Check, ObservedHealth

_GOOD = {"target": "http://web.internal:8080/health"}
_MOVED = {"at": 1, "before": "healthy", "after": "unhealthy", "reason": "tcp 80: no answer in 2 s"}


@pytest.mark.parametrize("text", ["tcp:5432", "http://web.internal:8080/health"])
def test_a_check_is_read_and_written_alike(text: str) -> None:
    check = Check(target=Target.parse(text))

    assert check.model_dump(mode="json")["target"] == text
    assert Check.model_validate_json(check.model_dump_json()) == check
    assert Check.model_validate({"target": text}) == check


def test_what_is_left_out_of_a_check_is_its_default() -> None:
    assert Check.model_validate(_GOOD) == Check(
        target=Target(8080, Page("web.internal", "/health")),
        interval_s=10,
        timeout_s=2,
        grace_s=30,
        rise=2,
        fall=3,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "udp:53"}, "expected tcp:PORT"),
        ({"target": 80}, "int, expected a string"),
        ({"target": {"port": 80, "page": ["a\r\nb", "/"]}}, "dict, expected a string"),
        ({"interval_s": 0}, "greater than or equal to 1"),
        ({"interval_s": 3601}, "less than or equal to 3600"),
        ({"interval_s": True}, "valid integer"),
        ({"timeout_s": 31, "interval_s": 60}, "less than or equal to 30"),
        ({"timeout_s": 11}, "a timeout of 11 s, expected at most the interval, 10 s"),
        ({"grace_s": -1}, "greater than or equal to 0"),
        ({"rise": 0}, "greater than or equal to 1"),
        ({"fall": 11}, "less than or equal to 10"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_check_that_breaks_a_rule_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Check.model_validate_json(json.dumps(_GOOD | change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"health": "fine"}, "'unknown', 'starting', 'healthy' or 'unhealthy'"),
        ({"transitions": [_MOVED] * (KEPT + 1)}, "at most 20"),
        ({"transitions": [_MOVED | {"reason": "x" * 201}]}, "at most 200"),
        ({"transitions": [_MOVED | {"at": 10**15}]}, "less than"),
    ],
)
def test_what_a_role_says_of_health_is_bounded(change: dict[str, object], said: str) -> None:
    good: dict[str, object] = {"machine_id": 1, "health": "healthy", "transitions": [_MOVED]}
    ObservedHealth.model_validate(good)

    with pytest.raises(ValidationError, match=said):
        ObservedHealth.model_validate(good | change)
