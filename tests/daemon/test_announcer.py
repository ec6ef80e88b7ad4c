"""An announcer and an API that answers what the test wants, each renewal as soon as it can be."""

import queue
from collections import deque
from ipaddress import IPv6Address
from typing import cast

import pytest

from tests.patience import HANG_S
from wgctl.client.internal import InternalApi
from wgctl.core.errors import (
    Conflict,
    Denied,
    Exhausted,
    Invalid,
    NotFound,
    Refusal,
    Unavailable,
)
from wgctl.core.lease_schema import NewLease, Renewal
from wgctl.core.schema import Machine
from wgctl.daemon.announcer import Announcer

HOLDER = "0123456789abcdef" * 2


class Api:
    """Answers each request with the next of `answers`, then with yes; keeps what was asked."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = deque(answers)
        self.asked: queue.Queue[tuple[str, object]] = queue.Queue()

    def announce(self, new: NewLease) -> Machine:
        self._answer("announce", new.healthy)
        return Machine.model_construct(address=IPv6Address("::1"))

    def renew(self, name: str, renewal: Renewal) -> None:
        assert (name, renewal.holder) == ("one", HOLDER)
        self._answer("renew", renewal.healthy)

    def withdraw(self, name: str, holder: str) -> None:
        assert (name, holder) == ("one", HOLDER)
        self._answer("withdraw", None)

    def next(self) -> tuple[str, object]:
        return self.asked.get(timeout=HANG_S)

    def _answer(self, what: str, healthy: object) -> None:
        self.asked.put((what, healthy))
        answer = self.answers.popleft() if self.answers else None
        if answer is not None:
            raise answer


def announcing(api: Api, *, told: list[str], health: deque[bool] | None = None) -> Announcer:
    """Return an announcer of a lease that is so short that it is renewed at once.

    Of `health` each check takes one, and the last is for all that come after.
    """
    new = NewLease(app="web", name="one", holder=HOLDER).model_copy(update={"ttl_s": 0.03})

    def check(_address: IPv6Address) -> bool:
        assert health is not None
        return health.popleft() if len(health) > 1 else health[0]

    return Announcer(
        cast("InternalApi", api), new, check=None if health is None else check, tell=told.append
    )


def test_it_announces_renews_and_withdraws() -> None:
    api, told = Api(), list[str]()
    announcer = announcing(api, told=told)
    announcer.begin()
    announcer.start()
    first = [api.next() for _ in range(3)]
    announcer.stop()
    rest = [api.asked.get_nowait() for _ in range(api.asked.qsize())]

    assert first == [("announce", True), ("renew", True), ("renew", True)]
    assert rest[-1] == ("withdraw", None)
    assert told == []


def test_one_that_is_stopped_before_its_start_withdraws_too() -> None:
    api = Api()
    announcer = announcing(api, told=[])
    announcer.begin()
    announcer.stop()

    assert [api.next(), api.next()] == [("announce", True), ("withdraw", None)]


@pytest.mark.parametrize("kind", [Conflict, Denied, Exhausted, Invalid, NotFound])
def test_what_is_refused_at_first_is_raised(kind: type[Exception]) -> None:
    announcer = announcing(Api(kind("no")), told=[])

    with pytest.raises(kind, match="no"):
        announcer.begin()


def test_an_api_that_is_not_there_is_asked_again_and_told_of_once() -> None:
    answers = (Refusal("it failed"), Unavailable("nobody there"), NotFound("no app"), None)
    api, told = Api(*answers), list[str]()
    announcer = announcing(api, told=told)
    announcer.begin()
    announcer.start()
    asked = [api.next() for _ in range(5)]
    announcer.stop()

    assert [what for what, _ in asked] == ["announce"] * 4 + ["renew"]
    assert [line.split(":")[0] for line in told] == [
        "machine one is not announced",
        "machine one is announced again",
    ]


def test_a_lease_that_has_ended_is_announced_anew() -> None:
    """As after a time without the tunnel; and nothing goes wrong by that."""
    api, told = Api(None, NotFound("no lease"), None), list[str]()
    announcer = announcing(api, told=told)
    announcer.begin()
    announcer.start()
    asked = [api.next()[0] for _ in range(4)]
    announcer.stop()

    assert asked == ["announce", "renew", "announce", "renew"]
    assert told == []


def test_one_whose_machine_was_taken_or_removed_is_silent_from_then_on() -> None:
    answers = (None, Unavailable("down"), Conflict("machine 'one' was removed"))
    api, told = Api(*answers), list[str]()
    announcer = announcing(api, told=told)
    announcer.begin()
    announcer.start()
    assert [api.next()[0] for _ in answers] == ["announce", "renew", "renew"]
    announcer.stop()

    assert api.asked.empty()
    assert told[1:] == ["machine 'one' was removed; the command goes on unannounced"]


def test_its_health_is_told_with_the_next_renewal() -> None:
    """With a check nothing is healthy that has not passed it."""
    api = Api()
    announcer = announcing(api, told=[], health=deque([False, True, False, True]))
    announcer.begin()
    announcer.start()
    seen = [api.next()]
    while seen[-1] != ("renew", True):
        seen.append(api.next())
    announcer.stop()

    assert seen[0] == ("announce", False)
