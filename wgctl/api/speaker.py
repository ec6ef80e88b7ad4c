"""Which role a request over `node.sock` may speak for: the proof is the user of who asks.

A role that was taken over must not take another's part: the gateway alone is told sealed keys,
says which key tunnels end at, and reports who is online. Which user each role has is told by
whoever builds the application.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from wgctl.api.context import ContextOf
from wgctl.core.errors import Denied
from wgctl.core.model import Role

__all__ = ["SpeakingFor"]


async def _speaking_for(request: Request, context: ContextOf) -> Callable[[Role], None]:
    uid: int | None = getattr(request.state, "uid", None)

    def require(role: Role) -> None:
        if uid is None or not context.may_act(uid, role):
            who = "an unknown user" if uid is None else f"user {uid}"
            raise Denied(f"{who} may not speak for the {role}, expected the user of that role")

    return require


SpeakingFor = Annotated[Callable[[Role], None], Depends(_speaking_for)]
"""What raises Denied unless the asker may speak for the role that it is called with."""
