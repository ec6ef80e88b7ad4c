import ctypes
import json
import re
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from tests.drivers.namespaces import Namespace, namespaced
from tests.patience import HANG_S
from wgctl.core import firewall
from wgctl.core.errors import Unavailable
from wgctl.core.firewall import Ruleset
from wgctl.core.tunnel import ChangeFirewall, ReplaceFirewall
from wgctl.drivers.nft import Nft

NETWORKS = [IPv6Network(f"fdaa:0:{n:x}::/48") for n in range(1, 4)]


def made(interface: str, networks: Sequence[IPv6Network] = NETWORKS) -> Ruleset:
    return firewall.ruleset(
        networks, interface=interface, listen_port=51820, own_uids=frozenset({0, 998})
    )


@pytest.mark.network
@pytest.mark.parametrize("uids", [{0}, {998}, {0, 65534}, {1, 2, 3}])
def test_the_kernel_lists_what_was_written(namespace: Namespace, uids: set[int]) -> None:
    """Else each pass would find drift where there is none."""
    wanted = firewall.ruleset(
        NETWORKS, interface=namespace.interface, listen_port=51820, own_uids=frozenset(uids)
    )
    writer, reader = Nft(namespace.interface), Nft(namespace.interface)

    namespace.run(writer.apply, ReplaceFirewall(wanted))

    assert namespace.run(reader.read) == wanted


@pytest.mark.network
def test_the_kernel_lists_the_tap_that_was_written(namespace: Namespace) -> None:
    wanted = firewall.ruleset(
        NETWORKS,
        interface=namespace.interface,
        listen_port=51820,
        own_uids=frozenset({0}),
        log_group=65535,
    )

    namespace.run(Nft(namespace.interface).apply, ReplaceFirewall(wanted))

    assert namespace.run(Nft(namespace.interface).read) == wanted


@pytest.mark.network
@pytest.mark.parametrize(
    "tampering",
    [
        ["flush", "chain", "prerouting"],
        ["add", "rule", "forward", "accept"],
        ["flush", "set", "networks"],
        ["flush", "chain", "services"],
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


def counted(folder: Path) -> tuple[str, Path]:
    """Return a program that is nft and writes a line for each run, and where."""
    program, runs = folder / "nft", folder / "runs"
    program.write_text(f'#!/bin/sh\necho run >> {runs}\nexec nft "$@"\n')
    program.chmod(0o755)
    return str(program), runs


@pytest.mark.network
def test_a_table_is_listed_again_only_when_rules_have_changed(
    namespace: Namespace, tmp_path: Path
) -> None:
    program, runs = counted(tmp_path)
    table = Nft(namespace.interface, program=program)
    namespace.run(table.apply, ReplaceFirewall(made(namespace.interface, NETWORKS[:2])))
    listed = runs.read_text().count("run")
    before = namespace.run(table.read)
    assert before == made(namespace.interface, NETWORKS[:2])

    more = made(namespace.interface).elements - before.elements
    namespace.run(table.apply, ChangeFirewall(more, frozenset()))

    for _ in range(2):
        assert namespace.run(table.read) == made(namespace.interface)
    assert runs.read_text().count("run") == listed + 1
    namespace.shell("nft", "add", "table", "inet", "other")
    assert namespace.run(table.read) == made(namespace.interface)
    assert runs.read_text().count("run") == listed + 2


def disturbed(folder: Path, *change: str) -> str:
    """Return a program that is nft and has somebody change a table after each thing it is told."""
    program, others = folder / "nft", shlex.join(("nft", *change))
    program.write_text(
        f'#!/bin/sh\nnft "$@" || exit\ncase "$*" in *-f*) exec {others} 2>/dev/null;; esac\n'
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.network
def test_a_change_among_others_is_not_taken_for_known(namespace: Namespace, tmp_path: Path) -> None:
    """Whoever writes rules at the same moment may have written ours."""
    name = namespace.interface
    program = disturbed(tmp_path, "flush", "set", "inet", name, "resolvers")
    table = Nft(name)
    namespace.run(table.apply, ReplaceFirewall(made(name, NETWORKS[:2])))
    before = namespace.run(table.read)
    assert before is not None
    beside = Nft(name, program=program)
    namespace.run(beside.read)

    more = made(name).elements - before.elements
    namespace.run(beside.apply, ChangeFirewall(more, frozenset()))

    found = namespace.run(beside.read)
    assert found is not None
    assert not [one for one in found.elements if one.set_name == "resolvers"]


@pytest.mark.network
@pytest.mark.parametrize(
    "tampering",
    [
        ["flush", "chain", "inet", "{}", "prerouting"],
        ["insert", "rule", "inet", "{}", "forward", "accept"],
        ["flush", "set", "inet", "{}", "networks"],
        ["delete", "table", "inet", "{}"],
    ],
)
def test_what_others_change_right_after_a_write_is_not_taken_for_what_was_written(
    namespace: Namespace, tmp_path: Path, tampering: list[str]
) -> None:
    """Else the rules of whoever was first would pass for ours until the table is written anew."""
    name = namespace.interface
    table = Nft(name, program=disturbed(tmp_path, *(word.format(name) for word in tampering)))
    wanted = made(name)

    namespace.run(table.apply, ReplaceFirewall(wanted))

    assert namespace.run(table.read) != wanted
    namespace.shell("nft", "add", "table", "inet", "other")
    assert namespace.run(table.read) != wanted


def otherwise_spelled(interface: str) -> Ruleset:
    """Return a table that this nft lists in another way than it is written."""
    usual = made(interface)
    rules = tuple(
        rule.replace('["established","related"]', '{"set":["established","related"]}')
        for rule in usual.rules
    )
    assert rules != usual.rules
    return replace(usual, rules=rules)


@pytest.mark.network
def test_how_nft_spells_a_table_is_known_again_once_it_is_written_alone(
    namespace: Namespace, tmp_path: Path
) -> None:
    wanted = otherwise_spelled(namespace.interface)
    program = disturbed(tmp_path, "add", "table", "inet", "other")
    table = Nft(namespace.interface, program=program)

    namespace.run(table.apply, ReplaceFirewall(wanted))
    assert namespace.run(table.read) != wanted
    disturbed(tmp_path, "list", "tables")
    namespace.run(table.apply, ReplaceFirewall(wanted))
    assert namespace.run(table.read) == wanted
    disturbed(tmp_path, "add", "table", "inet", "another")
    namespace.run(table.apply, ReplaceFirewall(wanted))

    assert namespace.run(table.read) == wanted


@pytest.mark.network
def test_a_rule_that_nft_spells_in_another_way_is_no_drift(namespace: Namespace) -> None:
    """Versions of nft list one and the same rule differently."""
    other = otherwise_spelled(namespace.interface)
    table = Nft(namespace.interface)

    namespace.run(table.apply, ReplaceFirewall(other))

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


NOBODY = 65534
ONE, OTHER = "fdaa:0:1", "fdaa:0:2"
LAN, STRAY = "fd00:1", "fd00:2"


@dataclass(frozen=True, slots=True)
class Wire:
    """A gateway whose tunnel is a veth, with a peer behind it and a LAN on another interface."""

    gateway: Namespace
    peer: Namespace
    lan: Namespace


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """Every route is open: only the table stands between."""
    with namespaced() as gateway, namespaced() as peer, namespaced() as lan:
        made_wire = Wire(gateway, peer, lan)
        tunnel = gateway.interface
        for far, near in ((peer, tunnel), (lan, "lan0")):
            gateway.shell(
                *("ip", "link", "add", near, "type", "veth"),
                *("peer", "name", "eth0", "netns", far.name),
            )
            gateway.shell("ip", "link", "set", near, "up")
            far.shell("ip", "link", "set", "eth0", "up")
        for place, device, address, *routes in (
            (gateway, tunnel, f"{ONE}::3", f"{ONE}::/48", f"{OTHER}::/48"),
            (gateway, tunnel, f"{OTHER}::3"),
            (gateway, "lan0", f"{LAN}::1", f"{LAN}::/64", f"{ONE}:20::/64"),
            (gateway, tunnel, f"{STRAY}::1", f"{STRAY}::/64"),
            (peer, "eth0", f"{ONE}:10::2", "default"),
            (peer, "eth0", f"{STRAY}::2"),
            (peer, "eth0", f"{OTHER}:10::2"),
            (lan, "eth0", f"{LAN}::2", "default"),
            (lan, "eth0", f"{ONE}:10::9"),
            (lan, "eth0", f"{ONE}:20::2"),
        ):
            place.shell("ip", "addr", "add", f"{address}/128", "dev", device, "nodad")
            for route in routes:
                place.shell("ip", "-6", "route", "add", route, "dev", device)
        neighbours(made_wire)
        gateway.shell("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        yield made_wire


def neighbours(wire: Wire) -> None:
    """A tunnel has no neighbours to discover: tell the veths where everybody is."""
    for here, device, there, far_device, addresses in (
        (
            wire.gateway,
            wire.gateway.interface,
            wire.peer,
            "eth0",
            (f"{ONE}:10::2", f"{OTHER}:10::2", f"{STRAY}::2"),
        ),
        (wire.gateway, "lan0", wire.lan, "eth0", (f"{LAN}::2", f"{ONE}:20::2")),
        (
            wire.peer,
            "eth0",
            wire.gateway,
            wire.gateway.interface,
            (f"{ONE}::3", f"{OTHER}::3", f"{LAN}::1", f"{LAN}::2", f"{ONE}:20::2"),
        ),
        (
            wire.lan,
            "eth0",
            wire.gateway,
            "lan0",
            (f"{ONE}::3", f"{LAN}::1", f"{ONE}:10::2", f"{STRAY}::2"),
        ),
    ):
        link = json.loads(there.shell("ip", "-j", "link", "show", far_device))[0]["address"]
        for address in addresses:
            here.shell("ip", "neigh", "replace", address, "lladdr", link, "dev", device)


@pytest.fixture
def walled(wire: Wire) -> Iterator[Wire]:
    networks = [IPv6Network(f"{prefix}::/48") for prefix in (ONE, OTHER)]
    table = Nft(wire.gateway.interface)
    wanted = firewall.ruleset(
        networks, interface=wire.gateway.interface, listen_port=51820, own_uids=frozenset({0})
    )
    wire.gateway.run(table.apply, ReplaceFirewall(wanted))
    yield wire
    wire.gateway.run(table.remove)


def arrives(  # one column of the table each
    sender: Namespace,
    receiver: Namespace,
    *,
    source: str,
    to: str,
    port: int = 53,
    uid: int = 0,
    within_s: float = 0.3,
) -> bool:
    """Whether a datagram arrives of those that are sent until then; `uid` owns their socket."""
    deadline = time.monotonic() + within_s
    with closing(socket_in(receiver)) as ears, closing(socket_in(sender, uid=uid)) as mouth:
        receiver.run(ears.bind, ("::", port))
        ears.settimeout(0.3)
        sender.run(mouth.bind, (source, 0))
        while True:
            try:
                mouth.sendto(b"hello", (to, port))
                return ears.recvfrom(9)[0] == b"hello"
            except PermissionError:
                return False
            except TimeoutError:
                if time.monotonic() > deadline:
                    return False


def socket_in(namespace: Namespace, *, uid: int = 0) -> socket.socket:
    """Make a socket there; nft takes a socket for that of the user whose thread made it."""
    libc = ctypes.CDLL(None)
    namespace.run(libc.setfsuid, uid)
    try:
        return namespace.run(socket.socket, socket.AF_INET6, socket.SOCK_DGRAM)
    finally:
        namespace.run(libc.setfsuid, 0)


PASSAGES = [
    ("the resolver", "peer", "gateway", f"{ONE}:10::2", f"{ONE}::3", 53, 0, True),
    ("its own in another network", "peer", "gateway", f"{OTHER}:10::2", f"{OTHER}::3", 53, 0, True),
    ("another network's resolver", "peer", "gateway", f"{ONE}:10::2", f"{OTHER}::3", 53, 0, False),
    ("another port", "peer", "gateway", f"{ONE}:10::2", f"{ONE}::3", 123, 0, False),
    ("the host by another address", "peer", "gateway", f"{ONE}:10::2", f"{LAN}::1", 53, 0, False),
    ("out of the tunnel", "peer", "lan", f"{ONE}:10::2", f"{LAN}::2", 53, 0, False),
    ("into the tunnel", "lan", "peer", f"{LAN}::2", f"{ONE}:10::2", 53, 0, False),
    ("with a peer's address", "lan", "gateway", f"{ONE}:10::9", f"{ONE}::3", 53, 0, False),
    ("with it to the host", "lan", "gateway", f"{ONE}:10::9", f"{LAN}::1", 53, 0, False),
    ("out by a stray route", "peer", "lan", f"{ONE}:10::2", f"{ONE}:20::2", 53, 0, False),
    ("in by a stray route", "lan", "peer", f"{LAN}::2", f"{STRAY}::2", 53, 0, False),
    ("to a resolver from outside", "lan", "gateway", f"{LAN}::2", f"{ONE}::3", 53, 0, False),
    ("from our own user", "gateway", "peer", f"{ONE}::3", f"{ONE}:10::2", 53, 0, True),
    ("from another user", "gateway", "peer", f"{ONE}::3", f"{ONE}:10::2", 53, NOBODY, False),
    ("to a resolver from our user", "gateway", "gateway", f"{ONE}::3", f"{ONE}::3", 53, 0, True),
    ("to it from another", "gateway", "gateway", f"{ONE}::3", f"{ONE}::3", 53, NOBODY, False),
    ("the host's own business", "lan", "gateway", f"{LAN}::2", f"{LAN}::1", 53, 0, True),
]


@pytest.mark.network
@pytest.mark.parametrize(
    ("sender", "receiver", "source", "to", "port", "uid", "passes"),
    [passage[1:] for passage in PASSAGES],
    ids=[passage[0] for passage in PASSAGES],
)
def test_the_table_lets_through_what_it_should(  # noqa: PLR0913  # one column of the table each
    walled: Wire,
    *,
    sender: str,
    receiver: str,
    source: str,
    to: str,
    port: int,
    uid: int,
    passes: bool,
) -> None:
    sides = {"gateway": walled.gateway, "peer": walled.peer, "lan": walled.lan}

    ends, within_s = (sides[sender], sides[receiver]), HANG_S if passes else 0.3
    went = arrives(*ends, source=source, to=to, port=port, uid=uid, within_s=within_s)

    assert went == passes


@pytest.mark.network
@pytest.mark.parametrize(
    ("sender", "receiver", "source", "to", "port", "uid"),
    [passage[1:-1] for passage in PASSAGES],
    ids=[passage[0] for passage in PASSAGES],
)
def test_without_the_table_all_of_it_passes(
    wire: Wire, *, sender: str, receiver: str, source: str, to: str, port: int, uid: int
) -> None:
    """So that the test above shows the table's work, not the wiring's."""
    sides = {"gateway": wire.gateway, "peer": wire.peer, "lan": wire.lan}

    ends = sides[sender], sides[receiver]
    assert arrives(*ends, source=source, to=to, port=port, uid=uid, within_s=HANG_S)


@pytest.mark.network
def test_echo_is_answered_and_a_reply_of_a_peer_comes_back(walled: Wire) -> None:
    walled.peer.shell("ping", "-6", "-c1", "-W60", "-I", f"{ONE}:10::2", f"{ONE}::3")
    walled.gateway.shell("ping", "-6", "-c1", "-W60", "-I", f"{ONE}::3", f"{ONE}:10::2")


@pytest.mark.network
def test_what_is_dropped_is_counted(walled: Wire) -> None:
    assert not arrives(walled.peer, walled.gateway, source=f"{ONE}:10::2", to=f"{OTHER}::3")

    listed = walled.gateway.shell(
        "nft", "list", "chain", "inet", walled.gateway.interface, "prerouting"
    )

    # A busy kernel's own neighbour discovery may be dropped, and counted, beside it.
    assert re.search(r"!= @networks counter packets [1-9]", listed)
