"""Has ephemeral peers leave when their time is over.

Until the row is gone, gateway and resolver end the peer's access by themselves, each in its time.
"""

import asyncio
from typing import Never

import structlog

from wgctl.api.context import Context
from wgctl.services import peer as peers

__all__ = ["let_leave"]

_LOOK_S = 1.0

_log = structlog.get_logger()


async def let_leave(context: Context) -> Never:
    """Remove each second the ephemeral peers whose time is over, until cancelled.

    What is wrong, a store that cannot be used or a row that cannot be read, is told once, and tried
    again.
    """
    problem = None
    while True:
        try:
            while gone := await asyncio.to_thread(_remove, context):
                _log.info("ephemeral peers left", peers=gone)
            problem = None
        except Exception as error:  # noqa: BLE001  # nothing may end this but the controller
            if str(error) != problem:
                problem = str(error)
                _log.error("ephemeral peers not removed", reason=problem)
        await asyncio.sleep(_LOOK_S)


def _remove(context: Context) -> int:
    gone = peers.remove_ended(context.store, now=context.now())
    context.observations.forget(gone)
    return len(gone)
