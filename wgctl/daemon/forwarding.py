"""The upstreams of this host in the resolver role: which addresses are ours, and who hears of them.

Joins settings, copy, logs and reports; the asking is `wgctl.drivers.upstream`.
"""

from collections.abc import Callable
from ipaddress import IPv6Network

import structlog

from wgctl.core.forward.health import Condition
from wgctl.core.schema import UpstreamCondition
from wgctl.core.settings import ResolverSettings
from wgctl.daemon.reports import Reports
from wgctl.drivers.crowd import NETWORK_BYTES
from wgctl.drivers.upstream.forwarder import Upstreams
from wgctl.store.copy import Copy

__all__ = ["of_ours", "open_upstreams"]

_ULA = 0xFD
_REST_BYTES = 10
_PREFIX_LENGTH = 48

_log = structlog.get_logger()


def open_upstreams(settings: ResolverSettings, copy: Copy, reports: Reports) -> Upstreams:
    """Return the upstreams of `settings`, and tell `reports` how they do from here on.

    Raises Invalid when `tls_ca` is unusable.
    """

    def tell() -> None:
        conditions = upstreams.conditions()
        reports.upstreams(list(map(_shape, conditions)))
        reports.trouble(_problem(conditions), of="upstreams")
        for upstream, reason in conditions:
            _log.info("upstream", upstream=upstream, reason=reason)

    upstreams = Upstreams(
        settings.upstreams, ours=of_ours(copy), tls_ca=settings.tls_ca, notify=tell
    )
    reports.upstreams(list(map(_shape, upstreams.conditions())))
    return upstreams


def of_ours(copy: Copy) -> Callable[[bytes], bool]:
    """Return what says whether 16 octets are an address of a network in `copy`."""

    def ours(address: bytes) -> bool:
        if address[0] != _ULA:
            return False
        prefix = IPv6Network((address[:NETWORK_BYTES] + bytes(_REST_BYTES), _PREFIX_LENGTH))
        return copy.network_of(prefix) is not None

    return ours


def _shape(condition: Condition) -> UpstreamCondition:
    return UpstreamCondition(upstream=condition.upstream, reason=condition.reason)


def _problem(conditions: list[Condition]) -> str | None:
    """Return what members notice: nothing, as long as one upstream works."""
    if any(condition.reason is None for condition in conditions):
        return None
    last = conditions[-1]
    return f"no upstream answers; {last.upstream}: {last.reason}"
