"""Who comes while the gateway is at something else: at a pass, a look, a device made anew."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Thread

import pytest

from tests.daemon.visiting import KEYS, Scene, peer, scene
from tests.patience import HANG_S
from wgctl.core.feed import Kind, Put
from wgctl.core.firewall import Ruleset
from wgctl.core.presence import Fate
from wgctl.core.tunnel import Device


def as_a_pass_looks(begun: Scene, happens: Callable[[], None]) -> None:
    """Make a pass, in which something happens between its beginning and its look."""
    wireguard = begun.wireguard
    assert wireguard is not None
    original, reads = wireguard.read, count(1)

    def read() -> Device | None:
        # The first is for who is there already.
        if next(reads) == 2:
            happens()
        return original()

    wireguard.read = read  # type: ignore[method-assign]  # the moment that matters
    begun.programme.verify()
    wireguard.read = original  # type: ignore[method-assign]


def knocks_as_a_pass_looks(begun: Scene) -> None:
    """Let somebody in, who has a session at once."""

    def knocks() -> None:
        assert begun.knocks(0) is Fate.ADMITTED
        begun.sees(0, handshake=begun.now)

    as_a_pass_looks(begun, knocks)


def test_who_is_let_in_while_a_pass_looks_keeps_its_session(begun: Scene) -> None:
    """The pass knows nothing of it yet, and would take it for a surplus."""
    knocks_as_a_pass_looks(begun)

    assert begun.there() == {0}
    assert KEYS[0].raw in begun.kernel.seen
    assert begun.programme.drift == 0
    begun.programme.verify()
    assert (begun.there(), begun.programme.drift) == ({0}, 0)


def test_whom_the_device_refuses_while_a_pass_looks_is_in_it_after_the_pass(begun: Scene) -> None:
    """It is told that it is present when it tries again, and nobody else would write it."""

    def knocks() -> None:
        device = begun.kernel.device
        begun.kernel.device = None
        assert begun.knocks(0) is Fate.ADMITTED
        assert "no such device" in str(begun.programme.problem)
        begun.kernel.device = device

    as_a_pass_looks(begun, knocks)

    assert begun.there() == {0}
    assert (begun.programme.settled, begun.programme.problem) == (True, None)
    begun.programme.verify()
    assert begun.programme.drift == 0


@pytest.mark.parametrize("look", ["read", "observe"])
def test_nobody_waits_at_the_door_for_a_look_at_the_device(begun: Scene, look: str) -> None:
    """One at 10,000 peers takes 0.2 s and more, and there are two in 10 s."""
    begun.passes(10)
    original = getattr(begun.wireguard, look)
    fates: list[Fate] = []

    def looks() -> object:
        if not fates:
            knocks = Thread(target=lambda: fates.append(begun.knocks(0)), daemon=True)
            knocks.start()
            knocks.join(HANG_S)
            assert fates == [Fate.ADMITTED]
        return original()

    setattr(begun.wireguard, look, looks)
    begun.now += 10
    begun.programme.tick()
    begun.programme.verify()

    assert fates == [Fate.ADMITTED]
    assert (begun.there(), begun.programme.drift) == ({0}, 0)


@pytest.mark.parametrize("before", [False, True])
def test_who_is_let_in_as_the_device_is_made_anew_is_in_the_new_one(
    begun: Scene, *, before: bool
) -> None:
    """Whether it was written to the one that went, or to none."""

    def knocks() -> None:
        if not before:
            begun.kernel.lose_link()
        begun.knocks(0)
        begun.kernel.lose_link()

    as_a_pass_looks(begun, knocks)

    assert begun.there() == {0}
    assert (begun.programme.settled, begun.programme.problem) == (True, None)
    drift = begun.programme.drift
    begun.programme.verify()
    assert begun.programme.drift == drift


def test_whom_the_device_refuses_while_the_table_is_looked_at_is_written_by_the_next_pass(
    begun: Scene,
) -> None:
    original = begun.firewall.read

    def read() -> Ruleset | None:
        device = begun.kernel.device
        begun.kernel.device = None
        begun.knocks(0)
        begun.kernel.device = device
        return original()

    begun.firewall.read = read  # type: ignore[method-assign]  # the moment that matters
    begun.programme.mend_firewall()
    begun.firewall.read = original  # type: ignore[method-assign]

    assert not begun.programme.settled
    begun.programme.verify()
    assert begun.there() == {0}
    assert (begun.programme.problem, begun.programme.drift) == (None, 0)


@pytest.mark.parametrize("anew", [False, True])
def test_whose_time_comes_while_a_pass_looks_leaves_at_the_next_tick(
    begun: Scene, *, anew: bool
) -> None:
    """Also where somebody else is let in meanwhile; the pass would put it back otherwise."""
    begun.commit(Put(Kind.PEER, peer(1, expires_at=begun.now + 10)))
    begun.knocks(1)
    if anew:
        begun.programme.load()

    def knocks() -> None:
        begun.now += 10
        assert begun.knocks(0) is Fate.ADMITTED

    as_a_pass_looks(begun, knocks)
    begun.passes(0)

    assert begun.there() == {0}
    assert (begun.programme.settled, begun.programme.drift) == (True, 0)


def test_who_is_let_in_before_anything_can_be_written_is_there_once_it_can(
    tmp_path: Path,
) -> None:
    with scene(tmp_path) as begun:
        begun.fill(peer(0))
        begun.start()
        begun.programme.load()
        knocks_as_a_pass_looks(begun)

        assert begun.programme.settled
        assert begun.there() == {0}
