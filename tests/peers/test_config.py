import dataclasses
import subprocess
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.config import Config, Interface, PeerSection, parse, render
from peers.endpoint import Endpoint
from peers.errors import Invalid, InvalidConfig
from peers.keys import PresharedKey, PrivateKey, PublicKey
from tests.patience import HANG_S

PRIVATE = PrivateKey.parse("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")
PUBLIC = PublicKey.parse("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
OTHER = PublicKey.parse("TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=")

INTERFACE = f"[Interface]\nPrivateKey = {PRIVATE.text()}\n"
PEER = f"[Peer]\nPublicKey = {PUBLIC}\n"

FULL = Config(
    Interface(
        private_key=PRIVATE,
        addresses=(IPv6Interface("fdaa:0:1:10::2/128"), IPv4Interface("10.0.0.2/24")),
        dns=("fdaa:0:1::3", "9.9.9.9", "~internal", "example.org"),
        mtu_bytes=1420,
        listen_port=51820,
        fwmark=0x1F,
        table="off",
        pre_up=("echo before",),
        post_up=("echo a, b", "x=1; echo $x"),
        pre_down=("true",),
        post_down=("true", "true"),
        save_config=True,
    ),
    (
        PeerSection(
            public_key=PUBLIC,
            allowed_ips=(IPv6Network("fdaa:0:1::/48"), IPv4Network("10.0.0.0/24")),
            endpoint=Endpoint("2001:db8::1", 51820),
            persistent_keepalive_s=15,
            preshared_key=PresharedKey(b"\x07" * 32),
        ),
        PeerSection(public_key=OTHER),
    ),
    ("a laptop", "", "#! [Peer]"),
)

words = st.text(
    st.characters(blacklist_categories=["C", "Z"], blacklist_characters="#"), min_size=1
)
one_line = st.lists(words, min_size=1, max_size=4).map(" ".join)
private_keys = st.binary(min_size=32, max_size=32).filter(any).map(PrivateKey.from_bytes)
public_keys = private_keys.map(PrivateKey.public)
networks = st.one_of(
    st.builds(
        lambda n, length: IPv6Network((n, length), strict=False),
        st.integers(0xFD << 120, (0xFE << 120) - 1),
        st.integers(8, 128),
    ),
    st.builds(
        lambda n, length: IPv4Network((n, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
)
addresses = st.one_of(
    st.builds(
        lambda address, length: IPv6Interface((address, length)),
        st.ip_addresses(v=6, network="fd00::/8").filter(lambda address: int(address) % 2**64),
        st.integers(0, 128),
    ),
    st.builds(
        lambda address, length: IPv4Interface((address, length)),
        st.ip_addresses(v=4, network="10.0.0.0/8"),
        st.integers(0, 32),
    ),
)
hooks = st.lists(one_line, max_size=2).map(tuple)
endpoints = st.builds(
    Endpoint,
    st.one_of(
        st.just("vpn.example.org"),
        st.ip_addresses(v=6, network="2001:db8::/32").map(str),
        st.ip_addresses(v=4, network="203.0.113.0/24").map(str),
    ),
    st.integers(1, 65535),
)
interfaces = st.builds(
    Interface,
    private_key=private_keys,
    addresses=st.lists(addresses, max_size=3).map(tuple),
    dns=st.lists(
        st.one_of(st.ip_addresses().map(str), st.sampled_from(["~internal", "a.example", "~."])),
        max_size=3,
    ).map(tuple),
    mtu_bytes=st.none() | st.integers(576, 65535),
    listen_port=st.none() | st.integers(1, 65535),
    fwmark=st.none() | st.integers(1, 2**32 - 1),
    table=st.none() | st.sampled_from(["auto", "off", "123", "main"]),
    pre_up=hooks,
    post_up=hooks,
    pre_down=hooks,
    post_down=hooks,
    save_config=st.booleans(),
)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    interface = draw(interfaces)
    others = public_keys.filter(lambda key: key != interface.private_key.public())
    keys = draw(st.lists(others, max_size=3, unique=True))
    left = draw(st.lists(networks, max_size=6, unique=True))
    shares = [tuple(left[index :: len(keys)]) for index in range(len(keys))]
    peers = (
        draw(
            st.builds(
                PeerSection,
                public_key=st.just(key),
                allowed_ips=st.just(share),
                endpoint=st.none() | endpoints,
                persistent_keepalive_s=st.none() | st.integers(1, 65535),
                preshared_key=st.none() | private_keys.map(lambda key: PresharedKey(key.raw)),
            )
        )
        for key, share in zip(keys, shares, strict=True)
    )
    comment = draw(st.lists(one_line | st.just("") | st.just("# x"), max_size=3))
    return Config(interface, tuple(peers), tuple(comment))


def interface_with(**changes: object) -> Config:
    interface = dataclasses.replace(Interface(PRIVATE), **changes)  # type: ignore[arg-type]  # a table of cases
    return Config(interface)


def wg_complaint(text: str, folder: Path) -> str:
    """Return what wg says to the file: a device that is not there when it could read all of it."""
    path = folder / "wg-quick-test.conf"
    path.write_text(text)
    path.chmod(0o600)
    stripped = subprocess.run(
        ["wg-quick", "strip", str(path)], capture_output=True, text=True, check=True, timeout=HANG_S
    )
    path.write_text(stripped.stdout)
    done = subprocess.run(
        ["wg", "setconf", "no-such-device", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    return done.stderr


# wg-quick itself up to where it looks at its arguments, then its reader of configs.
WG_QUICK_READS = """
source <(sed '/^# ~~ function override insertion point ~~/,$d' "$(type -p wg-quick)")
parse_options "$1"
IFS='|'
echo "${ADDRESSES[*]}"
DNS+=("${DNS_SEARCH[@]}")
echo "${DNS[*]}"
echo "$MTU $TABLE $SAVE_CONFIG"
echo "${PRE_UP[*]}"
echo "${POST_UP[*]}"
echo "${PRE_DOWN[*]}"
echo "${POST_DOWN[*]}"
"""


def wg_quick_reads(text: str, folder: Path) -> list[str]:
    path = folder / "wg-quick-test.conf"
    path.touch(mode=0o600)
    path.write_text(text)
    done = subprocess.run(
        ["bash", "-c", WG_QUICK_READS, "bash", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_S,
    )
    return done.stdout.splitlines()


@given(configs())
def test_what_is_rendered_reads_back_equal(config: Config) -> None:
    assert parse(render(config)) == config


@given(configs())
def test_a_config_reads_the_same_however_it_is_laid_out(config: Config) -> None:
    text = render(config)
    loud = "\n".join(
        f"  {key.swapcase()}={value.strip()}\t# remark"
        if separator and not key.startswith("#")
        else f"\t{line.upper()}\n\n"
        if line.startswith("[")
        else line
        for line in text.splitlines()
        for key, separator, value in [line.partition(" = ")]
    )

    assert parse(loud) == config
    assert parse("\ufeff" + text.replace("\n", "\r\n")) == config
    assert render(parse(text)) == text


@given(configs(), one_line)
def test_a_rendered_config_has_a_line_for_each_value_and_no_more(
    config: Config, comment: str
) -> None:
    more = dataclasses.replace(config, comment=(*config.comment, comment))

    assert render(more).count("\n") == render(config).count("\n") + 1


def test_every_field_is_written_and_read() -> None:
    assert parse(render(FULL)) == FULL
    assert all(dataclasses.astuple(FULL.interface))


def test_a_config_is_written_in_the_order_that_wg_quick_users_know() -> None:
    config = Config(
        Interface(PRIVATE, (IPv6Interface("fdaa::2/128"),), mtu_bytes=1420),
        (PeerSection(PUBLIC, (IPv6Network("fdaa::/48"),), Endpoint("203.0.113.7", 1), 15),),
        ("mine",),
    )

    assert render(config) == (
        "# mine\n"
        "[Interface]\n"
        f"PrivateKey = {PRIVATE.text()}\n"
        "Address = fdaa::2/128\n"
        "MTU = 1420\n"
        "\n"
        "[Peer]\n"
        f"PublicKey = {PUBLIC}\n"
        "AllowedIPs = fdaa::/48\n"
        "Endpoint = 203.0.113.7:1\n"
        "PersistentKeepalive = 15\n"
    )


def test_a_private_key_in_the_wrong_place_is_not_in_the_message() -> None:
    with pytest.raises(InvalidConfig, match="line 5: Endpoint: expected host:port") as refusal:
        parse(f"{INTERFACE}{PEER}Endpoint = {PRIVATE.text()}\n")

    assert PRIVATE.text()[:8] not in str(refusal.value)


def test_repr_of_a_config_shows_no_secret() -> None:
    assert PRIVATE.text() not in repr(FULL)
    assert repr(FULL).count("(…)") == 2


def test_peers_may_stand_before_the_interface_and_values_on_lines_of_their_own() -> None:
    text = f"{PEER}AllowedIPs = fdaa::/48\nAllowedIPs = 10.0.0.0/8,10.0.0.1\n{INTERFACE}DNS=::1\n"

    assert parse(text) == Config(
        Interface(PRIVATE, dns=("::1",)),
        (
            PeerSection(
                PUBLIC,
                (
                    IPv6Network("fdaa::/48"),
                    IPv4Network("10.0.0.0/8"),
                    IPv4Network("10.0.0.1/32"),
                ),
            ),
        ),
    )


@pytest.mark.parametrize("value", ["off", "OFF", "0", "00"])
def test_off_and_0_are_no_keepalive(value: str) -> None:
    (peer,) = parse(f"{INTERFACE}{PEER}PersistentKeepalive = {value}\n").peers

    assert peer.persistent_keepalive_s is None


@pytest.mark.parametrize(
    ("value", "expected"), [("off", None), ("0x0", None), ("0x1F", 31), ("010", 10)]
)
def test_a_fwmark_is_decimal_hexadecimal_or_off(value: str, expected: int | None) -> None:
    assert parse(f"{INTERFACE}FwMark = {value}\n").interface.fwmark == expected


def test_a_disabled_peer_stays_a_comment() -> None:
    """wgconfig alone reads lines that start with `#! ` as live ones."""
    disabled = "".join(f"#! {line}\n" for line in PEER.splitlines())

    assert parse(INTERFACE + disabled).peers == ()


def test_a_value_of_digits_is_not_taken_for_a_number_where_none_is_due() -> None:
    """wgconfig alone turns it into a number, and an address made of a number is a wrong one."""
    with pytest.raises(InvalidConfig, match="line 5: AllowedIPs: 10 is no prefix"):
        parse(f"{INTERFACE}{PEER}AllowedIPs = 10\n")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", r"no \[Interface\] section"),
        (PEER, r"no \[Interface\] section"),
        (INTERFACE + INTERFACE, r"line 3: expected once, the first is on line 1"),
        (INTERFACE + PEER + PEER, "line 6: PublicKey: given on line 4 already"),
        (f"{INTERFACE}MTU = 575\n", "line 3: MTU: 575, expected 576 to 65535"),
        (f"{INTERFACE}MTU = 0\n", "line 3: MTU: 0, expected 576"),
        (f"{INTERFACE}ListenPort = 65536\n", "line 3: ListenPort: 65536, expected 1 to 65535"),
        (f"{INTERFACE}FwMark = 4294967296\n", "line 3: FwMark: 4294967296, expected 1 to"),
        (f"{INTERFACE}Address = ::\n", "line 3: Address: ::, expected the address of one host"),
        (f"{INTERFACE}Address = ff02::1/64\n", "expected the address of one host"),
        (f"{INTERFACE}Address = 0.0.0.0/0\n", "expected the address of one host"),
        (f"{INTERFACE}Address = 224.0.0.1/4\n", "expected the address of one host"),
        (f"{INTERFACE}Address = ::ffff:10.0.0.1\n", "expected the address of one host"),
        (f"{INTERFACE}Address = 10.0.0.256\n", "line 3: Address: 10.0.0.256 is no address"),
        (f"{INTERFACE}Address = 10.0.0.1/33\n", "is no address"),
        (f"{INTERFACE}Address = ::1\nAddress = ::g\n", "line 4: Address: expected addresses"),
        (f"{INTERFACE}Address = ::2\nAddress = 1::2::3\n", "line 4: Address: 1::2::3 is no addr"),
        (f"{INTERFACE}DNS = 1.2.3\n", "line 3: DNS: 1.2.3 is no address"),
        (f"{INTERFACE}DNS = fdaa:3\n", "line 3: DNS: fdaa:3 is no address"),
        (f"{INTERFACE}{PEER}AllowedIPs = 10.0.0.1/8\n", "expected 10.0.0.0/8"),
        (
            f"{INTERFACE}{PEER}AllowedIPs = fdaa::1/48\n",
            "line 5: AllowedIPs: .* expected fdaa::/48",
        ),
        (f"{INTERFACE}{PEER}AllowedIPs = ::ffff:10.0.0.0/104\n", "IPv4 written as IPv6"),
        (
            f"{INTERFACE}{PEER}AllowedIPs = ::1\nAllowedIPs = ::1/128\n",
            "line 6: .*on line 5 already",
        ),
        (
            f"{INTERFACE}{PEER}AllowedIPs = ::1\n[Peer]\nPublicKey = {OTHER}\nAllowedIPs = ::1\n",
            "line 8: AllowedIPs: ::1/128 is given on line 5 already, expected once",
        ),
        (f"{INTERFACE}{PEER}Endpoint = a:0\n", "line 5: Endpoint: .* expected 1 to 65535"),
        (f"{INTERFACE}{PEER}Endpoint = [::]:1\n", "line 5: Endpoint: host :: is not the address"),
        (
            f"{INTERFACE}Address = 10.0.0.0/8\nAddress = 1::\nAddress = 0.0.0.0\n",
            r"line 5: Address: 0\.0\.0\.0, expected",
        ),
        (
            f"{INTERFACE}[Peer]\nPublicKey = {PRIVATE.public()}\n",
            "line 4: PublicKey: the interface's own, expected the other side's",
        ),
        (f"{INTERFACE}{PEER}PersistentKeepalive = 65536\n", "65536, expected 1 to 65535"),
        (f"{INTERFACE}[Peer]\nPublicKey = {'A' * 43}=\n", "line 4: PublicKey: .* low order"),
        (f"{INTERFACE}[Peer]\nPublicKey = {'A' * 42}B=\n", "line 4: PublicKey: .* canonical"),
        (f"[Interface]\nPrivateKey = {'A' * 43}=\n", "line 2: PrivateKey: all bytes are zero"),
        (f"{INTERFACE}{PEER}PresharedKey = {'A' * 43}=\n", "line 5: PresharedKey: all bytes"),
    ],
)
def test_a_file_that_says_something_wrong_is_refused_by_line_and_rule(text: str, rule: str) -> None:
    with pytest.raises(InvalidConfig, match=rule):
        parse(text)


@given(st.text(max_size=60), st.sampled_from(["", INTERFACE, f"{INTERFACE}PostUp = ", PEER]))
def test_any_text_is_a_config_or_refused(text: str, before: str) -> None:
    try:
        config = parse(before + text)
    except Invalid:
        return

    assert parse(render(config)) == config


@pytest.mark.parametrize(
    "config",
    [
        interface_with(post_up=("a\nPostUp = b",)),
        interface_with(post_up=("a\n[Peer]",)),
        interface_with(post_up=("a\r",)),
        interface_with(post_up=("a # b",)),
        interface_with(post_up=(" a",)),
        interface_with(post_up=("",)),
        interface_with(post_up=("a\u2028b",)),
        interface_with(dns=("::1, ::2",)),
        interface_with(dns=("",)),
        interface_with(dns=("x\nPostUp = id",)),
        interface_with(table="1\nPostUp = id"),
        interface_with(table=""),
        interface_with(mtu_bytes=1),
        interface_with(listen_port=0),
        interface_with(fwmark=2**32),
        interface_with(addresses=(IPv6Interface("fe80::1%eth0/64"),)),
        Config(Interface(PRIVATE), comment=("a\nPostUp = b",)),
        Config(Interface(PRIVATE), comment=("a\n# b",)),
        Config(Interface(PRIVATE), comment=("a\u0085b",)),
        Config(Interface(PRIVATE), comment=(" a",)),
        Config(Interface(PRIVATE), (PeerSection(PUBLIC), PeerSection(PUBLIC))),
        Config(Interface(PRIVATE), (PeerSection(PUBLIC, persistent_keepalive_s=0),)),
        Config(Interface(PRIVATE), (PeerSection(PUBLIC, persistent_keepalive_s=65536),)),
        Config(
            Interface(PRIVATE),
            (
                PeerSection(PUBLIC, (IPv6Network("fdaa::/48"),)),
                PeerSection(OTHER, (IPv6Network("fdaa::/48"),)),
            ),
        ),
    ],
)
def test_a_model_that_no_file_can_say_is_not_written(config: Config) -> None:
    with pytest.raises(InvalidConfig, match=r"cannot be written|would not read back") as refusal:
        render(config)
    assert PRIVATE.text() not in str(refusal.value)


def test_the_field_that_would_not_read_back_is_named() -> None:
    with pytest.raises(InvalidConfig, match=r"^Interface\.post_up would not read back"):
        render(interface_with(post_up=("a # b",)))


@given(st.text(), st.sampled_from(["comment", "post_up", "dns", "table"]))
def test_no_text_from_outside_brings_a_line_of_its_own(text: str, field: str) -> None:
    """A line end in a comment became a hook that wg-quick ran as root."""
    config = (
        Config(Interface(PRIVATE), comment=(text,))
        if field == "comment"
        else interface_with(**{field: text if field == "table" else (text,)})
    )
    try:
        rendered = render(config)
    except InvalidConfig:
        return

    assert len(rendered.splitlines()) == 3
    assert parse(rendered) == config


@pytest.mark.parametrize("config", [FULL, interface_with(), Config(Interface(PRIVATE), FULL.peers)])
def test_wg_reads_what_is_rendered(config: Config, tmp_path: Path) -> None:
    complaint = wg_complaint(render(config), tmp_path)

    assert "No such device" in complaint or "not supported" in complaint


def test_wg_quick_reads_what_is_rendered(tmp_path: Path) -> None:
    interface = FULL.interface

    assert wg_quick_reads(render(FULL), tmp_path) == [
        *("|".join(map(str, values)) for values in (interface.addresses, interface.dns)),
        f"{interface.mtu_bytes} {interface.table} 1",
        *("|".join(hooks) for hooks in (interface.pre_up, interface.post_up)),
        *("|".join(hooks) for hooks in (interface.pre_down, interface.post_down)),
    ]


def test_wg_refuses_a_line_that_is_not_its_own(tmp_path: Path) -> None:
    """So that the test above can fail."""
    assert "unrecognized" in wg_complaint(f"{INTERFACE}Foo = 1\n", tmp_path)
