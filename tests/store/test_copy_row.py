import pytest
from hypothesis import given

from tests.core.test_feed import puts
from wgctl.core.feed import Delete, Kind, Put
from wgctl.store.copy_row import columns, decoded, held


@given(puts)
def test_a_row_that_was_written_is_read_back(put: Put) -> None:
    row = columns(put)

    assert row.body is not None
    assert decoded(row.kind, row.body) == put.row
    assert (row.kind, row.id) == (put.kind, put.row.id)
    assert held(put) == row


def test_of_a_row_that_is_gone_only_its_place_is_held() -> None:
    assert held(Delete(Kind.PEER, 7)) == ("peer", 7, None, None, None, None)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("org", b"{}"), ("org", b"\xff"), ("org", "\udcff"), ("org", None), ("dragon", b"{}")],
    ids=repr,
)
def test_what_is_no_row_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises((TypeError, ValueError)):
        decoded(kind, body)
