"""Which WireGuard runs a gateway's device.

Decides from what was wanted and what was found; who looks and who runs it is
`wgctl.daemon.devices`. A device that stands is never replaced by one of the other kind, because
that would cut every session: `wgctl down` ends it, and the next start chooses anew.
"""

from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.settings import Backend

__all__ = ["choose"]


def choose(wanted: Backend, *, standing: Backend | None, has_kernel: bool) -> Backend:
    """Return `kernel` or `userspace`; `standing` is what runs the device there is, None: none.

    Raises Unavailable for a kernel that has no WireGuard, Conflict for a device of the other kind.
    """
    if standing is not None and wanted in {Backend.AUTO, standing}:
        return standing
    if standing is not None:
        raise Conflict(
            f'the interface runs in {standing} and the settings say backend = "{wanted}": '
            f"wgctl down ends it, and the next start makes it in {wanted}"
        )
    if wanted is Backend.KERNEL and not has_kernel:
        raise Unavailable(
            "this kernel has no WireGuard: expected the module wireguard, which Linux has from "
            '5.6 on, or backend = "auto" or "userspace" in [gateway]'
        )
    return Backend.KERNEL if has_kernel and wanted is not Backend.USERSPACE else Backend.USERSPACE
