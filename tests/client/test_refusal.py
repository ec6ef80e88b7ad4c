import pytest

from wgctl.client.refusal import refusal_in
from wgctl.core.errors import REFUSALS, Refusal
from wgctl.core.schema import Problem


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_of_the_kind_that_it_was(kind: type[Exception]) -> None:
    codes = REFUSALS[kind]
    document = Problem(type=codes.name, title=codes.name, status=codes.status, detail="so it is")
    found = refusal_in(document.model_dump_json().encode())

    assert (type(found), str(found)) == (kind, "so it is")


def test_a_problem_of_an_unknown_kind_is_a_refusal_and_anything_else_is_none() -> None:
    unknown = b'{"type": "teapot", "title": "t", "status": 418, "detail": "short and stout"}'

    assert type(refusal_in(unknown)) is Refusal
    assert refusal_in(b"<html>") is None
