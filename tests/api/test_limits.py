import pytest
from fastapi import APIRouter, Request

from tests.api.asking import Door, refusal
from tests.services.minting import mint
from wgctl.api.context import Context
from wgctl.api.door import build, needs
from wgctl.api.limits import MOST_BYTES, Paced
from wgctl.api.remote import remote_app
from wgctl.core.access import Asker, Caller, Narrowing, Scope
from wgctl.core.bearer import Bearer
from wgctl.core.errors import Unidentified
from wgctl.store.store import Store

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


def _paced(times: list[float]) -> Door:
    """Return a route for those who send a token, whatever it is, asked at these times."""
    router = APIRouter()

    @router.get("/thing", dependencies=[needs(Scope.ORG_READ)])
    def thing() -> str:
        return "done"

    async def identify(request: Request) -> Caller:
        if "authorization" not in request.headers:
            raise Unidentified("no token")
        return Caller(Asker.OPERATOR, origin="")

    app = build(Asker.OPERATOR, [router], identified=identify)
    app.add_middleware(Paced, clock=lambda: times[-1])
    return Door(app)


def _ask(door: Door, times: int, headers: dict[str, str]) -> list[int]:
    return [door.request("GET", "/v1/thing", headers=headers).status_code for _ in range(times)]


def test_tokens_cannot_be_tried_quickly() -> None:
    times = [0.0]
    with _paced(times) as door:
        tried = _ask(door, 42, {})
        refused = door.get("/v1/thing")
        times.append(1.0)
        later = _ask(door, 12, {})

    assert tried == [401] * 39 + [429] * 3
    assert refused.headers["retry-after"] == "1"
    refusal(refused, 429, "too-many-requests")
    assert later == [401] * 10 + [429] * 2


def test_who_is_known_asks_hundreds_of_times() -> None:
    with _paced([0.0]) as door:
        assert set(_ask(door, 400, {"authorization": "Bearer x"})) == {200}


def test_whoever_else_it_says_it_is_for_it_is_one_source() -> None:
    with _paced([0.0]) as door:
        tried = {
            status
            for number in range(50)
            for status in _ask(door, 1, {"x-forwarded-for": f"192.0.2.{number}"})
        }

    assert tried == {401, 429}


def test_a_token_asks_so_often_and_what_is_made_of_it_with_it(
    store: Store, context: Context
) -> None:
    """One that loops keeps nobody else waiting, and making it narrower is no way round."""
    first, other = mint(store, "acme", "first"), mint(store, "acme", "other")
    narrow = first.narrowed(Narrowing(read_only=True))
    times = [0.0]

    def ask(times: int, token: Bearer) -> list[int]:
        headers = {"authorization": f"Bearer {token.render()}"}
        path = "/v1/orgs/acme"
        return [door.request("GET", path, headers=headers).status_code for _ in range(times)]

    with Door(remote_app(context, requests_per_s=2, clock=lambda: times[-1])) as door:
        at_once = ask(6, first) + ask(4, narrow)
        headers = {"authorization": f"Bearer {narrow.render()}"}
        refused = door.request("GET", "/v1/orgs/acme", headers=headers)
        unhindered = ask(8, other)
        times.append(1.0)
        later = ask(3, narrow)

    assert at_once == [200] * 8 + [429] * 2
    assert "token 'first'" in refusal(refused, 429, "too-many-requests")
    assert refused.headers["retry-after"] == "1"
    assert unhindered == [200] * 8
    assert later == [200, 200, 429]
