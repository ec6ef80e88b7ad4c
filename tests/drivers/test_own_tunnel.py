from ipaddress import IPv6Address
from pathlib import Path

import pytest

from wgctl.core.errors import Unavailable
from wgctl.drivers.own_tunnel import api_address, apis_of, tunnel_addresses


@pytest.mark.parametrize(
    ("addresses", "apis"),
    [
        (["fdaa:0:18:10::2"], {"fdaa:0:18::3"}),
        (["fdaa:0:18:10::2", "fdaa:0:18:11::9"], {"fdaa:0:18::3"}),
        (["fdaa:0:18:10::2", "fdaa:0:19:10::2"], {"fdaa:0:18::3", "fdaa:0:19::3"}),
        (["fdaa:0:18:10:1:49a5:b802:7"], {"fdaa:0:18::3"}),
        (["fdaa:0:18::3", "fdaa:0:18:10::1", "fdaa:0:18:1::2"], set()),
        (["fe80::1", "2001:db8:0:10::2", "fcaa:0:18:10::2", "::1"], set()),
    ],
    ids=["a peer", "twice", "two networks", "restored", "a gateway's own", "others"],
)
def test_the_api_is_that_of_the_networks_that_one_is_a_peer_of(
    addresses: list[str], apis: set[str]
) -> None:
    assert apis_of(map(IPv6Address, addresses)) == set(map(IPv6Address, apis))


def test_tunnels_are_devices_without_a_link_layer(tmp_path: Path) -> None:
    for device, type_ in (("wg0", "65534"), ("eth0", "1")):
        (tmp_path / device).mkdir()
        (tmp_path / device / "type").write_text(f"{type_}\n")
    if_inet6 = tmp_path / "if_inet6"
    if_inet6.write_text(
        "fdaa0000001800100000000000000002 05 80 00 80      wg0\n"
        "fdaa0000001900100000000000000002 02 80 00 80     eth0\n"
        "fdaa0000002000100000000000000002 03 80 00 80     gone\n"
    )

    assert list(tunnel_addresses(if_inet6, tmp_path)) == [IPv6Address("fdaa:0:18:10::2")]
    assert list(tunnel_addresses(tmp_path / "none", tmp_path)) == []


def test_without_one_tunnel_it_is_what_the_name_resolves_to() -> None:
    one, other = IPv6Address("fdaa:0:18:10::2"), IPv6Address("fdaa:0:19:10::2")

    assert api_address("::1", 4280, tunnels=[one]) == "fdaa:0:18::3"
    assert api_address("::1", 4280, tunnels=[one, other]) == "::1"
    assert api_address("::1", 4280, tunnels=[]) == "::1"
    # An address of the other family does not resolve, and asks no server.
    with pytest.raises(Unavailable, match=r"tunnels to 2 networks here.*--api"):
        api_address("127.0.0.1", 4280, tunnels=[one, other])
