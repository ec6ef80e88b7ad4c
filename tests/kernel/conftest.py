"""What the guests share: each shows its lines as they come, and is skipped where none is made."""

import sys
from pathlib import Path

import pytest

from tests.kernel import guest
from tests.kernel.guest import Boot, Outcome


@pytest.fixture(scope="session")
def boot(pytestconfig: pytest.Config) -> Boot:
    """Return `guest.run`, without its `show`."""
    if not (guest.CACHE / "initramfs").exists():
        pytest.skip("make test fetches the guest's kernel")
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None

    def run(
        script: str,
        *,
        within_s: float,
        systemd: bool = False,
        disk: Path | None = None,
        by_instructions: bool = False,
    ) -> Outcome:
        with capture.global_and_fixture_disabled():
            return guest.run(
                script,
                within_s=within_s,
                show=_show,
                systemd=systemd,
                disk=disk,
                by_instructions=by_instructions,
            )

    return run


def _show(line: str) -> None:
    sys.stdout.write(f"  guest | {line.rstrip()}\n")
    sys.stdout.flush()
