"""When a CA is asked for a certificate: at first, before one ends, and again when that failed.

Knows the time as it is told. Whom to ask is `wgctl.drivers.acme`, and who asks and keeps what comes
of it `wgctl.daemon.issuing`.
"""

import re
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Self

from pydantic import TypeAdapter, ValidationError

from wgctl.core.errors import Invalid

__all__ = ["FIRST_S", "LONGEST_S", "MOST_TOLD_S", "Standing", "Wanted", "told_s"]

FIRST_S = 300
"""After how long one that failed is tried again. Four in the first hour: Let's Encrypt, for one,
lets five fail for a name and an hour."""

LONGEST_S = 7_200
"""The longest that this grows to by doubling: a certificate of a day has some tries left then."""

MOST_TOLD_S = 7 * 86_400
"""The longest that a CA can have itself left alone: no limit of theirs is over a week."""

_NUMBER = re.compile(r"[0-9]{1,20}")
_INTERRUPTED = "the last try came to no end"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate for `names`, of the CA whose ACME directory is at the URL `directory`."""

    directory: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the last try to get what is `wanted` went.

    `failures` tries in a row did not get it, the last because of `problem`, "" if there was none.
    Times are seconds since the epoch: it began at `tried_at`, and is due again at `again_at`.
    """

    wanted: Wanted
    failures: int
    problem: str
    tried_at: int
    again_at: int

    @classmethod
    def begun(cls, before: Self | None, wanted: Wanted, *, now: int, chance: float) -> Self:
        """Return how a try stands that begins now: as failed, since it may be cut short.

        `chance`, from 0 to below 1, makes hosts that failed together not come back together.
        """
        failures = before.failures if before is not None and before.wanted == wanted else 0
        pause_s = min(FIRST_S << min(failures, 16), LONGEST_S)
        again_at = now + int(pause_s * (1 + chance / 4))
        return cls(wanted, failures + 1, _INTERRUPTED, tried_at=now, again_at=again_at)

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read what `render` wrote; raises Invalid."""
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise Invalid("not how a try for a certificate stands") from error

    def render(self) -> bytes:
        """Return it as JSON."""
        return TypeAdapter(Standing).dump_json(self, indent=2)

    def failed(self, problem: str, *, told_s: int, now: int) -> Self:
        """Return how it stands once it failed; the CA told to leave it alone for `told_s`."""
        again_at = max(self.again_at, now + told_s)
        return replace(self, problem=problem, again_at=again_at)

    def got(self, *, begins: int, ends: int, now: int, chance: float) -> Self:
        """Return how it stands with a certificate that is good from `begins` to `ends`.

        It is renewed when two thirds of that are over, or up to a fifteenth of it sooner; but not
        within `FIRST_S`, or within those thirds if that is less. A clock that is ahead, and a CA
        that has it begin long ago, would else have one asked for after the other.
        """
        share_s = int((ends - begins) * (2 - chance / 5) / 3)
        again_at = max(begins + share_s, now + min(share_s, FIRST_S))
        return replace(self, failures=0, problem="", again_at=again_at)

    def is_due(self, wanted: Wanted, *, now: int) -> bool:
        """Whether it is time to ask for what is `wanted`.

        It is at once for something else than the last time, and when the clock went back a lot.
        """
        if self.wanted != wanted:
            return True
        return now >= self.again_at or now < self.tried_at - LONGEST_S


def told_s(retry_after: str, *, now: int) -> int:
    """Return for how many seconds, up to `MOST_TOLD_S`, an HTTP header `Retry-After` wants none.

    It has a number, or a date (RFC 9110, section 10.2.3); returns 0 for anything else.
    """
    if _NUMBER.fullmatch(retry_after):
        return min(int(retry_after), MOST_TOLD_S)
    try:
        date = parsedate_to_datetime(retry_after)
        pause_s = int(date.timestamp()) - now
    except (ValueError, OverflowError):
        return 0
    return max(0, min(pause_s, MOST_TOLD_S))
