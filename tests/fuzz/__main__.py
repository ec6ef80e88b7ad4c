"""Makes up messages for ever, or as many as `-runs=N` says: `python -m tests.fuzz [-runs=N] ...`.

Options are libFuzzer's; a folder among them is where it keeps what reached new code. It begins with
the known messages, and what it fails with is written to a file `crash-...`.
"""

import sys
import tempfile
from pathlib import Path

import atheris


def main() -> None:
    """Let libFuzzer, which counts the branches of the code under test, make up messages."""
    with atheris.instrument_imports(include=["wgctl.core"]):
        import wgctl.core.responder  # noqa: F401 - instrumented before anything else loads it
    from tests.fuzz.known import KNOWN
    from tests.fuzz.responder import check

    with tempfile.TemporaryDirectory(prefix="wgctl-fuzz-") as folder:
        for number, (_, octets) in enumerate(KNOWN):
            Path(folder, str(number)).write_bytes(octets)
        atheris.Setup([*sys.argv, folder], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
