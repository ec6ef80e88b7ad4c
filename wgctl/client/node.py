"""What a role asks of the controller over `node.sock`: the feed, and a place for its reports.

One request each; when to ask again is the role's business.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from wgctl.client.refusal import refusal_in
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Event, parse_line
from wgctl.core.lease_schema import Announced, Announcement, LeaseReport
from wgctl.core.model import Role
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
        async with self._client() as client:
            response = await client.post("/v1/gateways", json=gateway.model_dump(mode="json"))
            response.raise_for_status()
            return _shaped(Gateway, response.content)

    async def report(self, report: RoleReport) -> None:
        """Leave a report."""
        async with self._client() as client:
            response = await client.post("/v1/reports", json=report.model_dump(mode="json"))
            response.raise_for_status()

    async def announce(self, said: Announcement) -> Announced:
        """Relay what a peer announces; raises also what the controller refuses it with."""
        async with self._client() as client:
            response = await client.post("/v1/announcements", json=said.model_dump(mode="json"))
            if response.is_client_error:
                raise refusal_in(response.content) or Unavailable(
                    f"the controller answered {response.status_code} without a reason"
                )
            response.raise_for_status()
            return _shaped(Announced, response.content)

    async def report_leases(self, report: LeaseReport) -> None:
        """Tell how leases stand, and which have ended."""
        async with self._client() as client:
            response = await client.post("/v1/leases", json=report.model_dump(mode="json"))
            response.raise_for_status()

    async def follow(self, role: Role, *, epoch: str, since: int) -> AsyncIterator[Event]:
        """Yield the events of the feed after `since`, for as long as the connection lives."""
        query = {"role": role.value, "epoch": epoch, "since": str(since)}
        async with (
            self._client(read_timeout_s=_SILENCE_S) as client,
            client.stream("GET", "/v1/feed", params=query) as response,
        ):
            response.raise_for_status()
            async for line in response.aiter_lines():
                yield parse_line(line)

    @asynccontextmanager
    async def _client(
        self, *, read_timeout_s: float = _TIMEOUT_S
    ) -> AsyncIterator[httpx2.AsyncClient]:
        # A bare context: nothing on a Unix socket is encrypted, and loading the host's
        # certificate authorities for each report would take 15 ms.
        transport = httpx2.AsyncHTTPTransport(
            uds=str(self._socket), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        timeout = httpx2.Timeout(_TIMEOUT_S, read=read_timeout_s)
        try:
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://controller", timeout=timeout
            ) as client:
                yield client
        except httpx2.HTTPError as error:
            raise Unavailable(f"the controller at {self._socket}: {error}") from error


def _shaped(shape: type[_Shape], body: bytes) -> _Shape:
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise Unavailable(f"the controller's answer is no {shape.__name__}: {error}") from error
