"""Makes up messages for ever, or as many as `-runs=N` says: `python -m tests.fuzz TARGET -runs=N`.

TARGET is `responder`, for what strangers ask, or `upstream`, for what is replied to us. Other
options are libFuzzer's; a folder among them is where it keeps what reached new code. It begins with
the known messages, and what it fails with is written to a file `crash-...`.
"""

import importlib
import sys
import tempfile
from pathlib import Path

import atheris

TARGETS = ("responder", "upstream")


def main() -> None:
    """Let libFuzzer, which counts the branches of the code under test, make up messages."""
    with atheris.instrument_imports(include=["wgctl.core"]):
        # Before anything else loads them, which would do it without the instruments.
        importlib.import_module("wgctl.core.responder")
        importlib.import_module("wgctl.core.forward.answer")
    if len(sys.argv) == 1 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"python -m tests.fuzz {'|'.join(TARGETS)} [OPTION|FOLDER]...")
    target = importlib.import_module(f"tests.fuzz.{sys.argv.pop(1)}")

    with tempfile.TemporaryDirectory(prefix="wgctl-fuzz-") as folder:
        for number, (_, octets) in enumerate(target.KNOWN):
            Path(folder, str(number)).write_bytes(octets)
        atheris.Setup([*sys.argv, folder], target.check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
