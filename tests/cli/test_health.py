from datetime import UTC, datetime

import pytest

from wgctl.cli.health import new_check, print_events, written
from wgctl.core.check import Target
from wgctl.core.errors import Invalid
from wgctl.core.health import Health
from wgctl.core.health_shape import Check, HealthEvent

_DEFAULTS = {"interval": 10, "timeout": None, "grace": 30, "rise": 2, "fall": 3}


def _check(**given: object) -> Check | None:
    nothing = {"tcp": None, "http": None, "off": False}
    return new_check(**(nothing | _DEFAULTS | given))  # type: ignore[arg-type]  # a table


def test_the_options_alone_say_what_the_shape_says_alone() -> None:
    assert _check(tcp=5432) == Check(target=Target(5432))
    assert _check(http="http://web.internal/") == Check(target=Target.parse("http://web.internal/"))
    assert _check(off=True) is None


@pytest.mark.parametrize(("interval", "timeout"), [(1, 1), (2, 2), (60, 2)])
def test_a_timeout_that_is_not_named_fits_the_interval(interval: int, timeout: int) -> None:
    found = _check(tcp=80, interval=interval)

    assert found is not None
    assert found.timeout_s == timeout


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tcp": 80, "http": "http://web.internal/"},
        {"tcp": 80, "off": True},
        {"http": "http://web.internal/", "off": True},
    ],
)
def test_one_of_three_is_asked_for(given: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="expected one of --tcp PORT, --http URL and --off"):
        _check(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"http": "https://web.internal/"}, "https, expected http"),
        ({"interval": 7200}, "--interval: Input should be less than or equal to 3600"),
        ({"timeout": 20}, "a timeout of 20 s, expected at most the interval, 10 s"),
        ({"rise": 0}, "--rise: Input should be greater than or equal to 1"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_the_options_name(
    given: dict[str, object], said: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        _check(**({"tcp": None if "http" in given else 80} | given))

    assert said in str(refusal.value)


def test_a_check_reads_as_one_cell() -> None:
    assert written(None) == "-"
    assert written(Check(target=Target(80))) == (
        "tcp:80 every 10s, timeout 2s, grace 30s, rise 2, fall 3"
    )


def test_events_are_printed_the_last_first_and_steer_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_events([])
    assert capsys.readouterr().out == ""

    at = datetime(2027, 1, 15, 8, tzinfo=UTC)
    print_events(
        [
            HealthEvent(at=at, before=Health.UNKNOWN, after=Health.HEALTHY, reason="first"),
            HealthEvent(at=at, before=Health.HEALTHY, after=Health.UNHEALTHY, reason="\x1b[2J"),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        "",
        "AT                    FROM     TO         REASON",
        "2027-01-15T08:00:00Z  healthy  unhealthy  \\x1b[2J",
        "2027-01-15T08:00:00Z  unknown  healthy    first",
    ]
