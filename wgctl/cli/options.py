"""The options and arguments that nouns share: names, and whose they are.

A flag wins over the environment, that over the user's file, and that over the default.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from peers.names import Label, parse_label
from wgctl.cli.preferences import Preferences
from wgctl.cli.session import preferences_of
from wgctl.core.errors import Invalid

__all__ = [
    "LabelType",
    "name_argument",
    "network_filter",
    "network_option",
    "networks_option",
    "org_option",
    "tags_option",
]

_DEFAULT_NETWORK = "default"

_Command = TypeVar("_Command", bound=Callable[..., Any])


class LabelType(click.ParamType[Label]):
    """A name that can be a label under `.internal`; anything else is Invalid, with the rule."""

    def __init__(self, what: str) -> None:
        self.name = what

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Label:
        """Return the label; raises Invalid."""
        del param, ctx
        return parse_label(value, what=self.name)


def name_argument(what: str, *, name: str = "name") -> Callable[[_Command], _Command]:
    """Take the name of a `what`."""
    return click.argument(name, type=LabelType(what), metavar=name.upper())


def org_option(command: _Command) -> _Command:
    """Take --org; raises Invalid when nothing says which."""
    return click.option(
        "--org",
        type=LabelType("org"),
        envvar="WGCTL_ORG",
        metavar="ORG",
        callback=_resolve_org,
        help="The org.  [env: WGCTL_ORG]",
    )(command)


def network_option(command: _Command) -> _Command:
    """Take --network; it is `default` when nothing says which."""
    return _network_option(
        _resolve_network,
        f"The network of the org.  [env: WGCTL_NETWORK; default: {_DEFAULT_NETWORK}]",
    )(command)


def network_filter(command: _Command) -> _Command:
    """Take --network; None, for all of them, when nothing says which."""
    return _network_option(
        _resolve_network_filter, "Only this network of the org.  [env: WGCTL_NETWORK]"
    )(command)


def networks_option(command: _Command) -> _Command:
    """Take --network, as often as there are networks to narrow something to."""
    return click.option(
        "--network",
        "networks",
        type=LabelType("network"),
        metavar="NET",
        multiple=True,
        help="Only in this network; can be given more than once.",
    )(command)


def tags_option(command: _Command) -> _Command:
    """Take --tag, as often as there are tags to give."""
    return click.option(
        "--tag",
        "tags",
        type=LabelType("tag"),
        metavar="TAG",
        multiple=True,
        help="A tag of the peer; can be given more than once.",
    )(command)


_Resolve = Callable[[click.Context, click.Parameter, Label | None], Label | None]


def _network_option(resolve: _Resolve, text: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--network",
        type=LabelType("network"),
        envvar="WGCTL_NETWORK",
        metavar="NET",
        callback=resolve,
        help=text,
    )


def _resolve_org(ctx: click.Context, _param: click.Parameter, value: Label | None) -> Label | None:
    found = _resolve(ctx, value, "org", lambda own: own.org)
    if found is None and not ctx.resilient_parsing:
        raise Invalid(
            'no org: expected --org ORG, WGCTL_ORG, or org = "..." in ~/.config/wgctl/config.toml'
        )
    return found


def _resolve_network(
    ctx: click.Context, param: click.Parameter, value: Label | None
) -> Label | None:
    return _resolve_network_filter(ctx, param, value) or Label(_DEFAULT_NETWORK)


def _resolve_network_filter(
    ctx: click.Context, _param: click.Parameter, value: Label | None
) -> Label | None:
    return _resolve(ctx, value, "network", lambda own: own.network)


def _resolve(
    ctx: click.Context,
    value: Label | None,
    what: str,
    written: Callable[[Preferences], str | None],
) -> Label | None:
    if value is not None or ctx.resilient_parsing:
        return value
    text = written(preferences_of(ctx))
    return None if text is None else parse_label(text, what=what)
