"""A host that systemd runs, in namespaces of this one: what a guest is, at this machine's speed.

It has this machine's kernel, so a tunnel is the kernel's own only where this one is. The script
`namespaced` makes it.
"""

import subprocess
from pathlib import Path

from tests.kernel import guest
from tests.kernel.guest import Outcome
from tests.patience import HANG_S

__all__ = ["run"]

_SCRIPT = Path(__file__).with_name("namespaced")
# A process that dies takes all of its namespaces' with it.
_ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def run(script: str, *, within_s: float) -> Outcome:
    """Boot, run `script` with /bin/sh as root after multi-user.target, and switch off.

    Raises AssertionError when it ends without a status, which it does at `within_s`.
    """
    jobs: list[Path] = []

    def machine(job: Path) -> list[str]:
        jobs.append(job)
        return [*_ALONE, str(_SCRIPT), str(job)]

    try:
        return guest.run_on(
            machine, script, first="first-systemd", within_s=within_s, show=lambda _line: None
        )
    finally:
        for job in jobs:
            subprocess.run([*_ALONE, str(_SCRIPT), str(job), "remove"], check=True, timeout=HANG_S)
