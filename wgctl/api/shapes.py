"""Values of the house as the JSON shapes of `wgctl.core.schema`.

Only renames, joins and counts; it asks nothing of the store.
"""

from datetime import UTC, datetime
from typing import Any

from peers.names import Label
from wgctl.core import health_shape, model, schema
from wgctl.core.health import Record, Transition
from wgctl.services.app import AppFacts
from wgctl.services.machine import MachineFacts
from wgctl.services.observe import Observations, RoleFacts
from wgctl.services.org import OrgFacts
from wgctl.services.peer import PeerFacts
from wgctl.store.rows import NewCheckRow

__all__ = [
    "app_shape",
    "check_row",
    "enrolment_shape",
    "gateway_shape",
    "machine_details",
    "machine_shape",
    "network_shape",
    "org_shape",
    "peer_shape",
    "port_of",
    "record_of",
    "role_shape",
]


def org_shape(facts: OrgFacts) -> schema.Org:
    """Return an org as JSON shows it."""
    return schema.Org(
        slug=facts.org.slug,
        networks=facts.networks,
        peers=facts.peers,
        created_at=moment(facts.org.created_at),
    )


def network_shape(org: str, network: model.Network) -> schema.Network:
    """Return a network as JSON shows it."""
    return schema.Network(
        org=org,
        name=network.name,
        prefix=network.prefix,
        resolver=network.resolver,
        created_at=moment(network.created_at),
    )


def gateway_shape(gateway: model.Gateway, reported: RoleFacts | None) -> schema.Gateway:
    """Return a gateway as JSON shows it."""
    return schema.Gateway(
        name=gateway.name,
        number=gateway.number,
        region=gateway.region,
        endpoint=gateway.endpoint,
        public_key=gateway.public_key,
        mtu_bytes=gateway.mtu_bytes,
        forwards=gateway.forwards,
        created_at=moment(gateway.created_at),
        reported_at=None if reported is None else moment(reported.reported_at),
    )


def peer_shape(org: str, facts: PeerFacts, seen: Observations, *, now: int) -> schema.Peer:
    """Return a peer, with what its gateway saw of it, as JSON shows it."""
    peer = facts.peer
    sight = seen.of_peer(peer.id)
    return schema.Peer(
        name=peer.name,
        org=org,
        network=facts.network.name,
        owner=peer.owner,
        public_key=peer.public_key,
        preshared_key=facts.preshared,
        address=peer.address,
        gateway=facts.gateway.name,
        created_at=moment(peer.created_at),
        expires_at=maybe_moment(peer.expires_at),
        ephemeral=peer.ephemeral,
        tags=list(peer.tags),
        online=sight.online(now=now) and not peer.expired(now=now),
        last_handshake=maybe_moment(sight.last_handshake),
        received_bytes=sight.received_bytes,
        sent_bytes=sight.sent_bytes,
        endpoint=sight.endpoint,
    )


def enrolment_shape(
    org: str, facts: PeerFacts, seen: Observations, *, now: int
) -> schema.Enrolment:
    """Return a peer and its tunnel as JSON shows them."""
    return schema.Enrolment(
        peer=peer_shape(org, facts, seen, now=now),
        tunnel=schema.Tunnel(
            address=facts.peer.address,
            prefix=facts.network.prefix,
            resolver=facts.network.resolver,
            gateway_key=facts.gateway.public_key,
            endpoint=facts.gateway.endpoint,
            mtu_bytes=facts.gateway.mtu_bytes,
        ),
    )


def app_shape(org: str, facts: AppFacts) -> schema.App:
    """Return an app as JSON shows it."""
    return schema.App(
        name=facts.app.name,
        org=org,
        network=facts.network.name,
        machines=facts.machines,
        started=facts.started,
        service_address=facts.app.service_address,
        created_at=moment(facts.app.created_at),
    )


def machine_shape(org: str, facts: MachineFacts, seen: Observations) -> schema.Machine:
    """Return a machine, with what was heard of its health and lease, as JSON shows it."""
    return schema.Machine(**_machine_fields(org, facts, seen))


def machine_details(org: str, facts: MachineFacts, seen: Observations) -> schema.MachineDetails:
    """Return a machine, and how its health changed, as JSON shows it."""
    record = seen.of_machine(facts.machine.id)
    events = [
        health_shape.HealthEvent(
            at=moment(moved.at), before=moved.before, after=moved.after, reason=moved.reason
        )
        for moved in record.transitions
    ]
    return schema.MachineDetails(**_machine_fields(org, facts, seen), events=events)


def _machine_fields(org: str, facts: MachineFacts, seen: Observations) -> dict[str, Any]:
    machine, check = facts.machine, facts.check
    record, lease = seen.of_machine(machine.id), seen.lease_of(machine.id)
    probed = check is not None and machine.state is model.MachineState.STARTED
    return {
        "name": machine.name,
        "app": facts.app.name,
        "org": org,
        "network": facts.network.name,
        "peer": facts.peer.name,
        "address": facts.peer.address,
        "region": machine.region,
        "process_group": machine.process_group,
        "ports": [
            schema.Port(name=port.name, number=port.number, protocol=port.protocol)
            for port in machine.ports
        ],
        "metadata": dict(machine.metadata),
        "state": machine.state,
        "check": None if check is None else _check_shape(check),
        "health": record.health if probed else None,
        "lease": _lease_shape(machine, lease),
        "created_at": moment(machine.created_at),
    }


def _check_shape(check: model.Check) -> health_shape.Check:
    return health_shape.Check(
        target=check.target,
        interval_s=check.interval_s,
        timeout_s=check.timeout_s,
        grace_s=check.grace_s,
        rise=check.rise,
        fall=check.fall,
    )


def role_shape(facts: RoleFacts, *, now: int) -> schema.RoleStatus:
    """Return what a role last said as JSON shows it."""
    return schema.RoleStatus(
        role=facts.role,
        alive=facts.alive(now=now),
        revision=facts.revision,
        started_at=moment(facts.started_at),
        reported_at=moment(facts.reported_at),
        interface=facts.interface,
        backend=facts.backend,
        drift=facts.drift,
        drift_events=list(facts.drift_events),
        setback=facts.setback,
        problem=facts.problem,
        upstreams=[
            schema.UpstreamCondition(upstream=one.upstream, reason=one.reason)
            for one in facts.upstreams
        ],
        on_demand=None if facts.on_demand is None else schema.OnDemand(**facts.on_demand),
        limited=[
            schema.LimitedAddress(address=address, queries=queries)
            for address, queries in facts.limited
        ],
    )


def port_of(port: schema.Port) -> model.Port:
    """Return the value that the JSON shape of a port stands for."""
    return model.Port(Label(port.name), port.number, port.protocol)


def _lease_shape(machine: model.Machine, sight: model.LeaseSight | None) -> schema.Lease | None:
    if machine.lease_s is None:
        return None
    return schema.Lease(
        ttl_s=machine.lease_s,
        ends_at=None if sight is None else moment(sight.ends_at),
        healthy=None if sight is None else sight.healthy,
    )


def check_row(check: health_shape.Check) -> NewCheckRow:
    """Return the row that the JSON shape of a check stands for."""
    return NewCheckRow(**dict(check))


def record_of(seen: health_shape.ObservedHealth) -> Record:
    """Return the value that the JSON shape of a machine's health stands for."""
    moved = (Transition(one.at, one.before, one.after, one.reason) for one in seen.transitions)
    return Record(seen.machine_id, seen.health, tuple(moved))


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def maybe_moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else moment(seconds)
