from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from peers.names import Label
from tests.store.samples import NOW, key
from wgctl.core.feed import Snapshot
from wgctl.core.model import Network, Peer, Role
from wgctl.core.schema import RoleReport
from wgctl.core.setback import NAMED, Some, Undone, told

_PREFIX = IPv6Network("fdaa:0:1::/48")
_NETWORK = Network(id=1, org_id=1, name=Label("lab"), prefix=_PREFIX, created_at=NOW)
_NONE = Undone(*[Some(0, ())] * 3)


def _peer(number: int) -> Peer:
    return Peer(
        id=number,
        org_id=1,
        network_id=1,
        gateway_id=1,
        name=Label(f"peer-{number}"),
        owner="operator",
        public_key=key(number),
        address=IPv6Address(int(_PREFIX.network_address) + number),
        created_at=NOW,
        expires_at=None,
    )


def _never() -> Undone:
    raise AssertionError("every row is compared only for who is set back")


@pytest.mark.parametrize(
    ("position", "snapshot", "revision"),
    [
        (("", 0), Snapshot("b", None), 9),
        (("a", 5), Snapshot("a", None), 9),
        (("a", 9), Snapshot("a", None), 9),
        (("a", 5), Snapshot("b", 5), 1_000),
        (("a", 4), Snapshot("b", 5), 1_000),
    ],
    ids=["empty", "fell behind", "stands there", "nothing lost", "was behind the back-up"],
)
def test_who_has_seen_nothing_newer_is_not_set_back(
    position: tuple[str, int], snapshot: Snapshot, revision: int
) -> None:
    assert told(position, snapshot, revision, _never) is None


@pytest.mark.parametrize(
    ("position", "snapshot", "revision", "how"),
    [
        (("a", 6), Snapshot("b", 5), 1_000, "from a back-up of revision 5, this role had 6"),
        (("a", 6), Snapshot("a", None), 5, "went back from revision 6 to 5, and not by wgctl"),
        (("a", 6), Snapshot("b", None), 9, "another store took the place"),
    ],
)
def test_who_has_seen_more_says_so(
    position: tuple[str, int], snapshot: Snapshot, revision: int, how: str
) -> None:
    found = told(position, snapshot, revision, lambda: _NONE)

    assert found is not None
    assert how in found
    assert found.endswith("; no network or peer differs")


def test_what_goes_and_what_comes_back_is_named_with_its_address() -> None:
    """Somebody holds a config with that address, or has a key that works again."""
    undone = Undone(Some(2, [_NETWORK, _peer(1)]), Some(1, [_peer(2)]), Some(1, [_peer(3)]))
    found = told(("a", 6), Snapshot("b", 5), 9, lambda: undone)

    assert found is not None
    assert found.endswith(
        "; gone: lab fdaa:0:1::/48, peer-1 fdaa:0:1::1; back: peer-2 fdaa:0:1::2; "
        "with an earlier key: peer-3 fdaa:0:1::3"
    )


@pytest.mark.parametrize("count", [0, 1, 20, 21, 5_000])
def test_it_is_never_longer_than_a_report_takes(count: int) -> None:
    longest = IPv6Address(2**128 - 1)
    rows = [replace(_peer(1), name=Label("n" * 63), address=longest)] * count
    undone = Undone(*[Some(count, rows[:NAMED])] * 3)
    for position, cut in ((("a", 2**63), 2**63 - 1), (("b", 2**63), None), (("a", 2**63), None)):
        found = told(position, Snapshot("b", cut), 1, lambda: undone)

        assert (
            RoleReport(role=Role.GATEWAY, revision=1, started_at=NOW, setback=found).setback
            == found
        )
        assert count <= 20 or f"and {count - 20} more" in str(found)
