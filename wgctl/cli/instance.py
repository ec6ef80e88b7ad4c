"""What an app's machine is said to be: the options of whoever adds or announces one."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from peers.errors import shown
from peers.names import Label, parse_metadata_key, parse_metadata_value, parse_port_name
from wgctl.cli.options import LabelType
from wgctl.core.errors import Invalid

__all__ = ["facts_of", "instance_options"]

_PORT = re.compile(r"([^=]+)=([1-9][0-9]{0,4})(?:/(tcp|udp))?")
_MAX_PORT = 65535
_MAX_MANY = 64  # the API's own limit for ports and for metadata

_Value = TypeVar("_Value")
_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--region",
        type=LabelType("region"),
        help="Default: that of the peer's gateway; REGION.APP.internal.",
    ),
    click.option(
        "--process-group",
        type=LabelType("process group"),
        default="app",
        show_default=True,
        help="What it does in the app: GROUP.process.APP.internal.",
    ),
    click.option(
        "--port",
        "ports",
        multiple=True,
        metavar="NAME=PORT[/tcp|/udp]",
        help="A port, found as SRV of _NAME._tcp.APP.internal.",
    ),
    click.option(
        "--metadata",
        multiple=True,
        metavar="KEY=VALUE",
        help="A fact to find it by, as VALUE.KEY.kv._metadata.APP.internal.",
    ),
)


def instance_options(command: _Command) -> _Command:
    """Take --region, --process-group, --port and --metadata."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def facts_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a machine's shape, with ports and metadata as they are meant.

    Raises Invalid.
    """
    named = _unique("port", (_port(text) for text in given["ports"]))
    facts = _unique("metadata key", (_fact(text) for text in given["metadata"]))
    from wgctl.core import schema
    from wgctl.core.kinds import Protocol

    ports = [
        schema.Port(name=name, number=number, protocol=Protocol(protocol))
        for name, number, protocol in named.values()
    ]
    metadata = {key: str(value) for key, value in facts.items()}
    return {**given, "ports": ports, "metadata": metadata}


def _port(text: str) -> tuple[str, tuple[Label, int, str]]:
    match = _PORT.fullmatch(text)
    if match is None or int(match[2]) > _MAX_PORT:
        raise Invalid(
            f"--port {shown(text)}, expected NAME=PORT or NAME=PORT/udp, PORT 1 to 65535: "
            "http=8080/tcp"
        )
    name, protocol = parse_port_name(match[1]), match[3] or "tcp"
    return f"{name}/{protocol}", (name, int(match[2]), protocol)


def _fact(text: str) -> tuple[Label, Label]:
    key, separator, value = text.partition("=")
    if not separator:
        raise Invalid(f"--metadata {shown(text)}, expected KEY=VALUE")
    return parse_metadata_key(key), parse_metadata_value(value)


def _unique(what: str, pairs: Iterable[tuple[str, _Value]]) -> dict[str, _Value]:
    found: dict[str, _Value] = {}
    for name, value in pairs:
        if name in found:
            raise Invalid(f"{what} {name!a} twice, expected once")
        found[name] = value
    if len(found) > _MAX_MANY:
        raise Invalid(f"{what}: {len(found)} of them, expected at most {_MAX_MANY}")
    return found
