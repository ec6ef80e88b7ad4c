import threading
import time
from collections.abc import Callable

import pytest

from wgctl.store.turn import Turn

PATIENCE_S = 20.0


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def waiting(turn: Turn) -> int:
    return len(turn._waiting)  # noqa: SLF001 - whether a thread waits shows nowhere else


def test_those_who_wait_are_served_in_the_order_in_which_they_came() -> None:
    """Also before one that has just had it and comes again."""
    turn, served = Turn(), list[int]()

    def work(number: int) -> None:
        with turn:
            served.append(number)

    with turn:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda number=number: waiting(turn) == number + 1)  # type: ignore[misc]  # bound now
    with turn:
        served.append(20)
    for thread in threads:
        thread.join(PATIENCE_S)

    assert served == list(range(21))


def test_one_at_a_time_has_it() -> None:
    turn, inside, most = Turn(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with turn:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert (most, inside) == (1, 0)


def test_an_error_ends_the_turn() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="within"), turn:
        raise ValueError("within")

    with turn:
        assert waiting(turn) == 0
