"""Routes of leases, for the role that peers announce machines to."""

import asyncio
from functools import partial

from peers.names import Label
from wgctl.api.context import ContextOf, Now, Seen, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.shapes import machine_shape, port_of
from wgctl.api.speaker import SpeakingFor
from wgctl.core.access import Scope
from wgctl.core.lease_schema import Announced, Announcement, LeaseReport
from wgctl.core.model import LeaseSight, Role
from wgctl.services import lease as leases
from wgctl.services.machine import NewMachine

__all__ = ["node_router"]

node_router = routes()


@node_router.post("/announcements", dependencies=[needs(Scope.NODE_WRITE)])
def announce(
    store: StoreOf, seen: Seen, now: Now, speaking_for: SpeakingFor, said: Announcement
) -> Announced:
    """Add a machine that a peer announced, or begin its lease anew."""
    speaking_for(Role.INTERNAL_API)
    new = said.machine
    wanted = NewMachine(
        network=Label(said.network),
        app=Label(new.app),
        peer=Label(said.peer),
        name=Label(new.name),
        region=None if new.region is None else Label(new.region),
        process_group=Label(new.process_group),
        ports=tuple(port_of(port) for port in new.ports),
        metadata=dict(new.metadata),
    )
    facts = leases.announce(store, said.org, said.address, wanted, lease_s=new.ttl_s, now=now)
    return Announced(machine_id=facts.machine.id, machine=machine_shape(said.org, facts, seen))


@node_router.post("/leases", dependencies=[needs(Scope.NODE_WRITE)], status_code=204)
async def take_leases(
    store: StoreOf, context: ContextOf, now: Now, speaking_for: SpeakingFor, report: LeaseReport
) -> None:
    """Keep how leases stand, and remove the machines of those that have ended."""
    await asyncio.to_thread(speaking_for, Role.INTERNAL_API)
    context.observations.note_leases(
        {
            found.machine_id: LeaseSight(now + int(found.left_s), found.healthy)
            for found in report.leases
        }
    )
    # Mostly none has, and then there is nobody to wait for.
    if report.ended:
        ended = [(found.org, found.machine_id) for found in report.ended]
        await context.changes.run(partial(leases.end, store, ended))
