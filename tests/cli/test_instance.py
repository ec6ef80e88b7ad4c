from collections.abc import Sequence

import click
import pytest

from wgctl.cli.instance import facts_of, instance_options
from wgctl.core.errors import Invalid
from wgctl.core.model import Protocol
from wgctl.core.schema import Port


def facts(ports: Sequence[str] = (), metadata: Sequence[str] = ()) -> dict[str, object]:
    return facts_of({"ports": ports, "metadata": metadata})


def test_ports_and_metadata_are_what_they_say_and_the_rest_stays() -> None:
    given = {"ports": ("http=8080", "dns=53/udp", "dns=53/tcp"), "metadata": ("vm_role=all",)}

    assert facts_of({**given, "region": "fra"}) == {
        "ports": [
            Port(name="http", number=8080, protocol=Protocol.TCP),
            Port(name="dns", number=53, protocol=Protocol.UDP),
            Port(name="dns", number=53, protocol=Protocol.TCP),
        ],
        "metadata": {"vm_role": "all"},
        "region": "fra",
    }


@pytest.mark.parametrize(
    ("ports", "rule"),
    [
        (["http"], "--port 'http', expected NAME=PORT"),
        (["http=0"], "expected NAME=PORT"),
        (["http=65536"], "expected NAME=PORT or NAME=PORT/udp, PORT 1 to 65535"),
        (["http=\u0663"], "expected NAME=PORT"),
        (["http=80/sctp"], "expected NAME=PORT"),
        (["http=80/"], "expected NAME=PORT"),
        (["=80"], "expected NAME=PORT"),
        (["HTTP=80"], "port 'HTTP': upper-case letters"),
        (["http=80", "http=81"], "port 'http/tcp' twice"),
        ([f"{'p' * 16}=80"], "16 characters, expected 1 to 15"),
        ([f"p{number}={number}" for number in range(1, 66)], "65 of them, expected at most"),
    ],
)
def test_ports_that_break_a_rule_are_refused(ports: list[str], rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        facts(ports=ports)


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        (["version"], "--metadata 'version', expected KEY=VALUE"),
        (["V=1"], "metadata key 'V': upper-case letters"),
        (["v=1.2"], "metadata value '1.2': expected only"),
        (["v=1", "v=2"], "metadata key 'v' twice"),
    ],
)
def test_metadata_that_breaks_a_rule_is_refused(metadata: list[str], rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        facts(metadata=metadata)


def test_the_options_are_the_same_for_whoever_takes_them() -> None:
    @click.command()
    @instance_options
    def add(**_given: object) -> None: ...

    assert [option.name for option in add.params] == [
        "region",
        "process_group",
        "ports",
        "metadata",
    ]
