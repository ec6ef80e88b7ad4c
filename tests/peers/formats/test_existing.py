import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import InvalidConfig
from peers.formats import networkd, networkmanager, wg_quick
from peers.formats.existing import Existing, parse
from peers.formats.tunnel import Dns, Tunnel
from tests.peers.formats.samples import PRIVATE, interfaces, tunnels

KEY = PRIVATE.text()
SUFFIXES = [".conf", ".netdev", ".nmconnection"]

# As `wg genkey` with NetworkManager, nmcli and hand-written files of networkd leave them.
NETDEV = f"""\
# office
[NetDev]
Name = wg0
Kind = wireguard

[WireGuard]
ListenPort = 51820
PrivateKey = {KEY}

[WireGuardPeer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 10.0.0.0/8

[WireGuardPeer]
PublicKey = HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=
"""
CONNECTION = f"""\
[connection]
id=Office VPN
type=wireguard
interface-name=wg0

[wireguard]
private-key={KEY}
"""


@given(tunnels(), interfaces, st.sampled_from(Dns))
def test_what_we_render_is_read(tunnel: Tunnel, interface: str, dns: Dns) -> None:
    key = tunnel.private_key
    netdev, _ = networkd.render(tunnel, interface=interface, dns=dns)
    connection = networkmanager.render(tunnel, interface=interface, dns=dns)

    assert parse(wg_quick.render(tunnel, dns=dns), suffix=".conf") == Existing(
        "wg-quick", key, None
    )
    assert parse(netdev, suffix=".netdev") == Existing("networkd", key, interface)
    assert parse(connection, suffix=".nmconnection") == Existing("networkmanager", key, interface)


@pytest.mark.parametrize(
    ("text", "suffix", "form"),
    [
        (NETDEV, ".netdev", "networkd"),
        (CONNECTION, ".nmconnection", "networkmanager"),
        (CONNECTION, ".NMConnection", "networkmanager"),
        (NETDEV.replace("\n", "\r\n"), ".netdev", "networkd"),
    ],
)
def test_what_others_write_is_read(text: str, suffix: str, form: str) -> None:
    assert parse(text, suffix=suffix) == Existing(form, PRIVATE, "wg0")


@pytest.mark.parametrize("suffix", ["", ".conf", ".txt"])
def test_other_files_are_read_as_those_of_wg_quick(suffix: str) -> None:
    found = parse(f"[Interface]\nPrivateKey = {KEY}\nAddress = 10.0.0.2/24\n", suffix=suffix)

    assert found == Existing("wg-quick", PRIVATE, None)


def test_an_interface_that_we_would_not_write_is_left_open() -> None:
    assert parse(NETDEV.replace("wg0", "wg@home"), suffix=".netdev").interface is None


@pytest.mark.parametrize(
    ("text", "suffix", "rule"),
    [
        (NETDEV.replace("[WireGuard]", "[Wire]"), ".netdev", r"no \[WireGuard\] section"),
        (NETDEV.replace("[NetDev]", "[Link]"), ".netdev", r"no \[NetDev\] section"),
        (NETDEV.replace("PrivateKey =", "PrivateKeyFile ="), ".netdev", "wg pubkey"),
        (NETDEV.replace("PrivateKey =", "Private ="), ".netdev", "no PrivateKey in"),
        (NETDEV.replace("PrivateKey =", "PrivateKey = x"), ".netdev", "expected 44 characters"),
        (CONNECTION.replace("private-key=", "flags="), ".nmconnection", "no private-key in"),
        (CONNECTION.replace("[wireguard]", "[vpn]"), ".nmconnection", r"no \[wireguard\] section"),
        (f"private-key={KEY}", ".nmconnection", "line 1: expected"),
        (f"[wireguard]\n{KEY[:-1]}", ".nmconnection", "line 2: expected"),
        (f"[Interface]\nPrivateKey {KEY}", ".conf", "line 2"),
        ("x" * (2**20 + 1), ".netdev", "1048577 characters"),
    ],
)
def test_what_is_no_config_is_refused_and_no_key_is_told(text: str, suffix: str, rule: str) -> None:
    with pytest.raises(InvalidConfig, match=rule) as refusal:
        parse(text, suffix=suffix)

    assert KEY[:20] not in str(refusal.value)


@given(st.text() | st.lists(st.sampled_from([*NETDEV.split(), "\n", "=", "["])).map("".join))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    for suffix in SUFFIXES:
        try:
            found = parse(text, suffix=suffix)
        except InvalidConfig:
            continue
        assert found.private_key.text() in text
