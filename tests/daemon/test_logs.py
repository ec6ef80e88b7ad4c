import subprocess
import sys

from tests.daemon.running import ROOT

_PROGRAM = """
import structlog
from wgctl.daemon import logs
log = structlog.get_logger()
logs.configure("gateway")
log.debug("not told")
log.info("peer added", org="acme", name="laptop", new=True, count=3, none=None)
log.info("said", text="a\\nb\\x1b[2J\\u2028\\ud800", quoted='a "b"', path="\\tc", café="é")
try:
    1 / 0
except ZeroDivisionError as error:
    log.error("failed", exc_info=error)
"""


def _lines() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_an_event_is_one_line_with_time_level_and_role() -> None:
    added, said, failed = _lines()
    time, _, rest = added.partition(" ")

    assert time.startswith("timestamp=2")
    assert time.endswith("Z")
    assert rest.startswith('level=info role=gateway event="peer added" ')
    assert {"org=acme", "name=laptop", "new=true", "count=3", "none="} <= set(rest.split())
    assert " level=info role=gateway event=said " in said
    assert " level=error role=gateway event=failed " in failed


def test_what_a_terminal_obeys_is_escaped() -> None:
    _, said, failed = _lines()

    assert all(line.isprintable() for line in (said, failed))
    assert r"a\nb\x1b[2J\u2028\ud800" in said
    assert r"path=\tc" in said
    assert "café=é" in said
    assert r"\nZeroDivisionError: division by zero" in failed
