"""What a role asks of the controller over `node.sock`: the feed, and a place for its reports.

One request each; when to ask again is the role's business.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError

from wgctl.client.refusal import refusal_in
from wgctl.client.unix_stream import Answer, asked
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Event, parse_line
from wgctl.core.kinds import Role
from wgctl.core.lease_schema import Announced, Announcement, LeaseReport
from wgctl.core.schema import Gateway, NewGateway, RoleReport

__all__ = ["Node"]

_Shape = TypeVar("_Shape", bound=BaseModel)

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
        async with self._asked("POST", "/v1/gateways", said=gateway) as answer:
            await self._require_good(answer)
            return _shaped(Gateway, await answer.body())

    async def report(self, report: RoleReport) -> None:
        """Leave a report."""
        async with self._asked("POST", "/v1/reports", said=report) as answer:
            await self._require_good(answer)
            await answer.body()

    async def announce(self, said: Announcement) -> Announced:
        """Relay what a peer announces; raises also what the controller refuses it with."""
        async with self._asked("POST", "/v1/announcements", said=said) as answer:
            body = await answer.body()
            if answer.refused and (refusal := refusal_in(body)) is not None:
                raise refusal
            if not answer.good:
                raise self._unavailable(answer, body)
            return _shaped(Announced, body)

    async def report_leases(self, report: LeaseReport) -> None:
        """Tell how leases stand, and which have ended."""
        async with self._asked("POST", "/v1/leases", said=report) as answer:
            await self._require_good(answer)
            await answer.body()

    async def follow(self, role: Role, *, epoch: str, since: int) -> AsyncIterator[list[Event]]:
        """Yield the events of the feed after `since`, for as long as the connection lives.

        Those together that came together: what takes each alone has less to do.
        """
        query = urlencode({"role": role.value, "epoch": epoch, "since": since})
        async with self._asked("GET", f"/v1/feed?{query}", silence_s=_SILENCE_S) as answer:
            await self._require_good(answer)
            async for lines in answer.lines():
                yield [parse_line(line) for line in lines]

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        target: str,
        *,
        said: BaseModel | None = None,
        silence_s: float = _TIMEOUT_S,
    ) -> AsyncIterator[Answer]:
        body = None if said is None else said.model_dump_json().encode()
        async with asked(self._socket, method, target, body=body, silence_s=silence_s) as answer:
            yield answer

    async def _require_good(self, answer: Answer) -> None:
        """Raise Unavailable with the reason that the controller gave, if it refused."""
        if not answer.good:
            raise self._unavailable(answer, await answer.body())

    def _unavailable(self, answer: Answer, body: bytes) -> Unavailable:
        reason = refusal_in(body) or (
            f"it answered {answer.status} without a reason: its log says more"
        )
        return Unavailable(f"the controller at {self._socket}: {reason}")


def _shaped(shape: type[_Shape], body: bytes) -> _Shape:
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise Unavailable(f"the controller's answer is no {shape.__name__}: {error}") from error
