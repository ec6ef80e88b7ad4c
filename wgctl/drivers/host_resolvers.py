"""The resolvers that this host asks itself, from the files that its own stub reads.

Knows which file; what its lines mean is `wgctl.core.forward.resolv_conf`.
"""

from pathlib import Path

from wgctl.core.forward import resolv_conf
from wgctl.core.forward.upstream import Upstream

__all__ = ["host_resolvers"]

_OWN = Path("/etc/resolv.conf")
_RESOLVED = Path("/run/systemd/resolve/resolv.conf")


def host_resolvers(*, own: Path = _OWN, resolved: Path = _RESOLVED) -> tuple[Upstream, ...]:
    """Return what the file `own` names, or `resolved` where that is systemd-resolved's stub.

    Nothing where there is no such file, or none that can be read.
    """
    text = _text(own)
    return resolv_conf.parse(_text(resolved) if resolv_conf.is_stub(text) else text)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
