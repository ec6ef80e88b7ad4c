"""The options of a health check, and how a machine's health reads on a terminal.

What is asked of the controller is `wgctl.cli.machine`; what the words mean, `wgctl.core.health`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wgctl.cli import wording
from wgctl.cli.duration import parse_duration
from wgctl.cli.output import print_table
from wgctl.core.errors import Invalid

if TYPE_CHECKING:
    from wgctl.core import health_shape

__all__ = ["check_options", "new_check", "print_events", "written"]

_TIMEOUT_S = 2
_NONE = {"0", "0s"}
_TARGETS = "expected one of --tcp PORT, --http URL and --off"

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Span(click.ParamType[int]):
    """A time such as `10s`, in seconds; 0 where a check may do without."""

    name = "time"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the seconds; raises Invalid."""
        del ctx
        if isinstance(value, int) or value in _NONE:
            return int(str(value).removesuffix("s"))
        try:
            return parse_duration(value)
        except Invalid as error:
            raise Invalid(f"--{param.name if param else self.name}: {error}") from error


_SPANS = {
    "interval": ("10s", "From one probe to the next: 1s to 1h."),
    "timeout": (None, "How long a probe may take: 1s to 30s.  [default: 2s, or the interval]"),
    "grace": ("30s", "How long after a start failures do not count: 0s to 1h."),
}
_COUNTS = {
    "rise": (2, "So many passes in a row make an unhealthy machine healthy: 1 to 10."),
    "fall": (3, "So many failures in a row make a machine unhealthy: 1 to 10."),
}


def check_options(command: _Command) -> _Command:
    """Take what `new_check` is given."""
    options = [
        click.option("--tcp", type=click.IntRange(1, 65535), metavar="PORT", help=_TCP_HELP),
        click.option("--http", metavar="URL", help=_HTTP_HELP),
        click.option("--off", is_flag=True, help="Probe it no more."),
        *(
            click.option(f"--{word}", type=_Span(), default=default, show_default=True, help=told)
            for word, (default, told) in _SPANS.items()
        ),
        *(
            click.option(f"--{word}", type=int, default=number, show_default=True, help=told)
            for word, (number, told) in _COUNTS.items()
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


_TCP_HELP = "It passes when this port takes a connection."
_HTTP_HELP = (
    "It passes when a GET is answered with 2xx: http://web.internal:8080/health. The machine "
    "itself is asked, whatever the name; that is the Host header."
)


def new_check(
    *, tcp: int | None, http: str | None, off: bool, timeout: int | None, **given: int
) -> "health_shape.Check | None":
    """Return the check that the options ask for; None: none. Raises Invalid."""
    if [tcp is not None, http is not None, off].count(True) != 1:
        raise Invalid(f"nothing to check, or too much: {_TARGETS}")
    if off:
        return None
    from pydantic import ValidationError

    from wgctl.core.check import Target
    from wgctl.core.health_shape import Check

    target = Target.parse(f"tcp:{tcp}" if http is None else http)
    given["timeout"] = min(_TIMEOUT_S, given["interval"]) if timeout is None else timeout
    named = {f"{word}_s" if word in _SPANS else word: value for word, value in given.items()}
    try:
        return Check(target=target, **named)
    except ValidationError as error:
        raise Invalid(_told(error.errors(include_input=False)[0])) from error


def _told(fault: Any) -> str:
    word = ".".join(map(str, fault["loc"])).removesuffix("_s")
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"--{word}: {message}" if word else message


def written(check: "health_shape.Check | None") -> str:
    """Return a check in one cell."""
    if check is None:
        return wording.ABSENT
    return (
        f"{check.target} every {check.interval_s}s, timeout {check.timeout_s}s, "
        f"grace {check.grace_s}s, rise {check.rise}, fall {check.fall}"
    )


def print_events(events: "Sequence[health_shape.HealthEvent]") -> None:
    """Print how a machine's health changed, the last change first; nothing if it did not."""
    if not events:
        return
    click.echo()
    print_table(
        ("at", "from", "to", "reason"),
        [(wording.date(one.at), one.before, one.after, one.reason) for one in reversed(events)],
    )
