"""The controller's API: one method a use, shapes of `wgctl.core.schema`.

Leaves to the caller which way it is reached, and what the shapes look like on a terminal.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ValidationError

from wgctl.client.asking import Answer, Lost, Way, ask, download
from wgctl.client.refusal import refusal_in
from wgctl.client.unix_http import UnixSocket
from wgctl.core.access_schema import (
    AuditRecord,
    CallerReply,
    Member,
    MemberChange,
    MintedToken,
    NewMember,
    NewToken,
    Removal,
    Token,
)
from wgctl.core.errors import Refusal, Unavailable
from wgctl.core.health_shape import Check
from wgctl.core.kinds import MachineState
from wgctl.core.schema import (
    App,
    AppChange,
    Enrolment,
    Gateway,
    Machine,
    MachineDetails,
    Network,
    NewApp,
    NewKey,
    NewMachine,
    NewNetwork,
    NewOrg,
    NewPeer,
    NewState,
    Org,
    Page,
    Peer,
    Status,
)

__all__ = ["Client"]

_TIMEOUT_S = 30.0
_COPY_TIMEOUT_S = 600.0
_PATIENCE_S = 5.0
_PAUSE_S = 0.2
_PAGE = 1000

_Query: TypeAlias = Mapping[str, str | None]
"""Parameters of a request; None: left out."""

_NO_QUERY: _Query = MappingProxyType({})

_Shape = TypeVar("_Shape", bound=BaseModel)
_Item = TypeVar("_Item")


class _NotRunning(Unavailable):
    """Nobody listens there: nothing was sent."""


class _Lost(Unavailable):
    """The request was sent and no answer came back: it may have been done."""


class Client:
    """A controller, reached over its operators' socket or from elsewhere.

    Every method raises Unavailable when the controller does not answer, Denied when it may not be
    reached or believed, and the refusal that the controller gave, its detail as the message.
    """

    def __init__(
        self,
        way: Path | Way,
        *,
        patience_s: float = _PATIENCE_S,
        on_wait: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """Ask by `way`; a path is that of the operators' socket.

        Adding and re-keying a peer is tried again for `patience_s` when the answer was lost or the
        controller was not ready; `on_wait` hears why, once. A controller that is slow, as with
        fifty who ask at once, is waited for as by every method: 30 s.
        """
        self._way = UnixSocket(way) if isinstance(way, Path) else way
        self._patience_s = patience_s
        self._on_wait = on_wait

    def add_org(self, new: NewOrg) -> Org:
        """Add an org, which has a network `default` from the start."""
        return self._shape(Org, "POST", _path("orgs"), body=new)

    def orgs(self) -> list[Org]:
        """Return every org, by slug."""
        return self._list(Page[Org], _path("orgs"))

    def org(self, org: str) -> Org:
        """Return one org."""
        return self._shape(Org, "GET", _path("orgs", org))

    def remove_org(self, org: str) -> None:
        """Remove an org and all that it owns."""
        self._ask("DELETE", _path("orgs", org))

    def add_network(self, org: str, new: NewNetwork) -> Network:
        """Add a network to an org."""
        return self._shape(Network, "POST", _path("orgs", org, "networks"), body=new)

    def networks(self, org: str) -> list[Network]:
        """Return the networks of an org, by name."""
        return self._list(Page[Network], _path("orgs", org, "networks"))

    def network(self, org: str, network: str) -> Network:
        """Return one network."""
        return self._shape(Network, "GET", _path("orgs", org, "networks", network))

    def remove_network(self, org: str, network: str) -> None:
        """Remove an empty network."""
        self._ask("DELETE", _path("orgs", org, "networks", network))

    def add_peer(self, org: str, new: NewPeer) -> Enrolment:
        """Add a peer; the same name and key again give the same peer."""
        return self._enrol("POST", _path("orgs", org, "peers"), body=new, name=new.name)

    def peers(self, org: str, *, network: str | None = None, tag: str | None = None) -> list[Peer]:
        """Return the peers of an org by name, of one of its networks, with one tag."""
        query = {"network": network, "tag": tag}
        return self._list(Page[Peer], _path("orgs", org, "peers"), query=query)

    def peer(self, org: str, network: str, name: str) -> Peer:
        """Return one peer."""
        return self._shape(
            Peer, "GET", _path("orgs", org, "peers", name), query={"network": network}
        )

    def gateway_of_peer(self, org: str, network: str, name: str) -> Gateway:
        """Return the gateway that a peer connects to."""
        path = _path("orgs", org, "peers", name, "gateway")
        return self._shape(Gateway, "GET", path, query={"network": network})

    def offered_gateway(self, org: str, network: str, *, needs_forwarding: bool) -> Gateway:
        """Return the gateway that a peer would get if it were added now."""
        path = _path("orgs", org, "networks", network, "gateway")
        query = {"needs_forwarding": "true" if needs_forwarding else None}
        return self._shape(Gateway, "GET", path, query=query)

    def rekey_peer(self, org: str, network: str, name: str, new: NewKey) -> Enrolment:
        """Give a peer another public key; the same key again changes nothing."""
        path = _path("orgs", org, "peers", name, "key")
        return self._enrol("PUT", path, body=new, name=name, query={"network": network})

    def remove_peer(self, org: str, network: str, name: str) -> None:
        """Remove a peer and the machines on it."""
        self._ask("DELETE", _path("orgs", org, "peers", name), query={"network": network})

    def add_app(self, org: str, new: NewApp) -> App:
        """Add an app to a network."""
        return self._shape(App, "POST", _path("orgs", org, "apps"), body=new)

    def apps(self, org: str, *, network: str | None = None) -> list[App]:
        """Return the apps of an org, or of one of its networks."""
        return self._list(Page[App], _path("orgs", org, "apps"), query={"network": network})

    def app(self, org: str, network: str, name: str) -> App:
        """Return one app."""
        return self._shape(App, "GET", _path("orgs", org, "apps", name), query={"network": network})

    def change_app(self, org: str, network: str, name: str, new: AppChange) -> App:
        """Give an app a service address, or take it away."""
        path = _path("orgs", org, "apps", name)
        return self._shape(App, "PATCH", path, query={"network": network}, body=new)

    def remove_app(self, org: str, network: str, name: str) -> None:
        """Remove an app and its machines."""
        self._ask("DELETE", _path("orgs", org, "apps", name), query={"network": network})

    def add_machine(self, org: str, new: NewMachine) -> Machine:
        """Add a started machine to an app."""
        return self._shape(Machine, "POST", _path("orgs", org, "machines"), body=new)

    def machines(
        self, org: str, *, network: str | None = None, app: str | None = None
    ) -> list[Machine]:
        """Return the machines of an org, of one of its networks, or of one app."""
        return self._list(
            Page[Machine], _path("orgs", org, "machines"), query={"network": network, "app": app}
        )

    def machine(self, org: str, network: str, name: str) -> MachineDetails:
        """Return one machine, and how its health changed of late."""
        path = _path("orgs", org, "machines", name)
        return self._shape(MachineDetails, "GET", path, query={"network": network})

    def set_machine_state(
        self, org: str, network: str, name: str, *, state: MachineState
    ) -> Machine:
        """Start or stop a machine."""
        path, body = _path("orgs", org, "machines", name), NewState(state=state)
        return self._shape(Machine, "PATCH", path, body=body, query={"network": network})

    def set_machine_check(self, org: str, network: str, name: str, check: Check | None) -> Machine:
        """Probe a machine so from now on; None: no more."""
        path = _path("orgs", org, "machines", name, "check")
        method = "DELETE" if check is None else "PUT"
        return self._shape(Machine, method, path, body=check, query={"network": network})

    def remove_machine(self, org: str, network: str, name: str) -> None:
        """Remove a machine."""
        self._ask("DELETE", _path("orgs", org, "machines", name), query={"network": network})

    def caller(self) -> CallerReply:
        """Return who one is, and what one may do."""
        return self._shape(CallerReply, "GET", _path("caller"))

    def add_member(self, org: str, new: NewMember) -> Member:
        """Add a member to an org."""
        return self._shape(Member, "POST", _path("orgs", org, "members"), body=new)

    def members(self, org: str) -> list[Member]:
        """Return the members of an org, by name."""
        return self._list(Page[Member], _path("orgs", org, "members"))

    def member(self, org: str, name: str) -> Member:
        """Return one member."""
        return self._shape(Member, "GET", _path("orgs", org, "members", name))

    def change_member(self, org: str, name: str, new: MemberChange) -> Member:
        """Give a member another role, or other networks; what is not set stays as it is."""
        return self._shape(Member, "PATCH", _path("orgs", org, "members", name), body=new)

    def remove_member(self, org: str, name: str, *, dry_run: bool = False) -> Removal:
        """Remove a member and all that is theirs, or ask what would go."""
        query = {"dry_run": "true" if dry_run else None}
        return self._shape(Removal, "DELETE", _path("orgs", org, "members", name), query=query)

    def add_token(self, org: str, new: NewToken) -> MintedToken:
        """Make a token; its text is in this answer alone."""
        return self._shape(MintedToken, "POST", _path("orgs", org, "tokens"), body=new)

    def tokens(self, org: str) -> list[Token]:
        """Return the tokens of an org by name, or those of one's own."""
        return self._list(Page[Token], _path("orgs", org, "tokens"))

    def token(self, org: str, name: str) -> Token:
        """Return one token."""
        return self._shape(Token, "GET", _path("orgs", org, "tokens", name))

    def revoke_token(self, org: str, name: str) -> None:
        """Revoke a token, and every narrower one that was made of it."""
        self._ask("DELETE", _path("orgs", org, "tokens", name))

    def audit(self, org: str | None) -> list[AuditRecord]:
        """Return the audit trail of an org from its first record on; None: the deployment's."""
        path = _path("audit") if org is None else _path("orgs", org, "audit")
        return self._list(Page[AuditRecord], path)

    def gateways(self) -> list[Gateway]:
        """Return every gateway."""
        return self._list(Page[Gateway], _path("gateways"))

    def gateway(self, name: str) -> Gateway:
        """Return one gateway."""
        return self._shape(Gateway, "GET", _path("gateways", name))

    def status(self) -> Status:
        """Return the deployment at a glance."""
        return self._shape(Status, "GET", _path("status"))

    def save_store(self, path: Path) -> None:
        """Write a copy of the store, as it is at one moment, into the file at `path`."""
        with path.open("wb") as file, self._reached():
            answer = download(self._way, "/v1/store", file, timeout_s=_COPY_TIMEOUT_S)
        if not answer.good:
            raise self._refusal(answer)

    def _enrol(
        self, method: str, path: str, *, body: BaseModel, name: str, query: _Query = _NO_QUERY
    ) -> Enrolment:
        """Ask until there is an answer: one that was lost may have been a yes."""
        deadline = time.monotonic() + self._patience_s
        tries, lost = 0, False
        while True:
            try:
                return self._shape(Enrolment, method, path, body=body, query=query)
            except Unavailable as error:
                lost = lost or isinstance(error, _Lost)
                if isinstance(error, _NotRunning) and not tries:
                    raise
                if time.monotonic() + _PAUSE_S >= deadline:
                    raise (self._in_doubt(error, name) if lost else error) from error
                if not tries:
                    self._on_wait(str(error))
            tries += 1
            time.sleep(_PAUSE_S)

    def _in_doubt(self, error: Unavailable, name: str) -> Unavailable:
        return Unavailable(
            f"{error}; peer {name!a} may have the new key by now: look at it before asking again"
        )

    def _list(
        self, page: type[Page[_Item]], path: str, *, query: _Query = _NO_QUERY
    ) -> list[_Item]:
        return [item for part in self._parts(page, path, query) for item in part]

    def _parts(self, page: type[Page[_Item]], path: str, query: _Query) -> Iterator[list[_Item]]:
        cursor: str | None = None
        while True:
            part_query = {**query, "limit": str(_PAGE), "cursor": cursor}
            part = self._shape(page, "GET", path, query=part_query)
            yield part.items
            if part.next is None:
                return
            cursor = part.next

    def _shape(
        self,
        shape: type[_Shape],
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        query: _Query = _NO_QUERY,
    ) -> _Shape:
        answer = self._ask(method, path, body=body, query=query)
        try:
            return shape.model_validate_json(answer.body)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Refusal(
                f"the controller's answer is not what this wgctl expects: {place}: {first['msg']}: "
                "use the wgctl that the controller runs"
            ) from error

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        query: _Query = _NO_QUERY,
    ) -> Answer:
        given = {key: value for key, value in query.items() if value is not None}
        target = f"/v1{path}?{urlencode(given)}" if given else f"/v1{path}"
        text = None if body is None else body.model_dump_json(exclude_unset=True)
        with self._reached():
            answer = ask(self._way, method, target, body=text, timeout_s=_TIMEOUT_S)
        if answer.good:
            return answer
        raise self._refusal(answer)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except Lost as error:
            raise _Lost(
                f"the controller at {self._way} gave no answer ({error}): its log says more"
            ) from error
        except OSError as error:
            refusal = self._way.unreached(error)
            if isinstance(refusal, Unavailable):
                raise _NotRunning(str(refusal)) from error
            raise refusal from error

    def _refusal(self, answer: Answer) -> Exception:
        return refusal_in(answer.body) or Refusal(
            f"the controller at {self._way} answered {answer.status} without a "
            "reason: its log says more"
        )


def _path(*segments: str) -> str:
    return "/".join(("", *(quote(segment, safe="") for segment in segments)))
