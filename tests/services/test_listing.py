from ipaddress import IPv6Network

import pytest

from peers.names import Label
from wgctl.core.model import Network
from wgctl.services.listing import START, through

_HELD = {"a": ["p", "q"], "b": [], "c": ["a", "z"]}
_NETWORKS = [
    Network(number, 1, Label(name), IPv6Network(f"fdaa:0:{number}::/48"), 0)
    for number, name in enumerate(_HELD)
]


def _names(after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    def find(network: Network, past: str, most: int) -> list[str]:
        assert most > 0
        return [name for name in _HELD[network.name] if name > past][:most]

    return [
        (network.name, name) for network, name in through(_NETWORKS, find, after=after, limit=limit)
    ]


@pytest.mark.parametrize(
    ("after", "limit", "found"),
    [
        (START, 9, ["ap", "aq", "ca", "cz"]),
        (START, 2, ["ap", "aq"]),
        (("a", "p"), 2, ["aq", "ca"]),
        (("a", "z"), 9, ["ca", "cz"]),
        (("b", ""), 9, ["ca", "cz"]),
        (("c", "z"), 9, []),
        (("d", ""), 9, []),
    ],
)
def test_a_part_goes_on_where_the_last_one_ended(
    after: tuple[str, str], limit: int, found: list[str]
) -> None:
    assert ["".join(names) for names in _names(after, limit)] == found


def test_no_network_is_asked_that_the_part_has_no_room_for() -> None:
    asked: list[str] = []

    def find(network: Network, _past: str, _most: int) -> list[str]:
        asked.append(network.name)
        return _HELD[network.name]

    through(_NETWORKS, find, after=START, limit=2)

    assert asked == ["a"]
