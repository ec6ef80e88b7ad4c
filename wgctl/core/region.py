"""Regions: where the well-known ones are, and how far others are from here.

Distances are great circles between coordinates unless a host's settings say otherwise. Which
machines are in a region, and what nearness decides, is for `wgctl.core.names.app`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import asin, cos, hypot, inf, radians, sin, sqrt
from types import MappingProxyType

from peers.names import Label

__all__ = ["NOWHERE", "Vantage", "coordinates", "great_circle_km"]

_EARTH_RADIUS_KM = 6371.0

# Airports by IATA code: degrees north, degrees east.
_AIRPORTS = """
acc   5.6   -0.2  akl -37.0  174.8  ams  52.3    4.8  arn  59.7   17.9  ath  37.9   23.9
atl  33.6  -84.4  bcn  41.3    2.1  beg  44.8   20.3  ber  52.4   13.5  bkk  13.7  100.7
blr  13.2   77.7  bne -27.4  153.1  bog   4.7  -74.1  bom  19.1   72.9  bos  42.4  -71.0
bru  50.9    4.5  bud  47.4   19.3  cai  30.1   31.4  cdg  49.0    2.5  cgk  -6.1  106.7
cmn  33.4   -7.6  cph  55.6   12.7  cpt -34.0   18.6  del  28.6   77.1  den  39.9 -104.7
dfw  32.9  -97.0  doh  25.3   51.6  dtw  42.2  -83.4  dub  53.4   -6.3  dus  51.3    6.8
dxb  25.3   55.4  edi  56.0   -3.4  ewr  40.7  -74.2  eze -34.8  -58.5  fco  41.8   12.3
fra  50.0    8.6  gdl  20.5 -103.3  gig -22.8  -43.2  gru -23.4  -46.5  gva  46.2    6.1
ham  53.6   10.0  han  21.2  105.8  hel  60.3   25.0  hkg  22.3  113.9  hnd  35.6  139.8
hnl  21.3 -157.9  iad  38.9  -77.5  iah  30.0  -95.3  icn  37.5  126.5  ist  41.3   28.7
jfk  40.6  -73.8  jnb -26.1   28.2  kef  64.0  -22.6  kix  34.4  135.2  kul   2.7  101.7
las  36.1 -115.2  lax  33.9 -118.4  lhr  51.5   -0.5  lim -12.0  -77.1  lis  38.8   -9.1
los   6.6    3.3  lux  49.6    6.2  maa  13.0   80.2  mad  40.5   -3.6  man  53.4   -2.3
mci  39.3  -94.7  mel -37.7  144.8  mex  19.4  -99.1  mia  25.8  -80.3  mnl  14.5  121.0
mrs  43.4    5.2  msp  44.9  -93.2  muc  48.4   11.8  mxp  45.6    8.7  nbo  -1.3   36.9
nrt  35.8  140.4  ord  42.0  -87.9  osl  60.2   11.1  otp  44.6   26.1  pdx  45.6 -122.6
pek  40.1  116.6  per -31.9  116.0  phl  39.9  -75.2  phx  33.4 -112.0  prg  50.1   14.3
pvg  31.1  121.8  qro  20.6 -100.2  rix  56.9   24.0  ruh  25.0   46.7  scl -33.4  -70.8
sea  47.4 -122.3  sfo  37.6 -122.4  sgn  10.8  106.7  sin   1.4  104.0  sjc  37.4 -121.9
slc  40.8 -112.0  sof  42.7   23.4  syd -33.9  151.2  tll  59.4   24.8  tlv  32.0   34.9
tpe  25.1  121.2  vie  48.1   16.6  vno  54.6   25.3  waw  52.2   21.0  yul  45.5  -73.7
yvr  49.2 -123.2  yyz  43.7  -79.6  zag  45.7   16.1  zrh  47.5    8.5
"""


@cache
def coordinates() -> Mapping[str, tuple[float, float]]:
    """Return where the well-known regions are: degrees north and degrees east, by code."""
    words = iter(_AIRPORTS.split())
    return {code: (float(next(words)), float(next(words))) for code in words}


def great_circle_km(
    one: tuple[float, float],
    other: tuple[float, float],
) -> float:
    """Return the way between two points, each degrees north and east, over a round earth."""
    north, east = radians(one[0]), radians(one[1])
    other_north, other_east = radians(other[0]), radians(other[1])
    # The haversine formula: exact enough also for points that are close together.
    chord = hypot(
        sin((other_north - north) / 2),
        sqrt(cos(north) * cos(other_north)) * sin((other_east - east) / 2),
    )
    return 2 * _EARTH_RADIUS_KM * asin(min(1.0, chord))


@dataclass(frozen=True, slots=True)
class Vantage:
    """A place to see regions from.

    `region` is the one that it is in, None for none; `distances` are kilometres to regions from
    here that go before what is computed.
    """

    region: Label | None
    distances: Mapping[Label, int] = field(default_factory=lambda: MappingProxyType({}))

    def distance_km(self, region: Label) -> float:
        """Return how far `region` is: its own is at 0, one of which nothing is known at infinity.

        Computed ones are whole kilometres.
        """
        if region in self.distances:
            return self.distances[region]
        if region == self.region:
            return 0
        here, there = coordinates().get(self.region or ""), coordinates().get(region)
        return inf if here is None or there is None else round(great_circle_km(here, there))


NOWHERE = Vantage(None)
"""Where all regions are equally far."""
