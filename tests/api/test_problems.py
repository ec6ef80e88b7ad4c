from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import APIRouter
from structlog.testing import capture_logs

from peers.errors import InvalidName
from tests.api.asking import Door, refusal
from wgctl.api.door import build, needs
from wgctl.api.problems import STATUSES, HttpRefusal, problem
from wgctl.core.access import Asker, Scope
from wgctl.core.errors import REFUSALS
from wgctl.core.schema import NewOrg


@contextmanager
def _door(error: Exception) -> Iterator[Door]:
    """A route that raises `error`, and one that takes an org."""
    router = APIRouter()

    @router.get("/thing", dependencies=[needs(Scope.ORG_READ)])
    def thing() -> None:
        raise error

    @router.post("/thing", dependencies=[needs(Scope.ORG_WRITE)])
    def change(new: NewOrg) -> None:
        pass

    with Door(build(Asker.OPERATOR, [router]), fails=True) as door:
        yield door


@pytest.mark.parametrize(("kind", "codes"), REFUSALS.items())
def test_each_refusal_has_its_status_and_name(
    kind: type[Exception], codes: tuple[int, int, str]
) -> None:
    status, _exit_code, name = codes
    with _door(kind("what was found")) as door:
        response = door.get("/v1/thing")

    assert refusal(response, status, name) == "what was found"


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_what_http_alone_refuses_has_its_status_and_headers(name: str, status: int) -> None:
    with _door(HttpRefusal(name, "what was found", headers={"retry-after": "1"})) as door:
        response = door.get("/v1/thing")

    assert refusal(response, status, name) == "what was found"
    assert response.headers["retry-after"] == "1"


def test_no_name_stands_for_two_problems() -> None:
    assert not {codes.name for codes in REFUSALS.values()} & set(STATUSES)


def test_a_finer_refusal_is_its_kind() -> None:
    with _door(InvalidName("x")) as door:
        refusal(door.get("/v1/thing"), 400, "invalid")


def test_a_failure_inside_says_nothing_of_the_inside() -> None:
    with capture_logs() as logs, _door(ZeroDivisionError("secret")) as door:
        response = door.get("/v1/thing")

    assert "secret" not in refusal(response, 500, "internal")
    assert [(log["event"], log["method"], log["path"]) for log in logs] == [
        ("request failed", "GET", "/v1/thing")
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "Field required"),
        ("{}", "slug: Field required"),
        ("[]", "Input should be"),
        ('{"slug": 5}', "slug: Input should be a valid string"),
        ('{"slug": "Acme"}', "slug: name 'Acme': upper-case letters"),
        ('{"slug": "a", "colour": 1}', "colour: Extra inputs"),
        ('{"slug": "a", "\\u001b[2J\\n": 1}', r"\x1b[2J\n: Extra inputs"),
        ('{"slug": "\\ud800"}', "slug: "),
        ('{"slug": "a", "\\ud800": 1}', ""),
        ('{"slug": ', ": JSON decode error"),
        ("\x00", "0: JSON decode error"),
        ("[" * 200_000, "error parsing the body"),
        (b"\xff\xfe", ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_malformed_request_is_told_where_and_why(body: str | bytes, said: str) -> None:
    with _door(ValueError()) as door:
        response = door.send("/v1/thing", body, "application/json")

    assert said in refusal(response, 400, "invalid")


def test_a_body_that_says_it_is_no_json_is_malformed() -> None:
    with _door(ValueError()) as door:
        refusal(door.send("/v1/thing", '{"slug": "acme"}', "text/plain"), 400, "invalid")


def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    with _door(ValueError()) as door:
        response = door.put("/v1/thing", json={})

    detail = refusal(response, 405, "method-not-allowed")
    assert detail == "method 'PUT', expected GET, POST"
    assert response.headers["allow"] == "GET, POST"


def test_a_problem_is_a_document_of_its_own_media_type() -> None:
    response = problem(409, "conflict", "taken", headers={"x-y": "z"})

    assert response.body == (
        b'{"type":"conflict","title":"conflict","status":409,"detail":"taken"}'
    )
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-y"] == "z"
