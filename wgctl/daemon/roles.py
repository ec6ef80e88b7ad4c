"""Which entry each role has, and what every role does first."""

from wgctl.core.model import Role
from wgctl.core.settings import Settings
from wgctl.daemon import logs

__all__ = ["run"]


def run(role: Role, settings: Settings) -> None:
    """Run `role` until it is told to stop; each role loads only its own libraries."""
    logs.configure(role)
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
