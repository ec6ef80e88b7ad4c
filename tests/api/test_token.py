import pytest

from tests.api.asking import Door, refusal, walked

_TOKENS = "/v1/orgs/acme/tokens"


def test_a_token_is_shown_once_and_then_without_its_text(operators: Door) -> None:
    made = operators.post(_TOKENS, json={"name": "ci", "kind": "read-only"})
    shown = made.json()
    text = shown.pop("token")

    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert text.startswith("wgctl_")
    assert shown["expires_at"] == "2027-02-14T08:00:00Z"
    assert operators.get(f"{_TOKENS}/ci").json() == shown
    listed = operators.get(_TOKENS)
    assert listed.json()["items"] == [shown]
    assert text not in listed.text


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_parts_of_a_list_hold_every_token_once(operators: Door, limit: int) -> None:
    for name in ("b", "c", "a"):
        operators.post(_TOKENS, json={"name": name})

    assert [one["name"] for one in walked(operators, _TOKENS, limit=limit)] == ["a", "b", "c"]


def test_a_revoked_token_is_gone(operators: Door) -> None:
    operators.post(_TOKENS, json={"name": "ci"})

    assert operators.delete(f"{_TOKENS}/ci").status_code == 204
    refusal(operators.delete(f"{_TOKENS}/ci"), 404, "not-found")
    assert operators.get(_TOKENS).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "root"}, "kind"),
        ({"expires_in_s": 0}, "expires_in_s"),
        ({"expires_in_s": 367 * 86_400}, "expires_in_s"),
        ({"expires_in_s": "1d"}, "expires_in_s"),
        ({"uses": 0, "kind": "enrol"}, "uses"),
        ({"secret": "x"}, "secret"),
        ({"tags": ["ci"]}, "given by kind enrol alone"),
        ({"tags": ["C I"], "kind": "enrol"}, "tags.0"),
        ({"kind": "peer"}, "expected the peer that it is for"),
        ({"kind": "network", "networks": []}, "expected the networks"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    operators: Door, change: dict[str, object], field: str
) -> None:
    response = operators.post(_TOKENS, json={"name": "ci"} | change)

    assert field in refusal(response, 400, "invalid")
    assert operators.get(_TOKENS).json()["items"] == []
