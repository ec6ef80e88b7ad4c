import tracemalloc
from dataclasses import replace

import pytest

from peers.names import Label
from tests.core.names.samples import peer
from wgctl.core.names.peers import PEERS, PeerBranch, at_address
from wgctl.core.wire import Labels

ONE, TWO, THREE = peer(1), peer(2), peer(3)


def at(name: str) -> Labels:
    return (name.encode(), *PEERS)


def test_a_peer_is_found_by_its_name_as_it_is_written_down() -> None:
    branch = PeerBranch([ONE, TWO])

    assert branch.find(at(ONE.name)) == at_address(ONE.address)
    assert branch.names == {
        PEERS: branch.names[PEERS],
        at(ONE.name): at_address(ONE.address),
        at(TWO.name): at_address(TWO.address),
    }
    assert branch.find(PEERS) == branch.names[PEERS]


@pytest.mark.parametrize("labels", [at("nobody"), (b"x", *at(ONE.name)), (b"peer1", b"internal")])
def test_no_other_name_is_found(labels: Labels) -> None:
    assert PeerBranch([ONE]).find(labels) is None


def test_of_the_same_peers_it_is_the_same_branch() -> None:
    branch = PeerBranch([ONE, TWO])

    assert branch.after([replace(ONE), TWO]) is branch
    assert branch.after([TWO]) is not branch


def test_what_a_change_leaves_alone_stays_the_same_object() -> None:
    branch = PeerBranch([ONE, TWO])
    stood = branch.find(at(ONE.name))

    assert branch.after([ONE]).after([ONE, THREE]).find(at(ONE.name)) is stood


def test_a_peer_that_moves_or_goes_is_not_found_where_it_was() -> None:
    branch = PeerBranch([ONE, TWO])
    for one in (ONE, TWO):
        branch.find(at(one.name))
    after = branch.after([replace(ONE, address=THREE.address)])

    assert after.find(at(ONE.name)) == at_address(THREE.address)
    assert after.find(at(TWO.name)) is None


def test_a_name_that_another_peer_takes_over_is_that_ones() -> None:
    branch = PeerBranch([ONE])
    branch.find(at(ONE.name))
    gone = branch.after([])
    taken = replace(TWO, name=Label(ONE.name))

    assert gone.after([taken]).find(at(ONE.name)) == at_address(TWO.address)


def test_who_asks_for_the_list_or_for_nobody_has_no_other_name_put_together() -> None:
    """A crowd's would be in memory for each change that somebody asks after."""
    crowd = [peer(number) for number in range(2, 1_002)]

    def asked(branch: PeerBranch) -> PeerBranch:
        assert branch.find(PEERS)
        assert branch.find(at("nobody")) is None
        return branch

    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    branch = asked(PeerBranch(crowd))
    for number in range(30):
        branch = asked(branch.after([peer(2_000 + number), *crowd]))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert after - before < 500_000
