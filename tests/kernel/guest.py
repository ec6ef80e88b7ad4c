"""A machine that boots Debian's stock kernel over this host's own root, and runs one script there.

Emulated on every host: a /dev/kvm within a virtual machine may lack what Linux needs. What the
script writes is lost with the machine; what it prints, its status and the kernel's log come back.
`tests/kernel/prepare` makes what is booted.
"""

import re
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CACHE", "ROOT", "Outcome", "complaints", "run"]

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/kernel"

# Emulated, one processor is twice as fast as two that must agree on each interrupt, and Spectre's
# cures cost a third; stalls that are the emulation's own are no fault of the kernel's.
_KERNEL_LINE = "console=ttyS0 quiet panic=-1 mitigations=off nowatchdog"
_NO_STALLS = "rcupdate.rcu_cpu_stall_suppress=1"
_MACHINE = (
    *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,tb-size=512"),
    *("-cpu", "Nehalem", "-smp", "1", "-m", "1024", "-nodefaults", "-display", "none"),
    *("-no-reboot", "-serial", "stdio", "-device", "virtio-rng-pci"),
)

_COMPLAINT = re.compile(
    r"WARNING:|BUG:|Oops|Call Trace|general protection|refcount_t|"
    r"blocked for more than|unregister_netdevice: waiting|segfault at|Kernel panic"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The script's exit status, what came over the console, and the kernel's log."""

    status: int
    said: str
    log: str


def run(script: str, *, within_s: float, show: Callable[[str], object]) -> Outcome:
    """Boot, run `script` with /bin/sh as root, and switch off; `show` gets each line as it comes.

    Raises AssertionError when the machine ends without a status, which it does at `within_s`.
    """
    with tempfile.TemporaryDirectory(prefix="wgctl-guest-") as name:
        job = Path(name)
        (job / "run").write_text(script)
        (job / "modules").write_text(f"{CACHE / 'modules'}\n")
        said = _boot(job, within_s=within_s, show=show)
        if not (job / "dmesg").exists():
            raise AssertionError(f"the guest ended early, or not within {within_s} s:\n{said}")
        status = int((job / "status").read_text())
        return Outcome(status, said, (job / "dmesg").read_text(errors="replace"))


def complaints(log: str) -> list[str]:
    """Return the lines of a kernel's log that tell of a fault in the kernel, or of a crash."""
    return [line for line in log.splitlines() if _COMPLAINT.search(line)]


def _boot(job: Path, *, within_s: float, show: Callable[[str], object]) -> str:
    said: list[str] = []
    with subprocess.Popen(
        _command(job),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as machine:
        deadline = threading.Timer(within_s, machine.kill)
        deadline.start()
        try:
            assert machine.stdout is not None
            for line in machine.stdout:
                said.append(line)
                show(line)
        finally:
            deadline.cancel()
            machine.kill()
    return "".join(said)


def _command(job: Path) -> list[str]:
    kernel = ["-kernel", str(CACHE / "vmlinuz"), "-initrd", str(CACHE / "initramfs")]
    return [
        *_MACHINE,
        *kernel,
        *("-append", f"{_KERNEL_LINE} {_NO_STALLS}"),
        *_share("host", Path("/"), "readonly=on,multidevs=remap"),
        *_share("job", job, "readonly=off"),
    ]


def _share(tag: str, folder: Path, how: str) -> tuple[str, ...]:
    return (
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,{how}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    )
