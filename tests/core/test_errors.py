import pytest

from peers.errors import InvalidName
from wgctl.core import errors
from wgctl.core.errors import REFUSALS, Invalid, Refusal, Unidentified


def test_every_kind_of_refusal_has_its_codes() -> None:
    kinds: set[type[Exception]] = {Invalid, *Refusal.__subclasses__()}

    assert set(REFUSALS) == kinds
    assert {kind.__name__ for kind in kinds} <= set(errors.__all__)


@pytest.mark.parametrize(
    ("name", "status", "exit_code"),
    [
        ("invalid", 400, 2),
        ("unidentified", 401, 3),
        ("denied", 403, 3),
        ("not-found", 404, 4),
        ("conflict", 409, 5),
        ("exhausted", 409, 6),
        ("unavailable", 503, 7),
    ],
)
def test_the_codes_are_those_that_are_documented(name: str, status: int, exit_code: int) -> None:
    (codes,) = (codes for codes in REFUSALS.values() if codes.name == name)

    assert (codes.status, codes.exit_code) == (status, exit_code)


def test_an_exit_code_tells_the_kind() -> None:
    """Of who is unknown and who may not, a script needs no more than the message."""
    codes = [codes.exit_code for kind, codes in REFUSALS.items() if kind is not Unidentified]

    assert len(set(codes)) == len(codes)
    assert not {0, 1} & set(codes)


def test_no_refusal_is_another_kind_too() -> None:
    """The first row that fits decides, so two must never fit."""
    for kind in (*REFUSALS, InvalidName):
        assert sum(issubclass(kind, known) for known in REFUSALS) == 1
