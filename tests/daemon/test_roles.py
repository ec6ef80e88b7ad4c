import subprocess
import sys

import pytest

from tests.daemon.running import ROOT, folder_of_a_socket, host, running, stop
from wgctl.core.model import Role

_LOADED = """
import importlib, sys
importlib.import_module("wgctl.daemon." + sys.argv[1])
print(*sys.modules)
"""


def _loaded(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, module],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    names = set(done.stdout.split())
    return names | {name.split(".")[0] for name in names}


_SERVER = {"fastapi", "uvicorn"}
_STORE = {"sqlalchemy", "alembic"}
_KERNEL = {"wgctl.drivers.netlink", "wgctl.drivers.nft"}


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("roles", {*_SERVER, *_STORE, *_KERNEL, "dnslib", "h11"}),
        ("controller", {*_KERNEL, "alembic", "dnslib", "httpx2"}),
        ("gateway", {*_SERVER, *_STORE, "dnslib", "httpx2"}),
        ("resolver", {*_SERVER, *_STORE, *_KERNEL, "httpx2"}),
        ("internal_api", {*_STORE, *_KERNEL, "dnslib", "httpx2"}),
    ],
)
def test_a_role_loads_no_library_of_another(module: str, foreign: set[str]) -> None:
    """No role but the controller can open its database; only the gateway speaks netlink.

    What is loaded is also what it takes to be back after it was killed.
    """
    assert not _loaded(module) & foreign


def test_a_role_says_in_its_log_which_it_is() -> None:
    with folder_of_a_socket() as folder:
        settings = host(folder)
        with running(Role.INTERNAL_API, settings) as process:
            assert process.stderr is not None
            first = process.stderr.readline()
            status, _ = stop(process)

    assert " role=internal-api " in first
    assert status == 0
