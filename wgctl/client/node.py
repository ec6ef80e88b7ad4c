"""What a role asks of the controller over `node.sock`: the feed, and a place for its reports.

One request each; when to ask again is the role's business.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

from pydantic import ValidationError

from wgctl.client.unix_stream import Answer, asked
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Event, parse_line
from wgctl.core.model import Role
from wgctl.core.schema import Gateway, NewGateway, Problem, RoleReport

__all__ = ["Node"]

_TIMEOUT_S = 5.0
_SILENCE_S = 15.0
"""Three beats of the feed: longer silence means that the other side is gone."""


class Node:
    """The controller as a role of this host sees it. Every method raises Unavailable."""

    def __init__(self, socket: Path) -> None:
        """Ask over the Unix socket at `socket`."""
        self._socket = socket

    async def register(self, gateway: NewGateway) -> Gateway:
        """Bring the controller's record of this gateway up to date."""
        body = gateway.model_dump_json().encode()
        async with self._asked("POST", "/v1/gateways", body=body) as answer:
            told = await answer.body()
        try:
            return Gateway.model_validate_json(told)
        except ValidationError as error:
            raise Unavailable(f"the controller's answer is not a gateway: {error}") from error

    async def report(self, report: RoleReport) -> None:
        """Leave a report."""
        async with self._asked(
            "POST", "/v1/reports", body=report.model_dump_json().encode()
        ) as answer:
            await answer.body()

    async def follow(self, role: Role, *, epoch: str, since: int) -> AsyncIterator[Event]:
        """Yield the events of the feed after `since`, for as long as the connection lives."""
        query = urlencode({"role": role.value, "epoch": epoch, "since": since})
        async with self._asked("GET", f"/v1/feed?{query}", silence_s=_SILENCE_S) as answer:
            async for line in answer.lines():
                yield parse_line(line)

    @asynccontextmanager
    async def _asked(
        self, method: str, target: str, *, body: bytes | None = None, silence_s: float = _TIMEOUT_S
    ) -> AsyncIterator[Answer]:
        """Ask, and raise Unavailable with the reason that the controller gave, if it refused."""
        async with asked(self._socket, method, target, body=body, silence_s=silence_s) as answer:
            if not answer.good:
                raise Unavailable(f"the controller at {self._socket}: {await _reason(answer)}")
            yield answer


async def _reason(answer: Answer) -> str:
    try:
        return Problem.model_validate_json(await answer.body()).detail
    except ValidationError:
        return f"it answered {answer.status} without a reason: its log says more"
