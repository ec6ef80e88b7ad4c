import pytest

from tests.api.asking import Door, refusal
from wgctl.api.limits import MOST_BYTES

_JSON = "application/json"


def _org(length: int) -> str:
    """Return a body of `length` bytes that would add an org."""
    body = '{"slug": "initech"}'
    return body + " " * (length - len(body))


def test_the_longest_body_is_read(operators: Door) -> None:
    assert operators.send("/v1/orgs", _org(MOST_BYTES), _JSON).status_code == 201


def test_one_byte_more_is_too_large(operators: Door) -> None:
    detail = refusal(operators.send("/v1/orgs", _org(MOST_BYTES + 1), _JSON), 413, "too-large")

    assert "at most 1048576 bytes" in detail


def test_a_body_of_no_length_that_was_told_is_not_read(operators: Door) -> None:
    response = operators.send("/v1/orgs", _org(20), _JSON, transfer_encoding="chunked")

    refusal(response, 411, "length-required")


def test_a_length_counts_where_nothing_is_to_be_read(operators: Door) -> None:
    response = operators.request("GET", "/v1/orgs", headers={"content-length": str(2**40)})

    refusal(response, 413, "too-large")


@pytest.mark.parametrize(
    "body",
    ["[" * MOST_BYTES, '{"slug":' * 100_000, b'{"slug": "\xff\xfe"}', '{"slug": "a", "b": 1}'],
    ids=["deep list", "deep object", "no UTF-8", "unknown field"],
)
def test_what_is_short_enough_and_still_no_request_is_invalid(
    operators: Door, body: str | bytes
) -> None:
    refusal(operators.send("/v1/orgs", body, _JSON), 400, "invalid")
