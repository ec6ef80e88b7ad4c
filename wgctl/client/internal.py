"""The API inside the networks, as a program on a peer asks it: one method a use.

No token is sent: the address that the tunnel gave the peer is the proof of who asks. Where the API
is found is said by whoever makes one.
"""

import http.client
from collections.abc import Callable
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from wgctl.client.refusal import refusal_in
from wgctl.core.errors import Refusal, Unavailable
from wgctl.core.lease_schema import NewLease, Renewal
from wgctl.core.schema import Machine

__all__ = ["HOST", "PORT", "InternalApi", "Place"]

HOST = "_api.internal"
PORT = 4280

_TIMEOUT_S = 5.0
_MOST_BYTES = 2**20

Place = tuple[str, int]
"""An address or a name, and a port."""


class InternalApi:
    """The API of the peer's network.

    Every method raises Unavailable when it is not reached, and the refusal that it gave.
    """

    def __init__(self, place: Callable[[], Place], *, timeout_s: float = _TIMEOUT_S) -> None:
        """Ask at `place()`, which is asked each time: a tunnel may come and go."""
        self._place = place
        self._timeout_s = timeout_s

    def announce(self, new: NewLease) -> Machine:
        """Announce a machine on the asking peer."""
        body = self._ask("POST", "/v1/machines", new)
        try:
            return Machine.model_validate_json(body)
        except ValidationError as error:
            raise Refusal(
                f"the answer of {HOST} is not what this wgctl expects: use the one that it runs"
            ) from error

    def renew(self, name: str, renewal: Renewal) -> None:
        """Renew the lease of a machine that was announced."""
        self._ask("PUT", _lease(name), renewal)

    def withdraw(self, name: str, holder: str) -> None:
        """End the lease of a machine that was announced."""
        self._ask("DELETE", f"{_lease(name)}?holder={holder}", None)

    def _ask(self, method: str, target: str, said: BaseModel | None) -> bytes:
        host, port = self._place()
        headers = {"Host": HOST, "Wgctl-Request": "1", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        try:
            text = None if said is None else said.model_dump_json()
            connection.request(method, target, body=text, headers=headers)
            answer = connection.getresponse()
            status, body = answer.status, answer.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unavailable(f"no answer from [{host}]:{port}: {reason}") from error
        finally:
            connection.close()
        if status // 100 == 2:  # noqa: PLR2004  # the class of a status
            return body
        raise refusal_in(body) or Refusal(f"[{host}]:{port} answered {status} without a reason")


def _lease(name: str) -> str:
    return f"/v1/machines/{quote(name, safe='')}/lease"
