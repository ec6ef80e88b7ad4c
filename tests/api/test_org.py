import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import add_peer
from wgctl.store.store import Store


def test_an_org_is_added_shown_listed_and_removed(operators: Door) -> None:
    added = operators.post("/v1/orgs", json={"slug": "third"})
    expected = {
        "slug": "third",
        "networks": 1,
        "peers": 0,
        "created_at": "2027-01-15T08:00:00Z",
    }

    assert (added.status_code, added.json()) == (201, expected)
    assert operators.get("/v1/orgs/third").json() == expected
    assert expected in operators.get("/v1/orgs").json()["items"]
    removed = operators.delete("/v1/orgs/third")
    assert (removed.status_code, removed.content) == (204, b"")
    refusal(operators.get("/v1/orgs/third"), 404, "not-found")


def test_a_taken_slug_is_a_conflict(operators: Door) -> None:
    response = operators.post("/v1/orgs", json={"slug": "acme"})

    assert "org 'acme' exists" in refusal(response, 409, "conflict")


@pytest.mark.parametrize("slug", ["internal", "Acme", "-a", "a" * 64, "a\n[Peer]", "../x", 5, None])
def test_a_slug_that_is_no_name_is_refused_and_makes_nothing(operators: Door, slug: object) -> None:
    before = operators.get("/v1/orgs").json()
    refusal(operators.post("/v1/orgs", json={"slug": slug}), 400, "invalid")

    assert operators.get("/v1/orgs").json() == before


@pytest.mark.parametrize("slug", ["none", "%00", "%1b%5b2J", "..", "a%0ab", "%ff"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_org_that_is_not_there_is_not_found(operators: Door, method: str, slug: str) -> None:
    refusal(operators.request(method, f"/v1/orgs/{slug}"), 404, "not-found")


def test_the_org_shows_how_much_it_owns(operators: Door, store: Store) -> None:
    add_peer(store, "acme", 1)
    shown = operators.get("/v1/orgs/acme").json()

    assert (shown["networks"], shown["peers"]) == (1, 1)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_orgs_hold_each_once(operators: Door, limit: int) -> None:
    for number in range(5):
        operators.post("/v1/orgs", json={"slug": f"o{number}"})
    walked: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        part = operators.get("/v1/orgs", params={"cursor": cursor, "limit": limit}).json()
        walked += [org["slug"] for org in part["items"]]
        cursor = part["next"]

    assert walked == ["acme", "globex", "o0", "o1", "o2", "o3", "o4"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", f"cursor={'a' * 128}"])
def test_a_page_that_cannot_be_is_refused(operators: Door, query: str) -> None:
    refusal(operators.get(f"/v1/orgs?{query}"), 400, "invalid")
