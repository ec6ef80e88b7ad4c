"""How long a command of the command line takes, as whole processes, beside `python -c pass`.

Runs in turn, several times; prints the median of each and its ratio to the bare interpreter. What
is asked of a controller is asked of a real one, in a folder of its own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 15
WGCTL = str(Path(sys.executable).parent / "wgctl")
GOALS_MS = {"wgctl --help": 150, "wgctl peer add": 400}


def main() -> None:
    with _controller() as folder:
        count = iter(range(1_000))
        commands: dict[str, Callable[[], list[str]]] = {
            "python -c pass": lambda: [sys.executable, "-c", "pass"],
            "wgctl --help": lambda: [WGCTL, "--help"],
            "wgctl peer add": lambda: [
                *(WGCTL, "peer", "add", f"peer-{next(count)}", "--org", "bench")
            ],
        }
        times = _measure(commands, folder)
    bare = statistics.median(times["python -c pass"])
    print(f"{'command':<20}{'median ms':>10}{'min':>8}{'max':>8}{'x bare':>8}{'goal ms':>9}")
    for name, taken in times.items():
        median = statistics.median(taken)
        goal = GOALS_MS.get(name)
        print(
            f"{name:<20}{median:>10.0f}{min(taken):>8.0f}{max(taken):>8.0f}{median / bare:>8.1f}"
            f"{goal or '':>9}{'' if goal is None else '  holds' if median <= goal else '  MISSED'}"
        )


def _measure(commands: dict[str, Callable[[], list[str]]], folder: Path) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(ROUNDS + 1):
        for name, command in commands.items():
            argv = command()
            began = time.perf_counter()
            subprocess.run(argv, check=True, capture_output=True, env=_environment(folder))
            if round_ > 0:  # The first round fills the page cache.
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "WGCTL_CONFIG": str(folder / "wgctl.toml"),
        "XDG_CONFIG_HOME": str(folder),
        # Compiled once, as what is installed is: the first round may keep what it compiled.
        "PYTHONDONTWRITEBYTECODE": "",
    }


@contextmanager
def _controller() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wgctl-bench-") as name:
        folder = Path(name)
        (folder / "wgctl.toml").write_text(
            f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            '[gateway]\nregion = "ams"\nendpoint = "203.0.113.7:51820"\n'
        )
        environment = _environment(folder)
        subprocess.run([WGCTL, "init"], check=True, capture_output=True, env=environment)
        with (folder / "log").open("wb") as log:
            controller = subprocess.Popen(
                [WGCTL, "run", "controller"], env=environment, stdout=log, stderr=log
            )
        try:
            _wait_ready(environment)
            subprocess.run(
                [WGCTL, "org", "add", "bench"], check=True, capture_output=True, env=environment
            )
            yield folder
        finally:
            controller.terminate()
            controller.wait(10)


def _wait_ready(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (
            subprocess.run(
                [WGCTL, "status"], capture_output=True, env=environment, check=False
            ).returncode
            == 0
        ):
            return
        time.sleep(0.1)
    raise SystemExit("bench: the controller did not answer within 20 s")


if __name__ == "__main__":
    main()
