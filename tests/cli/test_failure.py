import json

import click
import pytest

from peers.errors import InvalidKey
from wgctl.cli.failure import Failure, failure_of, report
from wgctl.core.errors import (
    Conflict,
    Denied,
    Exhausted,
    Invalid,
    NotFound,
    Refusal,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        (Invalid("x"), "invalid", 2),
        (InvalidKey("x"), "invalid", 2),
        (click.UsageError("x"), "invalid", 2),
        (Denied("x"), "denied", 3),
        (NotFound("x"), "not-found", 4),
        (Conflict("x"), "conflict", 5),
        (Exhausted("x"), "exhausted", 6),
        (Unavailable("x"), "unavailable", 7),
        (Refusal("x"), "failed", 1),
        (click.ClickException("x"), "failed", 1),
    ],
)
def test_each_kind_has_its_exit_code(error: Exception, kind: str, exit_code: int) -> None:
    assert failure_of(error) == Failure(kind, "x", exit_code)


def test_an_interrupt_is_130() -> None:
    assert failure_of(click.Abort()).exit_code == 130


def test_a_system_error_names_the_file() -> None:
    told = failure_of(PermissionError(13, "Permission denied", "/etc/a"))

    assert told == Failure("failed", "/etc/a: Permission denied", 1)


def test_what_nobody_expected_is_one_line_and_the_way_to_more() -> None:
    told = failure_of(ZeroDivisionError("division by zero"))

    assert told.exit_code == 1
    assert told.detail == (
        "unexpected ZeroDivisionError: division by zero: WGCTL_DEBUG=1 shows where"
    )


def test_people_get_a_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    report(Failure("invalid", "name '\x1b[31m'", 2), as_json=False)

    assert capsys.readouterr() == ("", "wgctl: name '\\x1b[31m'\n")


def test_programs_get_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    report(Failure("conflict", "org 'a'\nexists", 5), as_json=True)

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert json.loads(err) == {"error": {"type": "conflict", "detail": "org 'a'\nexists"}}
