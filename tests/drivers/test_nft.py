import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from tests.drivers.namespaces import Namespace
from wgctl.core import firewall
from wgctl.core.errors import Unavailable
from wgctl.core.firewall import Ruleset
from wgctl.core.tunnel import ChangeFirewall, ReplaceFirewall
from wgctl.drivers.nft import Nft

NETWORKS = [IPv6Network(f"fdaa:0:{n:x}::/48") for n in range(1, 4)]


def made(interface: str, networks: Sequence[IPv6Network] = NETWORKS) -> Ruleset:
    return firewall.ruleset(networks, interface=interface, own_uids=frozenset({0, 998}))


@pytest.mark.network
@pytest.mark.parametrize("uids", [{0}, {998}, {0, 65534}, {1, 2, 3}])
def test_the_kernel_lists_what_was_written(namespace: Namespace, uids: set[int]) -> None:
    """Else each pass would find drift where there is none."""
    wanted = firewall.ruleset(NETWORKS, interface=namespace.interface, own_uids=frozenset(uids))
    writer, reader = Nft(namespace.interface), Nft(namespace.interface)

    namespace.run(writer.apply, ReplaceFirewall(wanted))

    assert namespace.run(reader.read) == wanted


@pytest.mark.network
@pytest.mark.parametrize(
    "tampering",
    [
        ["flush", "chain", "prerouting"],
        ["add", "rule", "forward", "accept"],
        ["flush", "set", "networks"],
        ["insert", "rule", "input", "accept"],
    ],
)
def test_tampering_is_seen(namespace: Namespace, tampering: list[str]) -> None:
    table = Nft(namespace.interface)
    wanted = made(namespace.interface)
    namespace.run(table.apply, ReplaceFirewall(wanted))

    verb, kind, *rest = tampering
    namespace.shell("nft", verb, kind, "inet", namespace.interface, *rest)

    assert namespace.run(table.read) != wanted


@pytest.mark.network
def test_a_rule_that_nft_spells_in_another_way_is_no_drift(namespace: Namespace) -> None:
    """Versions of nft list one and the same rule differently."""
    wanted = made(namespace.interface)
    spelled = tuple(
        rule.replace('["established","related"]', '{"set":["established","related"]}')
        for rule in wanted.rules
    )
    other = replace(wanted, rules=spelled)
    table = Nft(namespace.interface)

    namespace.run(table.apply, ReplaceFirewall(other))

    assert spelled != wanted.rules
    assert namespace.run(table.read) == other
    namespace.shell("nft", "flush", "chain", "inet", namespace.interface, "forward")
    assert namespace.run(table.read) != other


@pytest.mark.network
def test_a_change_that_fails_changes_nothing(namespace: Namespace) -> None:
    table = Nft(namespace.interface)
    before = made(namespace.interface, NETWORKS[:1])
    namespace.run(table.apply, ReplaceFirewall(before))
    good = made(namespace.interface).elements - before.elements
    bad = frozenset({firewall.Element("nowhere", ("fdaa::",))})

    with pytest.raises(Unavailable, match="nft, table inet"):
        namespace.run(table.apply, ChangeFirewall(good | bad, frozenset()))

    assert namespace.run(table.read) == before


@pytest.mark.network
def test_other_tables_are_left_alone(namespace: Namespace) -> None:
    table, other = Nft(namespace.interface), Nft("other0")
    for name, owner in ((namespace.interface, table), ("other0", other)):
        namespace.run(owner.apply, ReplaceFirewall(made(name)))

    namespace.run(table.remove)

    assert namespace.run(other.read) == made("other0")


def test_without_nft_the_cure_is_said() -> None:
    with pytest.raises(Unavailable, match="apt install nftables"):
        Nft("wgctl0", program="no-such-nft").read()


def test_what_nft_says_is_shown_escaped(tmp_path: Path) -> None:
    program = tmp_path / "nft"
    program.write_text(
        "#!/bin/sh\nprintf 'Error: \\033[31mOperation not permitted\\n' >&2\nexit 1\n"
    )
    program.chmod(0o755)

    with pytest.raises(Unavailable, match="CAP_NET_ADMIN") as caught:
        Nft("wgctl0", program=str(program)).read()

    assert "\033" not in str(caught.value)
    assert json.dumps(str(caught.value)).isascii()
