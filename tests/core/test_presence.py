from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.presence import Presence, Strangers

IDLE_S = 600
OLD, NEW = bytes(11) + b"\1", bytes(11) + b"\2"


def entered(*peer_ids: int, at: int = 1000) -> Presence:
    presence = Presence(idle_s=IDLE_S)
    for peer_id in peer_ids:
        presence.enter(peer_id, now=at, timestamp=OLD)
    return presence


def test_who_entered_is_there_until_it_leaves() -> None:
    presence = entered(1, 2)

    assert presence.leave(1) == OLD
    assert (1 in presence, 2 in presence, list(presence), len(presence)) == (False, True, [2], 1)
    assert presence.leave(1) == b"", "it is gone already"


def test_who_had_no_handshake_for_long_is_idle_and_who_never_had_one_sooner() -> None:
    presence = entered(1, 2, 3)
    handshakes = {1: 1005, 2: None}

    assert presence.idle(handshakes, now=1029) == []
    assert presence.idle(handshakes, now=1030) == [2, 3]
    assert presence.idle(handshakes, now=1604) == [2, 3]
    assert presence.idle(handshakes, now=1605) == [1, 2, 3]


def test_who_proves_to_be_there_stays_also_where_its_handshake_did_not_end() -> None:
    presence = entered(1, 2)
    presence.hear(1, now=1500, timestamp=NEW)
    presence.hear(2, now=1500, timestamp=NEW)

    assert presence.idle({1: 1005}, now=1529) == []
    assert presence.idle({1: 1005}, now=1530) == [2]
    assert presence.idle({1: 1005}, now=2100) == [1, 2]


def test_where_the_clock_goes_back_who_is_idle_leaves_and_nobody_else() -> None:
    """It may go back by years, where it was set for the first time."""
    presence = entered(1, 2, 3, at=9000)
    handshakes = {1: 9000, 2: 9000}

    assert presence.idle(handshakes, now=5000) == []
    assert presence.idle(handshakes, now=5030) == [3]
    assert presence.idle({1: 9000, 2: 5599}, now=5599) == [3]
    assert presence.idle({1: 9000, 2: 5599}, now=5600) == [1, 3]


def test_a_handshake_may_come_as_it_is_looked_at() -> None:
    """The device tells what happened a moment after `now`."""
    presence = entered(1)

    assert presence.idle({1: 1601}, now=1600) == []


def test_what_was_heard_before_proves_nothing() -> None:
    presence = entered(1)

    heard = [presence.hear(1, now=1500, timestamp=timestamp) for timestamp in (OLD, NEW, NEW, OLD)]

    assert heard == [False, True, False, False]
    assert presence.leave(1) == NEW


def test_who_carries_a_machine_never_leaves_until_its_last_one_is_gone() -> None:
    presence = entered(1)
    presence.carry(10, 1)
    presence.carry(11, 1)
    presence.drop(10)

    assert (presence.carries(1), presence.carriers()) == (True, [1])
    assert presence.idle({}, now=10_000) == []
    presence.drop(11)
    presence.drop(11)
    assert (presence.carries(1), presence.carriers()) == (False, [])
    assert presence.idle({}, now=10_000) == [1]


def test_a_machine_is_on_one_peer_at_a_time() -> None:
    presence = entered(1, 2)
    presence.carry(10, 1)
    presence.carry(10, 2)

    assert presence.carriers() == [2]
    presence.forget_machines()
    assert presence.carriers() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3) | st.none()), max_size=20))
def test_carriers_are_the_peers_of_the_machines_there_are(
    moves: list[tuple[int, int | None]],
) -> None:
    presence = entered()
    machines: dict[int, int] = {}
    for machine, peer in moves:
        if peer is None:
            presence.drop(machine)
            machines.pop(machine, None)
        else:
            presence.carry(machine, peer)
            machines[machine] = peer

    assert presence.carriers() == sorted(set(machines.values()))


def test_a_stranger_is_known_for_ten_seconds_or_until_it_is_a_peer() -> None:
    strangers = Strangers()
    for key in (b"one", b"other"):
        strangers.note(key, now=5.0)
    strangers.forget(b"other")

    assert [strangers.knows(b"one", now=now) for now in (5.0, 14.9, 15.0)] == [True, True, False]
    assert not strangers.knows(b"other", now=5.0)
    assert not strangers.knows(b"nobody", now=5.0)


def test_no_more_strangers_are_kept_than_there_is_room_for() -> None:
    strangers = Strangers()
    for number in range(10_001):
        strangers.note(number.to_bytes(4), now=0.0)

    known = [strangers.knows(number.to_bytes(4), now=1.0) for number in (0, 1, 10_000)]
    assert known == [False, True, True]
