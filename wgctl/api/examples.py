"""Examples for the API's document: one for each shape, and a name for each place in a path.

A test reads each as the shape that it stands for, and asks the API with those of requests.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["NAMES", "SHAPES"]

_MADE = "2027-01-15T08:00:00Z"
_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
_GATEWAY_KEY = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
_ADDRESS = "fdaa:9fb5:5c4:10::2"
_RESOLVER = "fdaa:9fb5:5c4::3"
_PREFIX = "fdaa:9fb5:5c4::/48"
_ENDPOINT = "203.0.113.7:51820"
_PORT = {"name": "http", "number": 8080, "protocol": "tcp"}
_CHECK = {
    "target": "http://web.internal:8080/health",
    "interval_s": 10,
    "timeout_s": 2,
    "grace_s": 30,
    "rise": 2,
    "fall": 3,
}
_CHANGE = {
    "at": "2027-01-15T08:00:30Z",
    "before": "starting",
    "after": "healthy",
    "reason": "http 8080: 200",
}
_ORG = {"slug": "acme", "networks": 1, "peers": 1, "created_at": _MADE}
_NETWORK = {
    "org": "acme",
    "name": "default",
    "prefix": _PREFIX,
    "resolver": _RESOLVER,
    "created_at": _MADE,
}
_GATEWAY = {
    "name": "ams-16",
    "number": 16,
    "region": "ams",
    "endpoint": _ENDPOINT,
    "public_key": _GATEWAY_KEY,
    "mtu_bytes": 1420,
    "forwards": False,
    "created_at": _MADE,
    "reported_at": "2027-01-15T08:05:00Z",
}
_PEER = {
    "name": "alice-laptop",
    "org": "acme",
    "network": "default",
    "owner": "operator",
    "public_key": _KEY,
    "preshared_key": False,
    "address": _ADDRESS,
    "gateway": "ams-16",
    "created_at": _MADE,
    "expires_at": None,
    "ephemeral": False,
    "tags": [],
    "online": True,
    "last_handshake": "2027-01-15T08:04:10Z",
    "received_bytes": 18_400,
    "sent_bytes": 92_216,
    "endpoint": "198.51.100.20:41641",
}
_TUNNEL = {
    "address": _ADDRESS,
    "prefix": _PREFIX,
    "resolver": _RESOLVER,
    "gateway_key": _GATEWAY_KEY,
    "endpoint": _ENDPOINT,
    "mtu_bytes": 1420,
}
_APP = {
    "name": "web",
    "org": "acme",
    "network": "default",
    "machines": 1,
    "started": 1,
    "service_address": "fdaa:9fb5:5c4:1::2",
    "created_at": _MADE,
}
_MACHINE = {
    "name": "web-1",
    "app": "web",
    "org": "acme",
    "network": "default",
    "peer": "alice-laptop",
    "address": _ADDRESS,
    "region": "ams",
    "process_group": "app",
    "ports": [_PORT],
    "metadata": {"role": "primary"},
    "state": "started",
    "check": _CHECK,
    "health": "healthy",
    "lease": None,
    "created_at": _MADE,
}
_MEMBER = {
    "name": "alice",
    "org": "acme",
    "role": "member",
    "networks": None,
    "peers": 1,
    "tokens": 1,
    "created_at": _MADE,
}
_TOKEN: dict[str, object] = {
    "name": "alice-cli",
    "org": "acme",
    "kind": "org",
    "owner": "alice",
    "added_by": "operator",
    "networks": None,
    "peer": None,
    "uses_left": None,
    "tags": [],
    "created_at": _MADE,
    "expires_at": "2027-02-14T08:00:00Z",
    "last_used_at": None,
}
_AUDIT = {
    "place": 1,
    "at": _MADE,
    "body": '{"who":"alice","as":"bearer","from":"198.51.100.20","token":"alice-cli",'
    '"did":"network:write","outcome":"denied","request":"POST /v1/orgs/acme/networks",'
    '"changes":[]}',
    "previous": "0" * 64,
    "hash": "5d" * 32,
}
_GONE_PEER = {"network": "default", "name": "alice-laptop", "address": _ADDRESS}
_UPSTREAM = {"upstream": "tls://9.9.9.9#dns.quad9.net", "reason": None}
_ROLE = {
    "role": "gateway",
    "alive": True,
    "revision": 7,
    "started_at": _MADE,
    "reported_at": "2027-01-15T08:05:00Z",
    "interface": "wgctl0",
    "backend": "kernel",
    "drift": 0,
    "drift_events": [],
    "setback": None,
    "problem": None,
    "upstreams": [],
    "limited": [],
}


def _page(item: object) -> dict[str, object]:
    return {"items": [item], "next": None}


SHAPES: Mapping[str, object] = MappingProxyType(
    {
        "App": _APP,
        "AuditRecord": _AUDIT,
        "AppChange": {"flycast": True},
        "CallerReply": {
            "caller": "alice",
            "org": "acme",
            "member": "alice",
            "role": "member",
            "token": "alice-cli",
            "networks": None,
            "expires_at": "2027-02-14T08:00:00Z",
            "scopes": {"peer:read": "all", "peer:enrol": "own"},
        },
        "Check": _CHECK,
        "Enrolment": {"peer": _PEER, "tunnel": _TUNNEL},
        "Gateway": _GATEWAY,
        "GonePeer": _GONE_PEER,
        "HealthEvent": _CHANGE,
        "Lease": {"ttl_s": 15, "ends_at": "2027-01-15T08:05:12Z", "healthy": True},
        "LimitedAddress": {"address": _ADDRESS, "queries": 4_200},
        "Machine": _MACHINE,
        "MachineDetails": _MACHINE | {"events": [_CHANGE]},
        "Member": _MEMBER,
        "MemberChange": {"role": "viewer"},
        "MintedToken": _TOKEN | {"token": f"wgctl_{'A' * 310}000000"},
        "Network": _NETWORK,
        "NewApp": {"name": "web", "network": "default", "flycast": True},
        "NewKey": {"public_key": _KEY},
        "NewMachine": {
            "app": "web",
            "peer": "alice-laptop",
            "name": "web-1",
            "ports": [_PORT],
            "metadata": {"role": "primary"},
        },
        "NewMember": {"name": "alice", "role": "member"},
        "NewNetwork": {"name": "staging"},
        "NewOrg": {"slug": "acme"},
        "NewPeer": {"name": "alice-laptop", "network": "default", "public_key": _KEY},
        "NewState": {"state": "stopped"},
        "NewToken": {"name": "alice-cli", "owner": "alice", "expires_in_s": 2_592_000},
        "OnDemand": {
            "in_use": 12,
            "left": 3,
            "admitted": 15,
            "present": 40,
            "replayed": 0,
            "refused": 0,
            "unknown": 0,
            "forged": 0,
            "hurried": 0,
            "foreign": 0,
            "lost": 0,
        },
        "Org": _ORG,
        "Page_App_": _page(_APP),
        "Page_AuditRecord_": _page(_AUDIT),
        "Page_Gateway_": _page(_GATEWAY),
        "Page_Machine_": _page(_MACHINE),
        "Page_Member_": _page(_MEMBER),
        "Page_Network_": _page(_NETWORK),
        "Page_Org_": _page(_ORG),
        "Page_Peer_": _page(_PEER),
        "Page_Token_": _page(_TOKEN),
        "Peer": _PEER,
        "PlacedName": {"network": "default", "name": "web-1"},
        "Port": _PORT,
        "Problem": {
            "type": "not-found",
            "title": "not found",
            "status": 404,
            "detail": "no org 'acme': wgctl org list shows what there is",
        },
        "Removal": {
            "member": "alice",
            "dry_run": True,
            "peers": [_GONE_PEER],
            "machines": [],
            "tokens": ["alice-cli"],
            "left_to_do": ["secrets of your own services that alice knows"],
        },
        "RoleStatus": _ROLE,
        "SealedTo": {"gateway_key": _GATEWAY_KEY, "sealed": "A" * 107 + "="},
        "Status": {
            "version": "0.1.0",
            "revision": 7,
            "pool": "fdaa::/16",
            "store": "/var/lib/wgctl/controller/store.sqlite",
            "orgs": 1,
            "networks": 1,
            "peers": 1,
            "peers_online": 1,
            "roles": [_ROLE],
        },
        "Token": _TOKEN,
        "Tunnel": _TUNNEL,
        "UpstreamCondition": _UPSTREAM,
    }
)
"""By the name that a shape has in the document."""

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "org": "acme",
        "network": "default",
        "peer": "alice-laptop",
        "app": "web",
        "machine": "web-1",
        "gateway": "ams-16",
        "member": "alice",
        "token": "alice-cli",
    }
)
"""By the name of the parameter."""
