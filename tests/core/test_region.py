"""Where regions are, and how far."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.names import Label, parse_label
from wgctl.core.region import NOWHERE, Vantage, coordinates, great_circle_km

POINTS = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ("ams", "fra", 366),
        ("ams", "lhr", 371),
        ("iad", "ams", 6210),
        ("lhr", "jfk", 5540),
        ("syd", "akl", 2160),
        ("nrt", "sfo", 8220),
        ("gru", "jnb", 7430),
        ("sin", "syd", 6300),
        ("eze", "scl", 1140),
    ],
)
def test_the_way_between_airports_is_that_of_aviation_s_tables(
    one: str, other: str, km: int
) -> None:
    found = great_circle_km(coordinates()[one], coordinates()[other])

    assert found == pytest.approx(km, rel=0.02, abs=15)


@given(POINTS, POINTS)
def test_a_way_is_as_long_back_and_never_longer_than_half_round_the_earth(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    way = great_circle_km(one, other)

    assert way == pytest.approx(great_circle_km(other, one))
    assert 0 <= way <= 20_016
    assert great_circle_km(one, one) == 0


def test_every_known_region_is_a_label_and_somewhere_on_the_earth() -> None:
    for code, (north, east) in coordinates().items():
        assert parse_label(code, what="region") == code
        assert -90 <= north <= 90
        assert -180 <= east <= 180
    # Fly's, so that a machine that moves here keeps its region's code.
    fly = (
        "ams arn atl bog bom bos cdg den dfw ewr eze fra gdl gig gru hkg iad jnb lax lhr mad mia "
        "nrt ord otp phx qro scl sea sin sjc syd waw yul yyz"
    )
    assert set(fly.split()) <= coordinates().keys()


def test_what_a_host_is_told_goes_before_what_is_computed() -> None:
    here = Vantage(Label("ams"), {Label("iad"): 10, Label("attic"): 1, Label("ams"): 5})

    assert here.distance_km(Label("iad")) == 10
    assert here.distance_km(Label("attic")) == 1
    assert here.distance_km(Label("ams")) == 5
    assert here.distance_km(Label("fra")) == 368


def test_of_a_place_that_nobody_knows_only_its_own_region_is_near() -> None:
    here = Vantage(Label("home"))

    assert here.distance_km(Label("home")) == 0
    assert here.distance_km(Label("ams")) == inf
    assert Vantage(Label("ams")).distance_km(Label("home")) == inf
    assert NOWHERE.distance_km(Label("ams")) == inf
