import pytest

from peers import errors
from peers.errors import Invalid, shown


def test_every_refusal_is_an_invalid_and_a_value_error() -> None:
    refusals = [getattr(errors, name) for name in errors.__all__ if name != "shown"]

    assert all(issubclass(refusal, Invalid) for refusal in refusals)
    assert issubclass(Invalid, ValueError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web", "'web'"),
        ("a\n[Peer]", r"'a\n[Peer]'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("w\u0435b", r"'w\u0435b'"),
        ("\u2028\ud800", r"'\u2028\ud800'"),
        ("x" * 80, f"'{'x' * 80}'"),
        ("x" * 81, f"'{'x' * 80}'..."),
    ],
)
def test_foreign_text_is_shown_as_ascii_and_cut(text: str, expected: str) -> None:
    assert shown(text) == expected
