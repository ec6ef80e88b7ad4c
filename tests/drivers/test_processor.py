"""What the kernel says of processes that ask how it takes them, each a fork of its own."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drivers.kernel_release import turns_differ
from wgctl.drivers.processor import go_behind, take_short_turns

SHORT_NS = 100_000
NICEST = 19


def after(*steps: Callable[[], object]) -> tuple[int, int, int]:
    """Return a process's policy, niceness and turn in nanoseconds once it has taken `steps`."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for step in steps:
                step()
            os.write(writing, repr(_of_this_process()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        words = said.read()
    os.waitpid(pid, 0)
    policy, nice, turn = map(int, re.findall(r"-?\d+", words))
    return policy, nice, turn


def _of_this_process() -> tuple[int, int, int]:
    turn = re.search(r"^se\.slice +: +(\d+)", Path("/proc/self/sched").read_text(), re.MULTILINE)
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    return os.sched_getscheduler(0), nice, 0 if turn is None else int(turn[1])


@pytest.mark.skipif(not turns_differ(), reason="the kernel has turns of one length")
def test_short_turns_are_shorter_than_those_of_others_and_change_nothing_else() -> None:
    policy, nice, usual = after()

    assert after(take_short_turns) == (policy, nice, SHORT_NS)
    assert usual > SHORT_NS


def test_a_process_that_takes_short_turns_stays_as_nice_as_it_was() -> None:
    before, step = after()[1], 3

    assert after(lambda: os.nice(step), take_short_turns)[1] == min(NICEST, before + step)


def test_what_goes_behind_is_nicer_and_interrupts_nobody() -> None:
    nice = after()[1]

    assert after(go_behind)[:2] == (os.SCHED_BATCH, min(NICEST, nice + 5))


@pytest.mark.parametrize("step", [take_short_turns, go_behind])
def test_a_policy_that_the_host_has_given_stays(step: Callable[[], None]) -> None:
    def be_idle() -> None:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    assert after(be_idle, step)[0] == os.SCHED_IDLE
