"""Which entry each role has, and what every role does first."""

import signal

from wgctl.core.model import Role
from wgctl.core.settings import Settings
from wgctl.daemon import logs

__all__ = ["run"]


def run(role: Role, settings: Settings) -> None:
    """Run `role` until it is told to stop; each role loads only its own libraries."""
    logs.configure(role)
    # Until the role's loop takes SIGTERM, it just ends the process: there is nothing half made,
    # and an exception out of a signal handler can get lost in somebody's `except`.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    match role:
        case Role.CONTROLLER:
            from wgctl.daemon import controller

            controller.run(settings)
        case Role.GATEWAY:
            from wgctl.daemon import gateway

            gateway.run(settings)
        case Role.RESOLVER:
            from wgctl.daemon import resolver

            resolver.run(settings)
        case Role.INTERNAL_API:
            from wgctl.daemon import internal_api

            internal_api.run(settings)
