"""What a role asks of the controller over `node.sock`: the feed, and a place for its reports.

One request each; when to ask again is the role's business.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from pydantic import ValidationError

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
        async with self._client() as client:
            response = await client.post("/v1/gateways", json=gateway.model_dump(mode="json"))
            await self._require_good(response)
            try:
                return Gateway.model_validate_json(response.content)
            except ValidationError as error:
                raise Unavailable(f"the controller's answer is not a gateway: {error}") from error

    async def report(self, report: RoleReport) -> None:
        """Leave a report."""
        async with self._client() as client:
            response = await client.post("/v1/reports", json=report.model_dump(mode="json"))
            await self._require_good(response)

    async def follow(self, role: Role, *, epoch: str, since: int) -> AsyncIterator[Event]:
        """Yield the events of the feed after `since`, for as long as the connection lives."""
        query = {"role": role.value, "epoch": epoch, "since": str(since)}
        async with (
            self._client(read_timeout_s=_SILENCE_S) as client,
            client.stream("GET", "/v1/feed", params=query) as response,
        ):
            await self._require_good(response)
            async for line in response.aiter_lines():
                yield parse_line(line)

    async def _require_good(self, response: httpx2.Response) -> None:
        """Raise Unavailable with the reason that the controller gave, where it gave one."""
        if response.is_success:
            return
        try:
            told = Problem.model_validate_json(await response.aread()).detail
        except ValidationError:
            told = f"it answered {response.status_code} without a reason: its log says more"
        raise Unavailable(f"the controller at {self._socket}: {told}")

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
