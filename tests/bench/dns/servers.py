"""The servers that are compared, each with one worker, in a network namespace of its own."""

import sys
import textwrap
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

from peers.endpoint import Endpoint
from peers.names import Label
from tests.bench.dns.names import Names, zone
from wgctl.core.feed import NEEDS
from wgctl.core.model import Role
from wgctl.core.settings import GatewaySettings, ResolverSettings, Settings, render
from wgctl.store.copy import Copy

__all__ = ["SERVERS", "Server", "ours", "resolver_settings"]

_DNSLIB = """
    import socket, sys
    from dnslib import AAAA, QTYPE, RCODE, RR
    from dnslib.server import BaseResolver, DNSLogger, DNSServer, UDPServer

    class Names(BaseResolver):
        def __init__(self, path):
            fields = (line.split() for line in open(path) if " AAAA " in line)
            self.names = {name: AAAA(address) for name, _, address in fields}
        def resolve(self, request, handler):
            reply, name = request.reply(), str(request.q.qname)
            found = self.names.get(name)
            if found is None:
                reply.header.rcode = RCODE.NXDOMAIN
            else:
                reply.add_answer(RR(name, QTYPE.AAAA, ttl=5, rdata=found))
            return reply

    class V6(UDPServer):
        address_family = socket.AF_INET6
    silent = DNSLogger("-request,-reply,-truncated,-error", prefix=False)
    DNSServer(Names(sys.argv[2]), port=53, address=sys.argv[1], server=V6, logger=silent).start()
"""


class Server(NamedTuple):
    """A server: what starts it, and where it listens; None: at the `::3` of every network."""

    name: str
    start: Callable[[Names, Path, IPv6Address], list[str]]
    shared: bool = True


def resolver_settings(folder: Path, interface: str) -> Settings:
    """Return the settings of a resolver that limits nobody."""
    return Settings(
        state_dir=folder / "state",
        runtime_dir=folder / "run",
        gateway=GatewaySettings(
            region=Label("ams"), endpoint=Endpoint("192.0.2.1", 51820), interface=interface
        ),
        resolver=ResolverSettings(queries_per_s=10_000_000),
    )


def ours(names: Names, folder: Path, _at: IPv6Address) -> list[str]:
    """Return what runs our resolver over a copy with `names`, on the device `tunnel`."""
    settings = resolver_settings(folder, "tunnel")
    state = settings.role_dir(Role.RESOLVER)
    state.mkdir(parents=True)
    settings.runtime_dir.mkdir()
    copy = Copy(state / "copy.sqlite")
    with copy.replacing(NEEDS[Role.RESOLVER]) as replacement:
        for row in names.rows():
            replacement.add(row)
        replacement.commit(epoch="bench", revision=1)
    copy.close()
    config = folder / "wgctl.toml"
    config.write_text(render(settings))
    return [sys.executable, "-m", "wgctl", "--config", str(config), "run", "resolver"]


def _nsd(names: Names, folder: Path, at: IPv6Address) -> list[str]:
    config = folder / "nsd.conf"
    config.write_text(
        f"""
        server:
            server-count: 1
            ip-address: {at}
            username: ""
            chroot: ""
            zonesdir: "{folder}"
            database: ""
            pidfile: "{folder}/pid"
            xfrdfile: "{folder}/xfrd"
            zonelistfile: "{folder}/zones"
            rrl-ratelimit: 0
        remote-control:
            control-enable: no
        zone:
            name: "internal"
            zonefile: "{zone(names, folder / "zone")}"
        """
    )
    return ["nsd", "-d", "-c", str(config)]


def _unbound(names: Names, folder: Path, at: IPv6Address) -> list[str]:
    config = folder / "unbound.conf"
    config.write_text(
        f"""
        server:
            num-threads: 1
            interface: {at}
            access-control: ::/0 allow
            username: ""
            chroot: ""
            directory: "{folder}"
            pidfile: "{folder}/pid"
            use-syslog: no
            module-config: "iterator"
        remote-control:
            control-enable: no
        auth-zone:
            name: "internal"
            zonefile: "{zone(names, folder / "zone")}"
            for-upstream: no
            for-downstream: yes
        """
    )
    return ["unbound", "-d", "-c", str(config)]


def _dnsmasq(names: Names, folder: Path, at: IPv6Address) -> list[str]:
    hosts = folder / "hosts"
    with hosts.open("w", encoding="ascii") as file:
        file.writelines(f"{address} {name}\n" for name, address in names.pairs())
    return [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"),
        *("--no-resolv", "--no-hosts", f"--addn-hosts={hosts}", "--local=/internal/"),
        *("--local-ttl=5", "--bind-interfaces", f"--listen-address={at}", "--pid-file="),
    ]


def _dnslib(names: Names, folder: Path, at: IPv6Address) -> list[str]:
    program = textwrap.dedent(_DNSLIB)
    return [sys.executable, "-c", program, str(at), str(zone(names, folder / "zone"))]


SERVERS: Sequence[Server] = (
    Server("wgctl", ours, shared=False),
    Server("NSD", _nsd),
    Server("unbound", _unbound),
    Server("dnsmasq", _dnsmasq),
    Server("dnslib", _dnslib),
)
