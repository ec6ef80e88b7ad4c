import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.names import Label
from tests.core.test_feed import puts
from wgctl.core.access import CONTROLLER, Asker, Caller, Scope
from wgctl.core.audit import NO_HEAD, Head, Made, Record, describe, link, verify
from wgctl.core.errors import Invalid
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Org

NOW = 1_800_000_000


def _chain(count: int) -> list[Record]:
    records, head = [], NO_HEAD
    for number in range(count):
        record = link(head, at=NOW + number, body=f'{{"number":{number}}}')
        records.append(record)
        head = Head(record.place, record.hash)
    return records


def test_a_chain_is_as_it_was_written() -> None:
    records = _chain(5)

    assert verify(records) == Head(5, records[-1].hash)
    assert verify([]) == NO_HEAD
    assert [record.place for record in records] == [1, 2, 3, 4, 5]


@given(
    st.integers(0, 4),
    st.sampled_from(
        [{"at": 0}, {"body": "{}"}, {"place": 9}, {"previous": bytes(32)}, {"hash": bytes(32)}]
    ),
)
def test_a_record_that_was_changed_is_found(place: int, change: dict[str, object]) -> None:
    records = _chain(5)
    changed = replace(records[place], **change)  # type: ignore[arg-type]  # fields of a record
    if changed != records[place]:
        with pytest.raises(Invalid, match="does not follow"):
            verify([*records[:place], changed, *records[place + 1 :]])


@given(st.integers(0, 3))
def test_a_record_that_was_taken_out_or_put_in_is_found(place: int) -> None:
    records = _chain(5)
    forged = link(NO_HEAD, at=NOW, body='{"number":7}')

    for broken in (
        records[:place] + records[place + 1 :],
        [*records[:place], forged, *records[place:]],
        [*records[:place], records[place + 1], records[place], *records[place + 2 :]],
    ):
        with pytest.raises(Invalid, match="does not follow"):
            verify(broken)


def test_an_end_that_was_cut_off_is_found_by_a_head_that_was_noted() -> None:
    records = _chain(5)
    noted = Head(4, records[3].hash)

    assert verify(records, noted=noted).place == 5
    assert verify(records[:3]).place == 3
    with pytest.raises(Invalid, match="ends at 3:"):
        verify(records[:3], noted=noted)


def test_a_head_is_read_back() -> None:
    head = Head(12, bytes(range(32)))

    assert Head.parse(str(head)) == head
    for text in ("", "12", "x:00", "12:zz"):
        with pytest.raises(Invalid, match="expected PLACE:HASH"):
            Head.parse(text)


def test_a_body_says_who_from_where_did_what() -> None:
    caller = replace(Caller(Asker.OPERATOR, "uid 0"), doing=Scope.ORG_WRITE)
    org = Org(1, Label("acme"), NOW)
    told = json.loads(describe(caller, allowed=True, changes=[Made(Kind.ORG, None, org)]))

    assert told == {
        "who": "operator",
        "as": "operator",
        "from": "uid 0",
        "token": None,
        "did": "org:write",
        "outcome": "allowed",
        "changes": [
            {
                "kind": "org",
                "before": None,
                "after": {"id": 1, "slug": "acme", "created_at": NOW},
            }
        ],
    }


@given(puts)
def test_every_row_can_be_told_and_no_sealed_key_is(put: Put) -> None:
    for made in (Made(put.kind, None, put.row), Made(put.kind, put.row, None)):
        body = describe(CONTROLLER, allowed=True, changes=[made])

        assert "sealed" not in body
        assert body.isascii()
        assert json.loads(body)["changes"][0]["kind"] == put.kind
