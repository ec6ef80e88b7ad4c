"""The second wall between networks, as an nftables table in nft's own JSON.

Says which rules there are and reads a listing back into the same form, so that the two can be
compared; who runs nft is `wgctl.drivers.nft`. libnftables-json(5) describes the documents.

    prerouting   from the tunnel: inside one network only; elsewhere: nothing of our networks
    services     a new connection to a service address goes to one of its machines
    input        from the tunnel: resolver, API and echo at a network's ::3
    output       to the tunnel or to a ::3: only what our own users send
    forward      between the tunnel and other interfaces: nothing; to a service without machines:
                 refused
    hairpin      a machine that was sent to itself hears its network's ::3, not itself
    initiations  a copy of each handshake initiation goes to whoever lets peers in on demand; after
                 the host's own filters, so that whom they keep out is not let in either

A service's machines fill 64 slots in turn, and bits 1 to 6 of a connection's source port choose the
slot: nft takes a random number for no key of a declared map, and the lowest bit is the same in most
ports that Linux chooses. Conntrack keeps a connection where it began.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Network
from typing import NamedTuple

from peers.addresses import prefix_of, resolver_address
from peers.noise import INITIATION_BYTES, INITIATION_TYPE
from wgctl.core import ipv6_text
from wgctl.core.errors import Unavailable
from wgctl.core.service import Service

__all__ = [
    "API_PORT",
    "Document",
    "Element",
    "Ruleset",
    "change",
    "elements",
    "parse_listing",
    "remove",
    "replace",
    "ruleset",
]

API_PORT = 4280
_DNS_PORT = 53
_RAW_PRIORITY = -300
_DNAT_PRIORITY, _SNAT_PRIORITY = -100, 100
_LAST_PRIORITY = 300
_SLOTS = 64
_SLOT_MASK = _SLOTS - 1 << 1

_TAP = "initiations"
_UDP_HEADER_BYTES = 8
_IPV6_HEADER_BYTES = 40
_COPIED_BYTES = _IPV6_HEADER_BYTES + _UDP_HEADER_BYTES + INITIATION_BYTES

_FAMILY = "inet"
_NETWORK_MASK = "ffff:ffff:ffff::"
_HOST_MASK, _SERVICE_HOST = "0:0:0:ffff::", "0:0:0:1::"
_ERRORS = ["destination-unreachable", "packet-too-big", "parameter-problem", "time-exceeded"]
_DROP: tuple[object, ...] = ({"counter": None}, {"drop": None})
_REFUSE = ({"counter": None}, {"reject": {"type": "icmpv6", "expr": "addr-unreachable"}})
_ACCEPT: tuple[object, ...] = ({"accept": None},)
_KNOWN: object = {
    "match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}
}

Document = Mapping[str, object]
"""What nft reads and writes: `{"nftables": [...]}`."""


class Element(NamedTuple):
    """A member of one of the table's sets or maps: its name, and one text for each part.

    `data` is what a map has there, empty for a set.
    """

    set_name: str
    values: tuple[str, ...]
    data: str = ""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A table: its sets, chains and rules in canonical JSON, and what its sets hold."""

    table: str
    rules: tuple[str, ...]
    elements: frozenset[Element]


def ruleset(
    networks: Iterable[IPv6Network],
    services: Iterable[Service] = (),
    *,
    interface: str,
    listen_port: int,
    own_uids: frozenset[int],
    log_group: int | None = None,
) -> Ruleset:
    """Return the table of the tunnel `interface`, which is named after it.

    `networks` are `/48`s. `listen_port` is the UDP port of the WireGuard device, and `own_uids` are
    the users whose processes may send into the tunnel. `log_group` is the one of netfilter that
    hears the initiations; None: nobody does.
    """
    members = elements(networks).union(*map(_slots, services))
    return Ruleset(interface, _texts(interface, listen_port, own_uids, log_group), members)


def elements(networks: Iterable[IPv6Network]) -> frozenset[Element]:
    """Return what the sets of the table hold of `networks`, which are `/48`s."""
    return frozenset(element for network in networks for element in _elements(network))


def replace(wanted: Ruleset) -> Document:
    """Return the commands that put `wanted` in the place of whatever is there, in one step."""
    table = _add("table", {"family": _FAMILY, "name": wanted.table})
    # A table that is not there cannot be deleted: it is added first.
    return _document(
        table,
        {"delete": {"table": {"family": _FAMILY, "name": wanted.table}}},
        table,
        *({"add": json.loads(rule)} for rule in wanted.rules),
        *_members("add", wanted.table, wanted.elements),
    )


def change(table: str, *, added: frozenset[Element], removed: frozenset[Element]) -> Document:
    """Return the commands that add and remove elements of a table, in one step.

    Both are right also where the element is already there, or already gone; a map that has other
    data there than is to be removed refuses.
    """
    # Deleting what is not there fails, adding what is there does not; a map takes no second data
    # for a key that it has.
    return _document(
        *_members("add", table, removed),
        *_members("delete", table, removed),
        *_members("add", table, added),
    )


def remove(table: str) -> Document:
    """Return the command that deletes a table."""
    return _document({"delete": {"table": {"family": _FAMILY, "name": table}}})


def parse_listing(document: object) -> Ruleset:
    """Return the table that `nft -j list table` printed.

    Handles and counters are left out. Raises Unavailable for a listing of another form.
    """
    table = ""
    rules: list[str] = []
    elements: set[Element] = set()
    for kind, body in _listed(document):
        match kind:
            case "metainfo":
                continue
            case "table":
                table = str(body["name"])
                continue
            case "set" | "map":
                elements.update(_set_elements(body))
        rules.append(_canonical(kind, body))
    return Ruleset(table, tuple(rules), frozenset(elements))


# Asked anew for each change of the feed, and always the same: 0.5 ms against nothing.
@lru_cache(maxsize=4)
def _texts(
    interface: str, listen_port: int, own_uids: frozenset[int], log_group: int | None
) -> tuple[str, ...]:
    objects = _objects(interface, listen_port, own_uids, log_group)
    return tuple(_canonical(kind, body) for kind, body in objects)


def _objects(
    interface: str, listen_port: int, own_uids: frozenset[int], log_group: int | None
) -> list[tuple[str, dict[str, object]]]:
    """Return sets, chains and rules in the order in which nft lists them."""
    of_table: dict[str, object] = {"family": _FAMILY, "table": interface}
    return [
        ("set", {**of_table, "name": "networks", "type": ["ipv6_addr", "ipv6_addr"]}),
        ("set", {**of_table, "name": "resolvers", "type": "ipv6_addr"}),
        (
            "map",
            {
                **of_table,
                "name": "slots",
                "type": ["ipv6_addr", "inet_service"],
                "map": "ipv6_addr",
            },
        ),
        ("map", {**of_table, "name": "hairpins", "type": ["ipv6_addr"] * 2, "map": "ipv6_addr"}),
        ("chain", {**of_table, **_hook("prerouting", _RAW_PRIORITY)}),
        ("chain", {**of_table, **_hook("input", 0)}),
        ("chain", {**of_table, "name": "from_tunnel"}),
        ("chain", {**of_table, **_hook("output", 0)}),
        ("chain", {**of_table, "name": "to_tunnel"}),
        ("chain", {**of_table, **_hook("forward", 0)}),
        ("chain", {**of_table, **_nat("services", "prerouting", _DNAT_PRIORITY)}),
        ("chain", {**of_table, **_nat("hairpin", "postrouting", _SNAT_PRIORITY)}),
        *(
            []
            if log_group is None
            else [("chain", {**of_table, **_hook("input", _LAST_PRIORITY), "name": _TAP})]
        ),
        *(
            ("rule", {**of_table, "chain": chain, "expr": list(expressions)})
            for chain, expressions in (
                *_rules(interface, listen_port, own_uids),
                *_tap_rules(listen_port, log_group),
            )
        ),
    ]


def _rules(
    interface: str, listen_port: int, own_uids: frozenset[int]
) -> list[tuple[str, tuple[object, ...]]]:
    from_tunnel, not_from_tunnel = (_meta(op, "iifname", interface) for op in ("==", "!="))
    to_tunnel, not_to_tunnel = (_meta(op, "oifname", interface) for op in ("==", "!="))
    elsewhere = (not_from_tunnel, _meta("!=", "iifname", "lo"))
    to_resolver = _match("==", _ip6("daddr"), "@resolvers")
    return [
        ("prerouting", (from_tunnel, _meta("!=", "nfproto", "ipv6"), *_DROP)),
        ("prerouting", (from_tunnel, _pair("!=", "saddr", "daddr"), *_DROP)),
        ("prerouting", (*elsewhere, _pair("==", "saddr", "saddr"), *_DROP)),
        ("prerouting", (*elsewhere, _pair("==", "daddr", "daddr"), *_DROP)),
        ("input", (from_tunnel, _jump("from_tunnel"))),
        ("from_tunnel", (_KNOWN, *_ACCEPT)),
        (
            "from_tunnel",
            (
                to_resolver,
                _meta("==", "l4proto", {"set": ["tcp", "udp"]}),
                _match("==", _field("th", "dport"), _DNS_PORT),
                *_ACCEPT,
            ),
        ),
        ("from_tunnel", (to_resolver, _match("==", _field("tcp", "dport"), API_PORT), *_ACCEPT)),
        (
            "from_tunnel",
            (to_resolver, _match("==", _field("icmpv6", "type"), "echo-request"), *_ACCEPT),
        ),
        ("from_tunnel", _DROP),
        ("output", (to_tunnel, _jump("to_tunnel"))),
        ("output", (to_resolver, _jump("to_tunnel"))),
        *(("to_tunnel", rule) for rule in _to_tunnel(listen_port, own_uids)),
        ("forward", (from_tunnel, not_to_tunnel, *_DROP)),
        ("forward", (not_from_tunnel, to_tunnel, *_DROP)),
        *_service_rules(from_tunnel, to_tunnel),
    ]


def _to_tunnel(listen_port: int, own_uids: frozenset[int]) -> tuple[tuple[object, ...], ...]:
    """Return the rules for what this host sends into the tunnel."""
    return (
        # Where an endpoint is inside of it, each message would go into another, without end.
        (_match("==", _field("udp", "sport"), listen_port), *_DROP),
        (_KNOWN, *_ACCEPT),
        (_meta("==", "skuid", {"set": sorted(own_uids)}), *_ACCEPT),
        (_match("==", _field("icmpv6", "type"), {"set": _ERRORS}), *_ACCEPT),
        _DROP,
    )


def _service_rules(from_tunnel: object, to_tunnel: object) -> list[tuple[str, tuple[object, ...]]]:
    slot = {"&": [_field("th", "sport"), _SLOT_MASK]}
    to_service = _match("==", {"&": [_ip6("daddr"), _HOST_MASK]}, _SERVICE_HOST)
    return [
        ("forward", (from_tunnel, to_service, *_REFUSE)),
        ("services", (from_tunnel, _translate("dnat", "slots", _ip6("daddr"), slot))),
        ("hairpin", (to_tunnel, _translate("snat", "hairpins", _ip6("saddr"), _ip6("daddr")))),
    ]


def _tap_rules(listen_port: int, log_group: int | None) -> Iterator[tuple[str, tuple[object, ...]]]:
    if log_group is None:
        return
    begins = {"payload": {"base": "th", "offset": 8 * _UDP_HEADER_BYTES, "len": 32}}
    yield (
        _TAP,
        (
            _match("==", _field("udp", "dport"), listen_port),
            _match("==", _field("udp", "length"), _UDP_HEADER_BYTES + INITIATION_BYTES),
            _match("==", begins, int.from_bytes(INITIATION_TYPE)),
            {"log": {"group": log_group, "snaplen": _COPIED_BYTES, "queue-threshold": 1}},
        ),
    )


def _match(op: str, left: object, right: object) -> object:
    return {"match": {"op": op, "left": left, "right": right}}


def _meta(op: str, key: str, right: object) -> object:
    return _match(op, {"meta": {"key": key}}, right)


def _field(protocol: str, field: str) -> object:
    return {"payload": {"protocol": protocol, "field": field}}


def _ip6(field: str) -> object:
    return _field("ip6", field)


def _pair(op: str, first: str, second: str) -> object:
    """Match two masked addresses against the networks; one field twice asks for any network."""
    masked = [{"&": [_ip6(field), _NETWORK_MASK]} for field in (first, second)]
    return _match(op, {"concat": masked}, "@networks")


def _translate(kind: str, map_name: str, *key: object) -> object:
    """Give a packet the address that a map has for the parts of `key`; none: leave it."""
    looked_up = {"map": {"key": {"concat": list(key)}, "data": f"@{map_name}"}}
    return {kind: {"family": "ip6", "addr": looked_up}}


def _jump(chain: str) -> object:
    return {"jump": {"target": chain}}


def _hook(name: str, priority: int) -> dict[str, object]:
    return {"name": name, "type": "filter", "hook": name, "prio": priority, "policy": "accept"}


def _nat(name: str, hook: str, priority: int) -> dict[str, object]:
    return {**_hook(hook, priority), "name": name, "type": "nat"}


def _elements(network: IPv6Network) -> tuple[Element, Element]:
    prefix, resolver = map(ipv6_text.render, (network.network_address, resolver_address(network)))
    return Element("networks", (prefix, prefix)), Element("resolvers", (resolver,))


def _slots(service: Service) -> Iterator[Element]:
    """Yield which machine each slot leads to, and what a machine that reaches itself hears."""
    address, machines = ipv6_text.render(service.address), service.machines
    for slot in range(_SLOTS if machines else 0):
        machine = ipv6_text.render(machines[slot % len(machines)])
        yield Element("slots", (address, str(slot << 1)), machine)
    for machine in map(ipv6_text.render, machines):
        resolver = ipv6_text.render(resolver_address(prefix_of(service.address)))
        yield Element("hairpins", (machine, machine), resolver)


def _members(command: str, table: str, elements: frozenset[Element]) -> list[object]:
    """Return one command a set, elements in order."""
    by_set: dict[str, list[object]] = {}
    for set_name, values, data in sorted(elements):
        key = values[0] if len(values) == 1 else {"concat": list(values)}
        by_set.setdefault(set_name, []).append([key, data] if data else key)
    return [
        {command: {"element": {"family": _FAMILY, "table": table, "name": name, "elem": members}}}
        for name, members in by_set.items()
    ]


def _add(kind: str, body: object) -> object:
    return {"add": {kind: body}}


def _document(*commands: object) -> Document:
    return {"nftables": list(commands)}


def _listed(document: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    match document:
        case {"nftables": list(items)}:
            yield from (_one(item) for item in items)
        case _:
            raise Unavailable(f"nft listed {ascii(document)[:80]}, expected its JSON form")


def _one(item: object) -> tuple[str, Mapping[str, object]]:
    if isinstance(item, dict) and len(item) == 1:
        kind, body = next(iter(item.items()))
        if isinstance(body, dict):
            return str(kind), body
    raise Unavailable(f"nft listed {ascii(item)[:80]}, expected one object with its kind")


def _set_elements(body: Mapping[str, object]) -> Iterator[Element]:
    members = body.get("elem", [])
    for member in members if isinstance(members, list) else []:
        match member:
            case [{"concat": list(values)}, data]:
                yield Element(str(body["name"]), tuple(map(str, values)), str(data))
            case {"concat": list(values)}:
                yield Element(str(body["name"]), tuple(map(str, values)))
            case _:
                yield Element(str(body["name"]), (str(member),))


def _canonical(kind: str, body: Mapping[str, object]) -> str:
    """Return one text for all the ways in which nft may list one object."""
    kept = {key: _plain(value) for key, value in body.items() if key not in {"handle", "elem"}}
    return json.dumps({kind: kept}, sort_keys=True, separators=(",", ":"))


def _plain(value: object) -> object:
    match value:
        case {"counter": _}:
            return {"counter": None}
        case {"set": [only]}:
            return only
        case {"set": list(members)}:
            return {"set": sorted(members, key=str)}
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case _:
            return value
