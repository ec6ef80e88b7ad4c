"""The views of the networks that are asked for follow rows, health, leases and time."""

import gc
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address
from itertools import count

import pytest

from peers.names import Label
from tests.daemon.networks import ACME, ALICE, BOB, MACHINE, NOW, OTHER, WEB, peer, put
from wgctl.core.check import Target
from wgctl.core.feed import Delete, Kind, Put
from wgctl.core.lease import Standing
from wgctl.core.model import App, Check, MachineState, Network
from wgctl.core.region import Vantage
from wgctl.core.view import View
from wgctl.core.wire import Qtype
from wgctl.daemon.follow import Changes
from wgctl.daemon.views import Views
from wgctl.store.copy import Copy


class Followed:
    """Views of a copy, and the feed that changes both."""

    def __init__(self, copy: Copy) -> None:
        self.now = NOW
        self._copy = copy
        self.views = Views(copy, now=lambda: self.now)

    def commit(self, *events: Put | Delete, revision: int = 2) -> None:
        self._copy.write(events, epoch="e", revision=revision)
        self.views.take(Changes(replaced=False, events=events, revision=revision))

    def names(self, network: Network) -> set[str]:
        """Return the names of apps and peers, and those that every network has."""
        view = self.views.of(network.prefix.network_address.packed[:6])
        assert view is not None
        return {
            b".".join(name).decode()
            for name in view.names()
            if name[1:] in {(), (b"internal",), (b"_peer", b"internal")}
        }


FIXED = {
    *("internal", "flycast"),
    *("_api.internal", "_apps.internal", "_peer.internal", "_instances.internal"),
}


def test_a_network_s_view_holds_its_own_rows(copy: Copy) -> None:
    followed = Followed(copy)

    assert followed.names(ACME) == FIXED | {
        "web.internal",
        "peer2._peer.internal",
        "peer3._peer.internal",
    }
    assert followed.names(OTHER) == FIXED | {"peer4._peer.internal"}


def test_a_network_that_is_not_there_has_no_view(copy: Copy) -> None:
    assert Followed(copy).views.of(bytes.fromhex("fdaa00000020")) is None


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (put(peer(5, ACME)), {"peer5._peer.internal"}),
        (put(App(2, 1, 1, Label("db"), 0)), {"db.internal"}),
        (Delete(Kind.PEER, ALICE.id), {"peer2._peer.internal"}),
        (Delete(Kind.APP, WEB.id), {"web.internal"}),
        (put(replace(ALICE, name=Label("anna"))), {"peer2._peer.internal", "anna._peer.internal"}),
    ],
)
def test_a_change_is_in_the_next_answer_and_leaves_other_views_alone(
    copy: Copy, event: Put | Delete, changed: set[str]
) -> None:
    followed = Followed(copy)
    before, other = followed.names(ACME), followed.views.of(OTHER.prefix.network_address.packed[:6])
    followed.commit(event)

    assert followed.names(ACME) ^ before == changed
    assert followed.views.of(OTHER.prefix.network_address.packed[:6]) is other


@pytest.mark.parametrize(
    "event", [Delete(Kind.MACHINE, 1), put(replace(MACHINE, state=MachineState.STOPPED))]
)
def test_a_machine_that_stops_leaves_its_app(copy: Copy, event: Put | Delete) -> None:
    followed = Followed(copy)
    prefix, name = ACME.prefix.network_address.packed[:6], (b"web", b"internal")
    before = followed.views.of(prefix)
    assert before is not None
    assert before.names()[name].records
    followed.commit(event)

    after = followed.views.of(prefix)
    assert after is not None
    assert not after.names()[name].records


def test_a_machine_that_fails_leaves_its_app_and_no_other_view_is_built_anew(copy: Copy) -> None:
    second = replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id)
    copy.write([put(second)], epoch="e", revision=2)
    followed = Followed(copy)
    prefix, other = (net.prefix.network_address.packed[:6] for net in (ACME, OTHER))
    untouched = followed.views.of(other)

    def answered(*name: bytes) -> int:
        view = followed.views.of(prefix)
        assert view is not None
        records = view.names()[(*name, b"web", b"internal")].records.get(Qtype.AAAA)
        return 0 if records is None else len(records.pick(0))

    counts = []
    for failing in (set(), {1}, {1, 2}, {2}, set()):
        followed.views.leave_out(ACME.id, frozenset(failing))
        counts.append((answered(), answered(b"m1", b"vm")))

    assert counts == [(2, 1), (1, 1), (2, 1), (1, 1), (2, 1)]  # none that passes: all are given
    assert followed.views.of(other) is untouched


def test_a_check_that_changes_builds_no_view_anew(copy: Copy) -> None:
    followed = Followed(copy)
    prefix = ACME.prefix.network_address.packed[:6]
    before = followed.views.of(prefix)
    check = Check(5, 1, ACME.id, MACHINE.id, Target(80), 10, 2, 30, 2, 3)
    followed.commit(put(check))
    followed.commit(Delete(Kind.CHECK, check.id), revision=3)

    assert followed.views.of(prefix) is before


def test_what_changes_replace_goes_without_a_garbage_collection(copy: Copy) -> None:
    """What answers walks through nothing that is old: what refers to itself would stay for good."""
    followed = Followed(copy)
    followed.names(ACME)
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            state = MachineState.STOPPED if number % 2 else MachineState.STARTED
            moved = put(replace(MACHINE, state=state))
            followed.views.take(Changes(replaced=False, events=(moved,), revision=number))
            followed.names(ACME)
        unreachable = gc.collect()
    finally:
        gc.enable()

    assert unreachable == 0


def test_a_deleted_network_has_no_view(copy: Copy) -> None:
    followed = Followed(copy)
    followed.names(ACME)
    followed.commit(Delete(Kind.NETWORK, ACME.id))

    assert followed.views.of(ACME.prefix.network_address.packed[:6]) is None


def test_a_snapshot_may_change_everything(copy: Copy) -> None:
    followed = Followed(copy)
    followed.names(ACME)
    with copy.replacing() as replacement:
        replacement.add(put(ACME))
        replacement.commit(epoch="f", revision=9)
    followed.views.take(Changes(replaced=True, events=(), revision=9))

    assert followed.names(ACME) == FIXED


def test_a_peer_leaves_when_its_time_is_over_without_any_change(copy: Copy) -> None:
    followed = Followed(copy)
    followed.commit(put(replace(ALICE, expires_at=NOW + 10)))

    assert "peer2._peer.internal" in followed.names(ACME)
    followed.now += 9
    assert "peer2._peer.internal" in followed.names(ACME)
    followed.now += 1
    assert "peer2._peer.internal" not in followed.names(ACME)


def leased(copy: Copy, clock: Callable[[], float]) -> tuple[Views, Callable[[], set[int]]]:
    """Return views of a copy in which `m1` has a lease, and what `web` answers with."""
    copy.write([put(replace(MACHINE, lease_s=15))], epoch="e", revision=2)
    views = Views(copy, now=lambda: NOW + int(clock()), clock=clock)

    def answered() -> set[int]:
        view = views.of(ACME.prefix.network_address.packed[:6])
        assert view is not None
        node = view.find((b"web", b"internal"))
        assert node is not None
        return {
            int.from_bytes(one.record[6:10], "big")
            for found in node.records.values()
            for one in found.pick(0)
        }

    return views, answered


def test_a_machine_leaves_when_its_lease_ends_without_any_change(copy: Copy) -> None:
    """And no answer of the last seconds may be kept for longer than it is there."""
    passed = 0.0
    views, answered = leased(copy, lambda: passed)
    views.hear({1: Standing(15.0, healthy=True, holder="")})
    seen = []
    for passed in (0.0, 8.0, 10.0, 12.5, 14.9, 15.0):  # noqa: B007  # the clock reads it
        seen += [answered()]

    assert seen == [{5}, {5}, {3}, {1}, {0}, set()]


def test_a_renewed_lease_keeps_its_view(copy: Copy) -> None:
    passed = 0.0
    views, answered = leased(copy, lambda: passed)
    views.hear({1: Standing(15.0, healthy=True, holder="")})
    prefix = ACME.prefix.network_address.packed[:6]
    first = views.of(prefix)
    for passed in (5.0, 10.0, 20.0):  # the clock reads it
        views.hear({1: Standing(passed + 15, healthy=True, holder="")})
        assert answered() == {5}
    last = views.of(prefix)

    assert first is not None
    assert last is not None
    assert first.branches is last.branches


def test_an_announcers_word_counts_at_once(copy: Copy) -> None:
    """One that is ill and alone still answers; one that was withdrawn does not."""
    views, answered = leased(copy, lambda: 1.0)
    prefix = ACME.prefix.network_address.packed[:6]
    assert answered() == {5}

    views.hear({1: Standing(16.0, healthy=False, holder="")})
    ill = views.of(prefix)
    assert ill is not None
    node = ill.find((b"web", b"internal"))
    assert node is not None
    assert node.records[Qtype.AAAA].note
    views.hear({1: Standing(1.0, healthy=False, holder="")})
    assert answered() == set()


def test_a_machine_is_not_answered_beside_others_before_its_announcer_was_heard(copy: Copy) -> None:
    """Its row may come before the word that it is not healthy yet; alone it still answers."""
    views, _ = leased(copy, lambda: 1.0)
    copy.write(
        [put(replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id))], epoch="e", revision=3
    )

    def answered() -> set[bytes]:
        view = views.of(ACME.prefix.network_address.packed[:6])
        assert view is not None
        node = view.find((b"web", b"internal"))
        assert node is not None
        return {found.record[-16:] for found in node.records[Qtype.AAAA].pick(0)}

    alice, bob = ALICE.address.packed, BOB.address.packed
    assert answered() == {alice, bob}  # nothing is known of any lease
    views.hear({})
    assert answered() == {alice}
    views.hear({1: Standing(16.0, healthy=True, holder="")})
    assert answered() == {alice, bob}


def test_a_machine_that_was_heard_of_late_is_back(copy: Copy) -> None:
    passed = 0.0
    views, answered = leased(copy, lambda: passed)
    seen = [answered()]
    passed = 16.0
    seen += [answered()]
    views.hear({1: Standing(31.0, healthy=True, holder="")})

    assert [*seen, answered()] == [{5}, set(), {5}]


def test_a_lease_that_was_never_heard_of_is_forgotten_with_its_machine(copy: Copy) -> None:
    """One that comes, even under its id, has its whole time."""
    passed = 0.0
    views, answered = leased(copy, lambda: passed)
    assert answered() == {5}
    passed = 16.0
    assert answered() == set()

    again = (Delete(Kind.MACHINE, 1), put(replace(MACHINE, lease_s=15)))
    views.take(Changes(replaced=False, events=again, revision=3))
    assert answered() == {5}


def test_a_view_that_takes_long_to_build_is_not_built_for_every_word_on_health(copy: Copy) -> None:
    """A peer may say so 4 times a second; each time all other networks would wait."""
    passed = 0.0
    copy.write([put(replace(MACHINE, lease_s=15))], epoch="e", revision=2)
    timer = count(0, 0.25)  # Each build seems to take as long: it is good for 5 s.
    views = Views(copy, now=lambda: NOW, clock=lambda: passed, timer=lambda: next(timer))

    def seen() -> View | None:
        return views.of(ACME.prefix.network_address.packed[:6])

    def flip(*, healthy: bool) -> None:
        views.hear({1: Standing(15.0, healthy=healthy, holder="")})
        views.leave_out(ACME.id, frozenset() if healthy else frozenset({1}))

    first = seen()
    for passed in (0.5, 1.0, 4.9):  # the clock reads it
        flip(healthy=passed != 1.0)
        assert seen() is first
    passed = 5.0
    second = seen()
    assert second is not first
    views.hear({1: Standing(passed, healthy=True, holder="")})
    ended = seen()
    assert ended is not second
    passed = 11.0
    assert seen() is ended
    flip(healthy=False)
    assert seen() is not ended


def test_a_clock_that_is_set_back_keeps_nobody(copy: Copy) -> None:
    followed = Followed(copy)
    followed.commit(put(replace(ALICE, expires_at=NOW + 10)))
    assert "peer2._peer.internal" in followed.names(ACME)
    before = followed.views.of(ACME.prefix.network_address.packed[:6])
    followed.now -= 3600

    assert followed.views.of(ACME.prefix.network_address.packed[:6]) is not before


def test_near_is_what_is_near_to_this_host(copy: Copy) -> None:
    far = replace(MACHINE, id=2, name=Label("m2"), peer_id=ALICE.id, region=Label("iad"))
    copy.write([put(far)], epoch="e", revision=2)

    def nearest(here: Vantage) -> IPv6Address:
        view = Views(copy, now=lambda: NOW, here=here).of(ACME.prefix.network_address.packed[:6])
        assert view is not None
        node = view.find((b"top1", b"nearest", b"of", b"web", b"internal"))
        assert node is not None
        return IPv6Address(node.records[Qtype.AAAA].pick(0)[0].record[-16:])

    assert nearest(Vantage(Label("fra"))) == BOB.address
    assert nearest(Vantage(Label("ord"))) == ALICE.address
    assert nearest(Vantage(Label("fra"), {Label("iad"): 1})) == ALICE.address


def test_a_network_that_nobody_asks_from_is_forgotten_and_read_anew(copy: Copy) -> None:
    views = Views(copy, now=lambda: NOW)
    acme, other = (net.prefix.network_address.packed[:6] for net in (ACME, OTHER))
    first = [views.of(acme), views.of(other)]
    views.forget_idle()
    kept = views.of(acme)
    views.forget_idle()
    views.forget_idle()

    assert kept is first[0]
    assert views.of(acme) is not first[0]
    assert views.of(other) is not first[1]


def test_who_keeps_replies_hears_which_networks_are_wrong(copy: Copy) -> None:
    heard: list[bytes] = []
    views = Views(copy, now=lambda: NOW, stale=heard.append)
    acme, other = (net.prefix.network_address.packed[:6] for net in (ACME, OTHER))
    for network in (acme, other):
        views.of(network)
    views.take(Changes(replaced=False, events=(put(peer(5, ACME)),), revision=2))
    assert heard == [acme]
    views.take(Changes(replaced=True, events=(), revision=3))

    assert sorted(heard[1:]) == [acme, other]
