import pytest

from tests.api.asking import Door, refusal, walked
from tests.store.samples import key
from wgctl.store.store import Store

_MEMBERS = "/v1/orgs/acme/members"


def test_a_member_is_added_changed_shown_and_listed(operators: Door) -> None:
    added = operators.post(_MEMBERS, json={"name": "alice"})
    expected = {
        "name": "alice",
        "org": "acme",
        "role": "member",
        "networks": None,
        "peers": 0,
        "tokens": 0,
        "created_at": "2027-01-15T08:00:00Z",
    }

    assert (added.status_code, added.json()) == (201, expected)
    changed = operators.patch(f"{_MEMBERS}/alice", json={"networks": ["default"]})
    assert changed.json() == expected | {"networks": ["default"]}
    changed = operators.patch(f"{_MEMBERS}/alice", json={"role": "viewer"})
    assert changed.json() == expected | {"networks": ["default"], "role": "viewer"}
    changed = operators.patch(f"{_MEMBERS}/alice", json={"networks": None})
    assert changed.json() == expected | {"role": "viewer"}
    assert operators.get(f"{_MEMBERS}/alice").json() == changed.json()
    assert operators.get(_MEMBERS).json()["items"] == [changed.json()]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_parts_of_a_list_hold_every_member_once(operators: Door, limit: int) -> None:
    for name in ("b", "c", "a"):
        operators.post(_MEMBERS, json={"name": name})

    assert [one["name"] for one in walked(operators, _MEMBERS, limit=limit)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"org": "globex"}, "org"),
        ({"created_at": 0}, "created_at"),
        ({"role": "owner"}, "role"),
        ({"networks": "default"}, "networks"),
    ],
)
def test_what_is_not_to_be_changed_is_refused_and_not_passed_over(
    operators: Door, change: dict[str, object], field: str
) -> None:
    operators.post(_MEMBERS, json={"name": "alice"})
    response = operators.patch(f"{_MEMBERS}/alice", json=change)

    assert field in refusal(response, 400, "invalid")


def test_whoever_goes_is_told_of_before_and_after(operators: Door, store: Store) -> None:
    operators.post(_MEMBERS, json={"name": "alice"})
    operators.post(
        "/v1/orgs/acme/peers",
        json={"name": "laptop", "public_key": str(key(1)), "owner": "alice"},
    )
    operators.post("/v1/orgs/acme/tokens", json={"name": "cli", "owner": "alice"})
    tried = operators.request("DELETE", f"{_MEMBERS}/alice", params={"dry_run": "true"}).json()

    assert [peer["name"] for peer in tried["peers"]] == ["laptop"]
    assert tried["tokens"] == ["cli"]
    assert operators.get(f"{_MEMBERS}/alice").json()["peers"] == 1
    done = operators.delete(f"{_MEMBERS}/alice").json()
    assert done == tried | {"dry_run": False}
    refusal(operators.get(f"{_MEMBERS}/alice"), 404, "not-found")
    refusal(operators.get("/v1/orgs/acme/peers/laptop"), 404, "not-found")


def test_the_last_admin_is_in_use(operators: Door) -> None:
    operators.post(_MEMBERS, json={"name": "alice", "role": "admin"})

    assert "last admin" in refusal(operators.delete(f"{_MEMBERS}/alice"), 409, "conflict")
    response = operators.patch(f"{_MEMBERS}/alice", json={"role": "member"})
    assert "last admin" in refusal(response, 409, "conflict")


def test_an_operator_is_told_that_they_are_one(operators: Door) -> None:
    told = operators.get("/v1/caller").json()

    assert (told["caller"], told["org"], told["token"]) == ("operator", None, None)
    assert told["scopes"]["org:write"] == "all"
    assert "feed:read" not in told["scopes"]
