import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import InvalidConfig
from peers.formats.ini import parsed, written

words = st.from_regex(r"[A-Za-z][A-Za-z0-9.-]{0,8}", fullmatch=True)
values = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)


def test_sections_are_parted_by_an_empty_line_and_have_what_is_set() -> None:
    sections = [("One", (("Key", "value"), ("None", None), ("Zero", 0))), ("Two", ())]

    assert written(sections) == "[One]\nKey=value\nZero=0\n\n[Two]\n"


@given(st.lists(st.tuples(words, st.dictionaries(words, values))))
def test_what_is_written_is_read_back(sections: list[tuple[str, dict[str, str]]]) -> None:
    assert parsed(written((name, keys.items()) for name, keys in sections)) == sections


def test_comments_spaces_and_empty_lines_say_nothing() -> None:
    text = "\ufeff# one\n\n[A]\n; two\n  key =  va lue \nkey=last\n[A]\n"

    assert parsed(text) == [("A", {"key": "last"}), ("A", {})]


@pytest.mark.parametrize("text", ["secret=1", "[A]\nsecret", "[A\nsecret=1", "\n\nsecret"])
def test_another_line_is_refused_by_its_number_alone(text: str) -> None:
    with pytest.raises(InvalidConfig, match=r"^line \d: expected") as refusal:
        parsed(text)

    assert "secret" not in str(refusal.value)
