import json

import pytest
from fastapi import APIRouter, FastAPI, Request

from tests.api.asking import Door, context_of, refusal
from tests.services.minting import mint
from tests.store.samples import NOW, engine
from wgctl.api.audit import note_denials
from wgctl.api.caller import by_token
from wgctl.api.door import build, needs
from wgctl.core.access import Asker, Caller, Scope
from wgctl.core.model import TokenKind
from wgctl.services import audit
from wgctl.store.store import Store

router = APIRouter()


@router.post("/thing", dependencies=[needs(Scope.NETWORK_WRITE)])
def thing() -> None:
    """Do what a reader may not."""


def _app(store: Store) -> FastAPI:
    async def identify(request: Request) -> Caller:
        return await by_token(store, lambda: NOW)(request)

    made = build(Asker.BEARER, [router], identified=identify, context=context_of(store))
    note_denials(made)
    return made


def test_a_trail_comes_in_parts_from_its_first_record_on(operators: Door) -> None:
    operators.post("/v1/orgs/acme/networks", json={"name": "lab"})
    first = operators.get("/v1/orgs/acme/audit", params={"limit": 1}).json()
    rest = operators.get("/v1/orgs/acme/audit", params={"cursor": first["next"]}).json()

    assert first["items"][0]["place"] == 1
    assert json.loads(rest["items"][-1]["body"])["did"] == "network:write"
    assert json.loads(rest["items"][-1]["body"])["from"] == "uid 0"
    assert operators.get("/v1/audit").json()["items"]
    for cursor in ("x", "-1", "9" * 30, "\u0663"):
        response = operators.get("/v1/orgs/acme/audit", params={"cursor": cursor})
        assert "cursor" in refusal(response, 400, "invalid")


def test_who_is_denied_is_noted_and_who_is_unknown_is_not(store: Store) -> None:
    text = mint(store, "acme", "eyes", kind=TokenKind.READ_ONLY).render()
    before = len(audit.listed(store, "acme", after=0, limit=1_000))
    with Door(_app(store)) as door:
        headers = {"authorization": f"Bearer {text}"}
        refusal(door.request("POST", "/v1/thing", headers=headers), 403, "denied")
        refusal(door.request("POST", "/v1/thing"), 401, "unidentified")
    (record,) = audit.listed(store, "acme", after=before, limit=1_000)
    told = json.loads(record.body)

    assert (told["outcome"], told["request"]) == ("denied", "POST /v1/thing")
    assert (told["token"], told["from"]) == ("eyes", "127.0.0.1")
    assert text not in record.body


def test_who_is_denied_where_that_cannot_be_noted_is_told_that(store: Store) -> None:
    text = mint(store, "acme", "eyes", kind=TokenKind.READ_ONLY).render()
    with engine(store.path).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO away")
    with Door(_app(store)) as door:
        response = door.request("POST", "/v1/thing", headers={"authorization": f"Bearer {text}"})

    assert "cannot be used: no such table" in refusal(response, 503, "unavailable")


@pytest.mark.parametrize("tries", [40])
def test_who_tries_all_day_does_not_fill_the_disk(store: Store, tries: int) -> None:
    text = mint(store, "acme", "eyes", kind=TokenKind.READ_ONLY).render()
    before = len(audit.listed(store, "acme", after=0, limit=1_000))
    with Door(_app(store)) as door:
        headers = {"authorization": f"Bearer {text}"}
        for _ in range(tries):
            refusal(door.request("POST", "/v1/thing", headers=headers), 403, "denied")
    noted = audit.listed(store, "acme", after=before, limit=1_000)

    assert 20 <= len(noted) < tries
