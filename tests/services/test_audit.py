import json

import pytest

from peers.names import Label
from tests.services.minting import bearer
from tests.store.samples import NOW
from wgctl.core.audit import verify
from wgctl.core.errors import NotFound
from wgctl.services import audit, network
from wgctl.store.store import Store


def test_a_trail_is_read_by_who_is_of_the_org(store: Store) -> None:
    caller = bearer(store, "acme")
    network.add(store.seen_by(caller), "acme", Label("lab"), now=NOW)
    audit.note_denial(store, caller, "DELETE /v1/orgs/acme", now=NOW)
    records = audit.listed(store.seen_by(caller), "acme", after=0, limit=100)

    assert verify(records).place == len(records)
    assert [json.loads(record.body)["outcome"] for record in records[-2:]] == ["allowed", "denied"]
    with pytest.raises(NotFound):
        audit.listed(store.seen_by(caller), "globex", after=0, limit=100)
