"""Whether store, copies, kernel and DNS of one gateway hold the same, and what was promised.

Reads the store and the copies as their files are, the kernel with wg, ip and nft, and names with
dig over a tunnel.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from peers.addresses import resolver_address
from peers.keys import PublicKey
from tests.system.enrolling import Acknowledged, Ledger
from tests.system.hosts import Gateway, Host
from wgctl.core.feed import Kind
from wgctl.core.model import Network, Org, Peer
from wgctl.core.settings import STORE_NAME
from wgctl.store.copy import Copy
from wgctl.store.store import Store

__all__ = ["Stored", "copies_differ", "kernel_differs", "names_differ", "read_store", "unkept"]

_COPIES = ("gateway", "internal-api", "resolver")


@dataclass(frozen=True)
class Stored:
    """What the store holds, and where it stands."""

    position: tuple[str, int]
    orgs: dict[int, Org]
    networks: dict[int, Network]
    peers: dict[int, Peer]


def read_store(gateway: Gateway) -> Stored:
    """Return what is in the controller's file."""
    store = Store(gateway.folder / "state" / "controller" / STORE_NAME)
    try:
        with store.reading() as deployment:
            rows = [put.row for put in deployment.snapshot(frozenset(Kind))]
            position = deployment.epoch, deployment.revision
    finally:
        store.close()
    return Stored(
        position,
        {row.id: row for row in rows if isinstance(row, Org)},
        {row.id: row for row in rows if isinstance(row, Network)},
        {row.id: row for row in rows if isinstance(row, Peer)},
    )


def unkept(stored: Stored, ledger: Ledger) -> list[str]:
    """Return what was promised and is not so, and what is there without a promise."""
    there = {
        Acknowledged(stored.orgs[p.org_id].slug, p.name, p.public_key, p.address)
        for p in stored.peers.values()
    }
    promised = set(ledger.standing.values())
    addresses = [peer.address for peer in ledger.given]
    return [
        *(f"lost: {peer}" for peer in promised - there),
        *(f"nobody was told of: {peer}" for peer in there - promised),
        *(f"given twice: {one}" for one in set(addresses) if addresses.count(one) > 1),
    ]


def copies_differ(gateway: Gateway, stored: Stored) -> list[str]:
    """Return how the roles' copies differ from the store."""
    return [
        f"copy of {role}: {what}"
        for role in _COPIES
        for what in _copy_differs(gateway, role, stored)
    ]


def _copy_differs(gateway: Gateway, role: str, stored: Stored) -> Iterator[str]:
    copy = Copy(gateway.folder / "state" / role / "copy.sqlite")
    try:
        if copy.position != stored.position:
            yield f"{copy.position}, expected {stored.position}"
        if {row.id: row for row in copy.peers()} != stored.peers:
            yield "other peers"
        if {row.id: row for row in copy.networks()} != stored.networks:
            yield "other networks"
    finally:
        copy.close()


def kernel_differs(gateway: Gateway, stored: Stored) -> list[str]:
    """Return how device, addresses, routes and nftables sets differ from the store."""
    prefixes = [network.prefix for network in stored.networks.values()]
    resolvers = {str(resolver_address(prefix)) for prefix in prefixes}
    bare = {str(prefix.network_address) for prefix in prefixes}
    pairs: list[tuple[str, object, object]] = [
        (
            "allowed IPs",
            _allowed(gateway),
            {p.public_key: {IPv6Network(p.address)} for p in stored.peers.values()},
        ),
        ("addresses", _addresses(gateway), resolvers),
        ("routes", _routes(gateway), {(str(p), str(p)) for p in prefixes}),
        ("nft networks", _members(gateway, "networks"), {(one, one) for one in bare}),
        ("nft resolvers", _members(gateway, "resolvers"), {(one,) for one in resolvers}),
    ]
    return [
        f"{what}: {found}, expected {wanted}" for what, found, wanted in pairs if found != wanted
    ]


def _allowed(gateway: Gateway) -> dict[PublicKey, set[IPv6Network]]:
    listed = gateway.host.run("wg", "show", gateway.interface, "allowed-ips", check=False).stdout
    return {
        PublicKey.parse(key): {IPv6Network(one) for one in allowed.split() if one != "(none)"}
        for key, allowed in (line.split("\t") for line in listed.splitlines())
    }


def _addresses(gateway: Gateway) -> set[str]:
    links = _json(gateway.host, "ip", "-6", "-j", "addr", "show", "dev", gateway.interface)
    return {
        info["local"]
        for link in links
        for info in link.get("addr_info", [])
        if info.get("scope") == "global"
    }


def _routes(gateway: Gateway) -> set[tuple[str, str]]:
    """Return destination and source of the tunnel's routes, each with its source."""
    routes = _json(gateway.host, "ip", "-6", "-j", "route", "show", "dev", gateway.interface)
    return {(route["dst"], route["from"]) for route in routes if "from" in route}


def _members(gateway: Gateway, name: str) -> set[tuple[str, ...]]:
    found = _json(gateway.host, "nft", "-j", "list", "set", "inet", gateway.interface, name)
    (elements,) = [
        item["set"].get("elem", []) for item in found.get("nftables", []) if "set" in item
    ] or [[]]
    return {tuple(one["concat"]) if isinstance(one, dict) else (one,) for one in elements}


def _json(host: Host, *command: str) -> Any:
    done = host.run(*command, check=False)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout else {}


def names_differ(client: Host, ledger: Ledger, *, org: str, at: str) -> list[str]:
    """Return how names and reverse names of an org's peers, asked through `client`, differ."""
    standing = {_name(peer): peer.address for peer in ledger.of(org)}
    gone = [p for p in ledger.given if p.org == org and _name(p) not in standing]
    names = [*standing, *map(_name, gone)]
    addresses = [*standing.values(), *(p.address for p in gone)]
    found = _dig(client, [f"{name} AAAA" for name in names], at=at)
    back = _dig(client, [f"-x {address}" for address in addresses], at=at)
    return [
        *_differences(found, {name: str(address) for name, address in standing.items()}),
        *_differences(back, {_reverse(address): f"{name}." for name, address in standing.items()}),
    ]


def _dig(client: Host, questions: list[str], *, at: str) -> dict[str, str]:
    """Return the data of each answer by its name, from one dig that asks one after the other."""
    batch = client.run(
        *("dig", f"@{at}", "+noall", "+answer", "+time=2", "+tries=2", "-f", "-"),
        stdin="".join(f"{question}\n" for question in questions),
        check=False,
    )
    records = [line.split() for line in batch.stdout.splitlines() if line[:1] not in {";", ""}]
    return {record[0].removesuffix("."): record[-1] for record in records}


def _differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {found.get(name)}, expected {wanted.get(name)}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]


def _name(peer: Acknowledged) -> str:
    return f"{peer.name}._peer.internal"


def _reverse(address: IPv6Address) -> str:
    return address.reverse_pointer
