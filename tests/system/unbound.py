"""A resolver that others wrote, as upstream: Debian's Unbound, with a zone of its own.

`www.example` has one address, `brief.example` one for a second, `many.example` two hundred; it
refuses what is under `evil`. Another one asks somebody else for everything.
"""

from pathlib import Path

__all__ = ["UNBOUND", "write_config", "write_loop"]

UNBOUND = "/usr/sbin/unbound"

_CONFIG = """
server:
  interface: 127.0.0.1@{port}
  interface: 127.0.0.1@{tls_port}
  tls-port: {tls_port}
  tls-service-key: "{certificate}"
  tls-service-pem: "{certificate}"
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  do-daemonize: no
  use-syslog: no
  access-control: 127.0.0.0/8 allow
  local-zone: "example." static
  local-data: "example. 900 IN SOA ns.example. root.example. 1 2 3 4 60"
  local-data: "www.example. 300 IN A 192.0.2.1"
  local-data: "brief.example. 1 IN A 192.0.2.7"
  local-zone: "evil." refuse
{many}
"""

_LOOP = """
server:
  interface: 0.0.0.0@{port}
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  do-daemonize: no
  use-syslog: no
  access-control: 0.0.0.0/0 allow
  module-config: "iterator"
  do-not-query-localhost: no
forward-zone:
  name: "."
  forward-addr: {to}
"""


def write_config(folder: Path, *, port: int, tls_port: int, certificate: Path) -> Path:
    """Write what makes it listen on two ports of 127.0.0.1, with `certificate` on the second."""
    many = "\n".join(f'  local-data: "many.example. 300 IN A 192.0.2.{at}"' for at in range(200))
    path = folder / "unbound.conf"
    path.write_text(
        _CONFIG.format(
            port=port, tls_port=tls_port, certificate=certificate, folder=folder, many=many
        )
    )
    return path


def write_loop(folder: Path, *, port: int, to: str) -> Path:
    """Write what makes it listen on a port of every address, and ask `to` for all names."""
    path = folder / "loop.conf"
    path.write_text(_LOOP.format(port=port, folder=folder, to=to))
    return path
