"""How soon the kernel lets a process run that has something to do while others run.

No share of the processor grows by it and no right is needed: who waits and who is waited for is for
whoever starts the processes. Where a sandbox or the kernel refuses it, all runs as before.
"""

import ctypes
import os
import platform
import struct
from contextlib import suppress

__all__ = ["go_behind", "take_short_turns"]

_BEHIND = 5
_TURN_NS = 100_000  # Linux takes 0.1 ms to 100 ms (linux/kernel/sched).
# The C library has a function for it since glibc 2.41 alone.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
# struct sched_attr, version 0: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTRIBUTES = struct.Struct("@IIQiIQQQ")


def take_short_turns() -> None:
    """Let this process have the processor as soon as it wants it, for 0.1 ms before others do.

    For one that has little to do, often, and that somebody waits for. Linux 6.12 and newer
    interrupt what has the usual turns of 1 ms and more, others ignore it. Its niceness stays; a
    process with a policy that is not the usual one keeps that.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    with suppress(OSError):
        if number is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
            nice = os.getpriority(os.PRIO_PROCESS, 0)
            wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, _TURN_NS, 0, 0)
            ctypes.CDLL(None).syscall(number, 0, wanted, 0)


def go_behind() -> None:
    """Let this process, and what it starts, have less of the processor, and interrupt nobody.

    For one whose work can wait for a moment. It is nicer by 5, which leaves it a quarter beside
    another that does not rest; a process with a policy that is not the usual one keeps that.
    """
    with suppress(OSError):
        os.nice(_BEHIND)
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
