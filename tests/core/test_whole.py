from dataclasses import replace
from ipaddress import IPv6Network

import pytest

from peers.keys import PresharedKey, PrivateKey
from peers.names import Label
from wgctl.core.model import Network, Peer
from wgctl.core.plan import desired
from wgctl.core.tunnel import Host, Tunnel
from wgctl.core.whole import Whole

HOST = Host(
    interface="wgctl0",
    pool=IPv6Network("fdaa::/16"),
    private_key=PrivateKey.generate(),
    listen_port=51820,
    mtu_bytes=1420,
    own_uids=frozenset({0}),
)
KEYS = [PrivateKey.generate().public() for _ in range(3)]
PSK = PresharedKey.generate()


def network(id_: int) -> Network:
    return Network(id_, 1, Label(f"n{id_}"), IPv6Network((0xFDAA << 112 | id_ << 80, 48)), 0)


def tunnel(*network_ids: int, peers: tuple[int, ...] = (), sealed: bool = False) -> Tunnel:
    rows = [
        Peer(
            *(id_, 1, 1, 1, Label(f"p{id_}"), "operator", KEYS[id_]),
            *(network(1).prefix[(16 << 64) + 2 + id_], 0, None),
        )
        for id_ in peers
    ]
    psks = dict.fromkeys(peers, PSK) if sealed else {}
    networks = [network(id_) for id_ in network_ids]
    return desired(networks, rows, host=HOST, now=0, preshared_keys=psks)


def test_a_part_takes_the_place_of_another_and_all_else_stays() -> None:
    whole = Whole(tunnel(1, 2, peers=(0, 1)))

    whole.amend(tunnel(1, 2, peers=(1,)), tunnel(1, 3, peers=(2,), sealed=True))

    amended, expected = whole.tunnel(), tunnel(1, 3, peers=(0, 2))
    assert expected.device is not None
    keys = {KEYS[2].raw: PSK}
    assert amended == replace(expected, device=replace(expected.device, preshared_keys=keys))


def test_a_tunnel_that_was_given_out_stays_as_it_was() -> None:
    whole = Whole(tunnel(1, peers=(0,)))
    given = whole.tunnel()

    whole.amend(tunnel(1, peers=(0,)), tunnel(2))

    assert given == tunnel(1, peers=(0,))
    assert whole.tunnel() == tunnel(2)


@pytest.mark.parametrize(
    "less",
    [
        replace(tunnel(1), firewall=None),
        replace(tunnel(1), link=None),
        replace(tunnel(1), device=None),
    ],
    ids=["firewall", "link", "device"],
)
def test_every_part_must_be_there(less: Tunnel) -> None:
    with pytest.raises(ValueError, match="not there"):
        Whole(less)
