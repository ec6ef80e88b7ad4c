"""The JSON shapes of health checks: how a machine is probed, and what was found.

Parts of the shapes of `wgctl.core.schema`; what a verdict leads to is `wgctl.core.health`.
"""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from wgctl.core.check import Target
from wgctl.core.health import KEPT, Health
from wgctl.core.shape import Moment, Shape

__all__ = ["Check", "HealthEvent", "ObservedHealth", "ObservedTransition"]


def _target(value: object) -> Target:
    if isinstance(value, Target):
        return value
    if isinstance(value, str):
        return Target.parse(value)
    # An object with its fields would else be taken as it is, unchecked.
    raise ValueError(f"{type(value).__name__}, expected a string")  # as pydantic has it


_Target = Annotated[
    Target,
    BeforeValidator(_target),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(tcp:[0-9]{1,5}|http://.+)$",
            "examples": ["http://web.internal:8080/health"],
        }
    ),
]


class Check(Shape):
    """How a machine is probed: `tcp:8080`, or an URL of which the host is a header alone.

    The defaults take 30 s to see that a machine does not answer, and 20 s that it does again.
    """

    target: _Target
    interval_s: int = Field(default=10, ge=1, le=3600, strict=True)
    timeout_s: int = Field(default=2, ge=1, le=30, strict=True)
    grace_s: int = Field(default=30, ge=0, le=3600, strict=True)
    rise: int = Field(default=2, ge=1, le=10, strict=True)
    fall: int = Field(default=3, ge=1, le=10, strict=True)

    @model_validator(mode="after")
    def _ends_before_the_next(self) -> Self:
        if self.timeout_s > self.interval_s:
            raise ValueError(
                f"a timeout of {self.timeout_s} s, expected at most the interval, "
                f"{self.interval_s} s"
            )
        return self


class HealthEvent(Shape):
    """How the health of a machine changed, and what showed it."""

    at: datetime
    before: Health
    after: Health
    reason: str


class ObservedTransition(Shape):
    """How the health of a machine changed; `at` in seconds since 1970."""

    at: Moment
    before: Health
    after: Health
    reason: str = Field(max_length=200)


class ObservedHealth(Shape):
    """What the probes of one machine found, the oldest change first."""

    machine_id: int
    health: Health
    transitions: list[ObservedTransition] = Field(default_factory=list, max_length=KEPT)
