from datetime import UTC, datetime, timedelta

import pytest

from wgctl.cli import wording
from wgctl.core.schema import Lease

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s ago"),
        (0, "0 s ago"),
        (12.9, "12 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86399, "23 h ago"),
        (86400, "1 d ago"),
        (90 * 86400, "90 d ago"),
    ],
)
def test_the_past_reads_in_its_largest_unit(seconds: float, text: str) -> None:
    assert wording.ago(NOW - timedelta(seconds=seconds), now=NOW) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30 * 86400, "in 30 d"), (1, "in 1 s"), (0, "0 s ago"), (-7200, "2 h ago")],
)
def test_an_expiry_is_ahead_or_over(seconds: float, text: str) -> None:
    assert wording.expiry(NOW + timedelta(seconds=seconds), now=NOW) == text


def test_what_never_was_has_a_mark_and_no_empty_cell() -> None:
    assert wording.ago(None, now=NOW) == wording.expiry(None, now=NOW) == wording.ABSENT


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3000 * 1024**4, "3000.0 TiB"),
    ],
)
def test_amounts_read_in_binary_units(count: int, text: str) -> None:
    assert wording.size(count) == text


def test_dates_are_rfc_3339_in_utc() -> None:
    assert wording.date(NOW) == "2026-11-23T12:00:00Z"


def test_yes_and_no() -> None:
    assert [wording.yes_no(value) for value in (True, False)] == ["yes", "no"]


@pytest.mark.parametrize(
    ("lease", "text"),
    [
        (None, "-"),
        (Lease(ttl_s=15, ends_at=None, healthy=None), "15s"),
        (Lease(ttl_s=15, ends_at=NOW + timedelta(seconds=9), healthy=True), "15s, ends in 9 s"),
        (
            Lease(ttl_s=90, ends_at=NOW - timedelta(seconds=61), healthy=False),
            "90s, ended 1 min ago, unhealthy",
        ),
    ],
)
def test_a_lease_reads_as_its_time_its_end_and_its_health(lease: Lease | None, text: str) -> None:
    assert wording.lease(lease, now=NOW) == text


@pytest.mark.parametrize(
    ("names", "told"), [(None, "all"), ([], "none"), (["lab", "staging"], "lab, staging")]
)
def test_networks_are_all_some_or_none(names: list[str] | None, told: str) -> None:
    assert wording.networks(names) == told
