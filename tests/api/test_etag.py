from collections.abc import Callable

import pytest

from tests.api.asking import Door, refusal
from tests.store.samples import NOW, add_peer, key
from wgctl.api.context import Context
from wgctl.api.etag import tag_of
from wgctl.core.model import Observation, Role
from wgctl.core.schema import NewOrg
from wgctl.services.observe import RoleFacts
from wgctl.store.store import Store

_APP = "/v1/orgs/acme/apps/web"
_MACHINE = "/v1/orgs/acme/machines/one"
_PEER = "/v1/orgs/acme/peers/peer-1"


@pytest.fixture(autouse=True)
def furnished(operators: Door, store: Store) -> None:
    """The app `web`, the machine `one` and the peer `peer-1` of `acme`."""
    add_peer(store, "acme", 1)
    operators.post("/v1/orgs/acme/apps", json={"name": "web"})
    one = {"app": "web", "peer": "peer-1", "name": "one"}
    operators.post("/v1/orgs/acme/machines", json=one)


_Change = tuple[str, str, Callable[[int], object]]

_CHANGES: list[_Change] = [
    (_APP, "", lambda turn: {"flycast": turn % 2 == 0}),
    (_MACHINE, "", lambda turn: {"state": ("stopped", "started")[turn % 2]}),
    (_MACHINE, "/check", lambda turn: {"target": f"tcp:{80 + turn}"}),
    (_PEER, "/key", lambda turn: {"public_key": str(key(100 + turn))}),
]


@pytest.mark.parametrize(("thing", "part", "body"), _CHANGES)
def test_a_change_is_made_once_of_what_was_seen(
    operators: Door, thing: str, part: str, body: Callable[[int], object]
) -> None:
    method = "PUT" if part else "PATCH"
    seen = operators.get(thing).headers["etag"]
    first = operators.request(method, thing + part, json=body(0), headers={"if-match": seen})
    second = operators.request(method, thing + part, json=body(1), headers={"if-match": seen})

    assert first.status_code == 200
    assert seen in refusal(second, 412, "changed")
    assert first.headers["etag"] != seen
    assert operators.get(thing).headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "thing",
    [_APP, _MACHINE, _PEER, "/v1/orgs/acme/networks/default", "/v1/orgs/acme"],
)
def test_what_has_changed_meanwhile_is_not_removed(operators: Door, thing: str) -> None:
    refused = operators.request("DELETE", thing, headers={"if-match": '"0123"'})

    refusal(refused, 412, "changed")
    assert operators.get(thing).status_code == 200


def test_what_has_not_changed_is_removed(operators: Door) -> None:
    for thing in (_MACHINE, _APP, _PEER, "/v1/orgs/acme/networks/default", "/v1/orgs/acme"):
        seen = operators.get(thing).headers["etag"]
        removed = operators.request("DELETE", thing, headers={"if-match": seen})

        assert removed.status_code == 204, thing


def test_what_is_only_observed_is_no_change(operators: Door, context: Context) -> None:
    """A change would else fail for as long as the peer is heard."""
    before = operators.get(_PEER)
    gateway = RoleFacts(Role.GATEWAY, 1, NOW, reported_at=NOW)
    heard = Observation(1, "198.51.100.20:4000", NOW, received_bytes=5, sent_bytes=6)
    context.observations.note(gateway, [heard], [])
    after = operators.get(_PEER)

    assert (before.json()["online"], after.json()["online"]) == (False, True)
    assert before.headers["etag"] == after.headers["etag"]


def test_a_star_is_whatever_is_there(operators: Door) -> None:
    changed = operators.request("PATCH", _APP, json={"flycast": True}, headers={"if-match": "*"})

    assert changed.status_code == 200


def test_one_of_several_tags_is_enough(operators: Door) -> None:
    seen = operators.get(_APP).headers["etag"]
    tags = f'"x" , {seen},"y"'

    assert operators.request("DELETE", _APP, headers={"if-match": tags}).status_code == 204


@pytest.mark.parametrize("written", ["W/{}", "{}x", "", "x, *"])
def test_what_is_no_strong_tag_fits_nothing(operators: Door, written: str) -> None:
    tag = written.format(operators.get(_APP).headers["etag"])
    response = operators.request("DELETE", _APP, headers={"if-match": tag})

    refusal(response, 412, "changed")


def test_a_tag_is_of_what_a_thing_says() -> None:
    acme, globex = (tag_of(NewOrg(slug=slug)) for slug in ("acme", "globex"))

    assert acme != globex
    assert acme == tag_of(NewOrg(slug="acme"))
    assert acme[0] == acme[-1] == '"'
