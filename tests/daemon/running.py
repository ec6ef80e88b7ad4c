"""Hosts made for tests: a config, state folders with a furnished store, and roles that run."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import HANG_S
from tests.store import samples
from wgctl.core import authority
from wgctl.core import settings as core_settings
from wgctl.core.model import Role
from wgctl.core.settings import Settings

__all__ = [
    "ROOT",
    "folder_of_a_socket",
    "free_port",
    "host",
    "listening",
    "running",
    "stop",
    "until",
]

ROOT = Path(__file__).parents[2]

_ROLE = """
import sys
from wgctl.core import settings
from wgctl.core.model import Role
from wgctl.daemon import roles
roles.run(Role(sys.argv[1]), settings.parse(sys.argv[2], origin="test"))
"""


@contextmanager
def folder_of_a_socket() -> Iterator[Path]:
    """Make a folder with a short name: a socket's path ends at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="wgctl-") as name:
        yield Path(name)


def host(folder: Path, *, interface: str = "wgtest0") -> Settings:
    """Make the state folders of a host whose store has a gateway and two orgs."""
    text = f"""
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[gateway]
region = "ams"
endpoint = "203.0.113.7:51820"
interface = "{interface}"
"""
    settings = core_settings.parse(text, origin="test")
    for role in Role:
        settings.role_dir(role).mkdir(parents=True)
    samples.furnish(settings.role_dir(Role.CONTROLLER))
    own = authority.make(now=int(time.time()))
    settings.authority_file.write_bytes(own.certificate)
    settings.authority_key_file.write_bytes(own.key)
    settings.authority_key_file.chmod(0o600)
    return settings


@contextmanager
def running(
    role: Role, settings: Settings, *, prefix: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run `role` as a process for the block; `prefix` is what it is started through."""
    text = core_settings.render(settings)
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", _ROLE, role.value, text],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ask `process` to stop; return its status and what it logged."""
    process.terminate()
    _, said = process.communicate(timeout=HANG_S)
    return process.returncode, said


def listening(path: Path) -> bool:
    """Whether somebody listens at the Unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def until(check: Callable[[], bool]) -> None:
    """Wait until `check()` holds."""
    deadline = time.monotonic() + HANG_S
    while not check():
        assert time.monotonic() < deadline, f"not within {HANG_S} s"
        time.sleep(0.02)
