"""A machine that boots Debian's stock kernel over this host's own root, and runs one script there.

Emulated on every host: a /dev/kvm within a virtual machine may lack what Linux needs. What the
script prints, its status and the logs come back; what it writes is lost with the machine, unless
there is a disk. `tests/kernel/prepare` makes what is booted, `tests/kernel/init` tells how.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

__all__ = ["CACHE", "ROOT", "Boot", "Outcome", "complaints", "make_disk", "run", "run_on", "tests"]

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/kernel"
_HERE = Path(__file__).parent

# Emulated, one processor is twice as fast as two that must agree on each interrupt, and Spectre's
# cures cost a third; stalls that are the emulation's own are no fault of the kernel's, nor are late
# interrupts of its timer.
_KERNEL_LINE = "console=ttyS0 quiet panic=-1 mitigations=off nowatchdog no_timer_check"
_NO_STALLS = "rcupdate.rcu_cpu_stall_suppress=1"
# Without haste, each link, namespace and peer that goes waits for a grace period, idle.
_HASTE = "rcupdate.rcu_expedited=1"
# A library that lies elsewhere in each process is translated anew for each: a fifth of what a start
# of Python takes. A huge page is cleared whole, however little of it is used.
_SAME_PLACES = "norandmaps transparent_hugepage=never"
_MACHINE = (
    *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,tb-size=512"),
    *("-cpu", "Nehalem", "-smp", "1", "-m", "1536", "-nodefaults", "-display", "none"),
    *("-no-reboot", "-serial", "stdio", "-device", "virtio-rng-pci"),
)

# How fast this host emulates depends on what else it does. By a clock that takes a nanosecond for
# an instruction, and for a wait what it takes here, the guest is a machine of known speed: 1e9
# instructions a second, less than any server has. A controller's start takes 2.8 s of it, and
# about one of such a server's processor.
_BY_INSTRUCTIONS = ("-icount", "shift=0,sleep=on,align=off")

_COMPLAINT = re.compile(
    r"WARNING:|BUG:|Oops|Call Trace|general protection|refcount_t|"
    r"blocked for more than|unregister_netdevice: waiting|segfault at|Kernel panic"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a script: exit status, what came over the console, and the logs."""

    status: int
    said: str
    log: str
    """The kernel's."""
    journal: str
    """systemd's, of this boot; empty without systemd."""


Boot: TypeAlias = Callable[..., Outcome]
"""`run` with its lines shown, as `tests/kernel/conftest.py` gives it to tests."""


def make_disk(path: Path, *, layer: Path | None = None, size_bytes: int = 2 << 30) -> None:
    """Make a disk, which takes the room of what is written to it.

    What is in the folder `upper` of `layer` is on it from the first boot on, over the host's root.
    """
    with path.open("xb") as image:
        image.truncate(size_bytes)
    quick = "lazy_itable_init=1,lazy_journal_init=1"
    holding = [] if layer is None else ["-d", str(layer)]
    mkfs = ["mkfs.ext4", "-q", "-E", quick, *holding, str(path)]
    subprocess.run(mkfs, check=True)


def run(
    script: str,
    *,
    within_s: float,
    show: Callable[[str], object],
    systemd: bool = False,
    disk: Path | None = None,
    by_instructions: bool = False,
) -> Outcome:
    """Boot, run `script` with /bin/sh as root, and switch off; `show` gets each line as it comes.

    With `systemd` as first process the script starts after multi-user.target, in a unit of its own.
    None of the host's own units is enabled there; what the script enables is at the next boot, if
    there is a `disk`: it keeps all that is written anywhere but in /run, from one run to the next.
    `by_instructions` is for scripts that tell times: they are then those of a machine of 1e9
    instructions a second, however slow this host is. The guide of a server takes as much of an idle
    host's processor either way, and less of a busy one's: the guest's clock stands still while it
    gets none, so nothing comes due meanwhile.

    Raises AssertionError when the machine ends without a status, which it does at `within_s`.
    """
    first = "first-systemd" if systemd else "first-alone"
    command = partial(_command, disk=disk, by_instructions=by_instructions)
    return run_on(command, script, first=first, within_s=within_s, show=show)


def run_on(
    machine: Callable[[Path], list[str]],
    script: str,
    *,
    first: str,
    within_s: float,
    show: Callable[[str], object],
) -> Outcome:
    """Run `script` on what the command `machine` of a job's folder makes; `first` begins there."""
    with tempfile.TemporaryDirectory(prefix="wgctl-guest-") as name:
        job = Path(name)
        (job / "run").write_text(script)
        shutil.copy(_HERE / "job", job)
        shutil.copy(_HERE / first, job / "first")
        said = _boot(machine(job), within_s=within_s, show=show)
        if not (job / "dmesg").exists():
            raise AssertionError(f"the guest ended early, or not within {within_s} s:\n{said}")
        status = int((job / "status").read_text())
        return Outcome(status, said, _text(job / "dmesg"), _text(job / "journal"))


def complaints(log: str) -> list[str]:
    """Return the lines of a kernel's log that tell of a fault in the kernel, or of a crash."""
    return [line for line in log.splitlines() if _COMPLAINT.search(line)]


def tests(*files: str) -> str:
    """Return the script that runs those tests of `files` that are marked for a guest."""
    options = ["-m", "kernel or guest", "--color=no", "-p", "no:cacheprovider", "-v", "--tb=short"]
    # All others that are installed take a fifth of the time until the first test.
    plugins = ["--disable-plugin-autoload", "-p", "pytest_timeout"]
    pytest = [sys.executable, "-m", "pytest", *plugins, *options, *files]
    return f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(pytest)} 2>&1\n"


def _boot(command: list[str], *, within_s: float, show: Callable[[str], object]) -> str:
    said: list[str] = []
    with subprocess.Popen(
        command,
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


def _command(job: Path, disk: Path | None, *, by_instructions: bool) -> list[str]:
    kernel = ["-kernel", str(CACHE / "kernel"), "-initrd", str(CACHE / "initramfs")]
    # What the guest wrote is safe with the host's kernel.
    drive = "if=virtio,format=raw,discard=unmap,cache=unsafe"
    return [
        *_MACHINE,
        *(_BY_INSTRUCTIONS if by_instructions else ()),
        *kernel,
        *("-append", f"{_KERNEL_LINE} {_NO_STALLS} {_HASTE} {_SAME_PLACES}"),
        *_share("host", Path("/"), "readonly=on,multidevs=remap"),
        *_share("cache", CACHE, "readonly=on"),
        *_share("job", job, "readonly=off"),
        *(("-drive", f"file={disk},{drive}") if disk else ()),
    ]


def _share(tag: str, folder: Path, how: str) -> tuple[str, ...]:
    return (
        *("-fsdev", f"local,id={tag},path={folder},security_model=none,{how}"),
        *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    )


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
