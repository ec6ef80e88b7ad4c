import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import Invalid
from wgctl.cli.duration import parse_duration
from wgctl.core.schema import NewPeer

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("12h", 43200),
        ("30d", 2592000),
        ("2w", 1209600),
        ("1d12h", 129600),
        ("1w2d3h4m5s", 788645),
        ("007s", 7),
        ("36600d", 36600 * 86400),
    ],
)
def test_units_add_up(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "30", "d", "-1d", "1.5h", "30 d", "12h1d", "1d1d", "1D", "0s", "0w0d", "36601d"),
        *("\u0663d", "99999999999d", "1y", "1d\n"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="expected"):
        parse_duration(text)


@given(st.text("0123456789wdhms", max_size=12))
def test_what_is_accepted_the_api_takes_too(text: str) -> None:
    """Else a wrong time would be found only after the output file was made."""
    try:
        seconds = parse_duration(text)
    except Invalid:
        return

    NewPeer.model_validate({"name": "a", "public_key": KEY, "expires_in_s": seconds})
