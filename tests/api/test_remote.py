import pytest

from tests.api.asking import Door, refusal
from tests.services.minting import mint
from wgctl.api.context import Context
from wgctl.api.limits import MOST_BYTES
from wgctl.api.remote import remote_app
from wgctl.store.store import Store


@pytest.fixture
def token(store: Store) -> dict[str, str]:
    return {"authorization": f"Bearer {mint(store, 'acme', 'laptop').render()}"}


def _door(context: Context) -> Door:
    return Door(remote_app(context, clock=lambda: 0.0))


def test_who_has_a_token_sees_their_org_and_no_other(
    context: Context, token: dict[str, str]
) -> None:
    with _door(context) as door:
        listed = door.request("GET", "/v1/orgs", headers=token)
        other = door.request("GET", "/v1/orgs/globex", headers=token)

    assert [org["slug"] for org in listed.json()["items"]] == ["acme"]
    refusal(other, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/orgs"), ("GET", "/v1/nothing"), ("POST", "/v1/orgs")]
)
@pytest.mark.parametrize("body", [None, "[" * 100_000])
def test_nobody_is_told_what_there_is_and_nothing_of_theirs_is_read(
    context: Context, method: str, path: str, body: str | None
) -> None:
    with _door(context) as door:
        if body is None:
            response = door.request(method, path)
        else:
            response = door.send(path, body, "application/json")

    refusal(response, 401, "unidentified")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("uid", [0, None])
def test_nobody_is_an_operator_for_where_they_come_from(context: Context, uid: int | None) -> None:
    with Door(remote_app(context, clock=lambda: 0.0), uid=uid) as door:
        for headers in ({}, {"x-forwarded-for": "127.0.0.1"}, {"host": "localhost"}):
            response = door.request("GET", "/v1/orgs", headers=headers)
            refusal(response, 401, "unidentified")


@pytest.mark.parametrize("path", ["/v1/status", "/v1/store"])
def test_what_is_the_whole_deployments_is_not_a_tokens(
    context: Context, token: dict[str, str], path: str
) -> None:
    with _door(context) as door:
        refusal(door.request("GET", path, headers=token), 403, "denied")


def test_everybody_who_is_known_may_read_the_document(
    context: Context, token: dict[str, str]
) -> None:
    with _door(context) as door:
        assert door.request("GET", "/v1/openapi.json", headers=token).status_code == 200


def test_the_limits_hold_before_anybody_is_known(context: Context) -> None:
    with _door(context) as door:
        long = door.send("/v1/orgs", "x" * (MOST_BYTES + 1), "application/json")
        tried = [door.get("/v1/orgs").status_code for _ in range(45)]

    refusal(long, 413, "too-large")
    assert set(tried) == {401, 429}
