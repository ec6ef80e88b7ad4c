"""Routes of status: what roles report, and the deployment at a glance."""

from fastapi import APIRouter

from wgctl import __version__
from wgctl.api.context import ContextOf, Now, Seen
from wgctl.api.door import needs
from wgctl.api.shapes import role_shape
from wgctl.core.access import Scope
from wgctl.core.forward.health import Condition
from wgctl.core.model import Observation, Role
from wgctl.core.schema import RoleReport, Status
from wgctl.services.observe import RoleFacts

__all__ = ["node_router", "router"]

router = APIRouter()
node_router = APIRouter()


@router.get("/status", dependencies=[needs(Scope.STATUS_READ)])
def show_status(context: ContextOf) -> Status:
    """Return the revision, what there is, and where each role stands, the controller first."""
    store, seen, now = context.store, context.observations, context.now()
    with store.reading() as deployment:
        counts, revision = deployment.counts(), deployment.revision
        online = deployment.peers_among(seen.online(now=now))
    controller = RoleFacts(Role.CONTROLLER, revision, context.started_at, reported_at=now)
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
def take_report(seen: Seen, now: Now, report: RoleReport) -> None:
    """Keep what a role says of itself and of the peers that it sees."""
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
    )
    seen.note(facts, [Observation(**peer.model_dump()) for peer in report.peers])
