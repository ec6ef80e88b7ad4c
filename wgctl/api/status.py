"""Routes of status: what roles report, and the deployment at a glance."""

import asyncio
from collections.abc import Callable
from functools import partial

from wgctl import __version__
from wgctl.api.context import ContextOf, Now, Seen, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.shapes import record_of, role_shape
from wgctl.api.speaker import SpeakingFor
from wgctl.core.access import Scope
from wgctl.core.errors import Denied
from wgctl.core.forward.health import Condition
from wgctl.core.model import Observation, Role
from wgctl.core.schema import RoleReport, Status
from wgctl.services.observe import Observations, RoleFacts
from wgctl.store.store import Store

__all__ = ["node_router", "router"]

router = routes()
node_router = routes()


@router.get("/status", dependencies=[needs(Scope.STATUS_READ)])
def show_status(context: ContextOf) -> Status:
    """Return the revision, what there is, and where each role stands, the controller first."""
    store, seen, now = context.store, context.observations, context.now()
    with store.reading() as deployment:
        counts, revision = deployment.counts(), deployment.revision
        online = deployment.peers_among(seen.online(now=now))
    controller = RoleFacts(
        Role.CONTROLLER,
        revision,
        context.started_at,
        reported_at=now,
        problem=context.problem(),
    )
    return Status(
        version=__version__,
        revision=revision,
        pool=store.pool,
        store=str(store.path),
        orgs=counts.orgs,
        networks=counts.networks,
        peers=counts.peers,
        peers_online=len(online),
        roles=[role_shape(facts, now=now) for facts in (controller, *seen.roles())],
    )


@node_router.post("/reports", dependencies=[needs(Scope.NODE_WRITE)], status_code=204)
async def take_report(
    store: StoreOf, seen: Seen, now: Now, speaking_for: SpeakingFor, report: RoleReport
) -> None:
    """Keep what a role says of itself, a gateway of the peers, a resolver of machines it probes."""
    # It changes nothing that is stored: behind those who do, a role would pass for dead.
    await asyncio.get_running_loop().run_in_executor(
        None, partial(_keep, store, seen, report, now=now, speaking_for=speaking_for)
    )


def _keep(
    store: Store,
    seen: Observations,
    report: RoleReport,
    *,
    now: int,
    speaking_for: Callable[[Role], None],
) -> None:
    speaking_for(report.role)
    if report.peers and report.role is not Role.GATEWAY:
        raise Denied(f"the {report.role} sees no peers, expected the gateway to tell of them")
    if report.health and report.role is not Role.RESOLVER:
        raise Denied(f"the {report.role} probes no machines, expected the resolver to tell of them")
    facts = RoleFacts(
        role=report.role,
        revision=report.revision,
        started_at=report.started_at,
        reported_at=now,
        interface=report.interface,
        backend=report.backend,
        drift=report.drift,
        drift_events=tuple(report.drift_events),
        setback=report.setback,
        problem=report.problem,
        upstreams=tuple(Condition(one.upstream, one.reason) for one in report.upstreams),
        on_demand=None if report.on_demand is None else report.on_demand.model_dump(),
        limited=tuple((one.address, one.queries) for one in report.limited),
    )
    peers = [Observation(**peer.model_dump()) for peer in report.peers]
    seen.note(facts, peers, [record_of(health) for health in report.health])
    # After it was noted: whoever removes a peer that is still there now forgets it after that.
    named = frozenset(peer.peer_id for peer in report.peers)
    with store.reading() as deployment:
        seen.forget(named - deployment.peers_among(named))
