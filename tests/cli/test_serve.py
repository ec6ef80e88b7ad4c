import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import CONFIG, Wgctl
from tests.patience import HANG_S
from wgctl.daemon.locks import only_one_serves


def test_a_role_without_its_state_says_what_makes_it(bare: Wgctl, tmp_path: Path) -> None:
    path = tmp_path / "wgctl.toml"
    path.write_text(CONFIG.format(folder=tmp_path))

    told = subprocess.run(
        [sys.executable, "-m", "wgctl", "--config", str(path), "run", "controller"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 7
    assert "wgctl init" in told.stderr


def test_a_second_serve_ends_at_once_and_says_why(bare: Wgctl, tmp_path: Path) -> None:
    """Its roles would find the others' folders locked, and be started again for ever."""
    path = tmp_path / "wgctl.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    bare("--config", str(path), "init")

    with only_one_serves(tmp_path / "state"):
        told = subprocess.run(
            [sys.executable, "-m", "wgctl", "--config", str(path), "serve"],
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_S,
        )

    assert told.returncode == 7
    assert told.stderr.startswith("wgctl: wgctl serve runs on")
    assert not (tmp_path / "run").exists()


def test_a_role_runs_until_it_is_told_to_stop(bare: Wgctl, tmp_path: Path) -> None:
    path = tmp_path / "wgctl.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    bare("--config", str(path), "init")
    process = subprocess.Popen(
        [sys.executable, "-m", "wgctl", "--config", str(path), "run", "controller"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + HANG_S
        while not (tmp_path / "run" / "api.sock").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

        process.send_signal(signal.SIGTERM)

        assert process.wait(HANG_S) == 0
    finally:
        process.kill()
