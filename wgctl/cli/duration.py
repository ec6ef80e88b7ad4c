"""Spans of time as an admin types them: `90s`, `15m`, `12h`, `30d`, `2w`, `1d12h`.

Knows nothing of when a span begins.
"""

import re

from peers.errors import Invalid, shown

__all__ = ["parse_duration"]

_UNITS_S = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile("".join(rf"(?:([0-9]{{1,10}}){unit})?" for unit in _UNITS_S))
_LONGEST_S = 100 * 366 * 86400  # the longest that the API takes


def parse_duration(text: str) -> int:
    """Return the seconds of `text`: numbers with w, d, h, m, s, the largest unit first.

    Raises Invalid, also for nothing, for zero and for more than 100 years.
    """
    expected = "expected a time in w, d, h, m and s, like 30d, 90s or 1d12h"
    match = _SPAN.fullmatch(text)
    if not text or match is None:
        raise Invalid(f"{shown(text)}, {expected}")
    seconds = sum(
        int(number) * unit_s
        for number, unit_s in zip(match.groups(), _UNITS_S.values(), strict=True)
        if number
    )
    if not 1 <= seconds <= _LONGEST_S:
        raise Invalid(f"{shown(text)}, expected 1s to 36600d")
    return seconds
