import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.api.pages import page, page_after, parse_cursor, parse_names
from wgctl.core.errors import Invalid
from wgctl.services.listing import START


@given(st.lists(st.integers(), unique=True), st.integers(1, 9))
def test_pages_hold_every_item_once(items: list[int], limit: int) -> None:
    walked: list[int] = []
    start = 0
    while True:
        part = page(items[start : start + limit + 1], limit=limit, shape=int, cursor=str)
        walked += part.items
        if part.next is None:
            break

        assert part.next == str(part.items[-1])
        assert len(part.items) == limit
        start += limit

    assert walked == items


@given(st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True), st.integers(1, 10**18 - 1))
def test_a_cursor_is_read_back(name: str, number: int) -> None:
    assert parse_cursor(f"{name}.{number}") == (name, number)


def test_no_cursor_is_the_start() -> None:
    assert parse_cursor("") == ("", 0)
    assert parse_names("") == START


def test_a_cursor_of_two_names_is_read_back() -> None:
    assert parse_names("lab.web-1") == ("lab", "web-1")
    assert parse_names("lab") == ("lab", "")


@pytest.mark.parametrize(
    "text", ["x", "x.", "x.-1", "x.1 ", "x.\u0661", "x.9999999999999999999", "\0"]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="expected the `next`"):
        parse_cursor(text)


@given(st.text())
def test_a_cursor_that_is_read_fits_into_the_store(text: str) -> None:
    try:
        _name, number = parse_cursor(text)
    except Invalid:
        return

    assert 0 <= number < 2**63


@given(
    st.lists(st.tuples(*[st.from_regex(r"[a-z0-9-]{1,4}", fullmatch=True)] * 2), unique=True),
    st.integers(1, 9),
)
def test_a_whole_list_in_parts_holds_every_item_once(
    names: list[tuple[str, str]], limit: int
) -> None:
    names.sort()
    walked: list[tuple[str, ...]] = []
    start: str | None = ""
    while start is not None:
        part = page_after(start, names, limit=limit, shape=tuple, cursor=tuple)
        assert len(part.items) <= limit
        walked += part.items
        start = part.next

    assert walked == names


def test_what_was_removed_since_is_a_place_all_the_same() -> None:
    part = page_after("b", [("a",), ("c",)], limit=9, shape=tuple, cursor=tuple)

    assert (part.items, part.next) == ([("c",)], None)
