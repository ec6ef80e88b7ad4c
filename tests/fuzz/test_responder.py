"""The known messages, and as many new ones as a few seconds allow; `make fuzz` makes more."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import responder
from tests.fuzz.known import KNOWN

ROOT = Path(__file__).parents[2]
RUNS = 15_000


@pytest.mark.parametrize("octets", [each[1] for each in KNOWN], ids=[each[0] for each in KNOWN])
def test_a_known_message_gets_what_may_be_sent(octets: bytes) -> None:
    responder.check(octets)


def test_new_messages_get_what_may_be_sent(tmp_path: Path) -> None:
    """The same ones each time: a failure can be had again."""
    pytest.importorskip("atheris", reason="no wheel for this machine")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", f"-runs={RUNS}", "-seed=1", "-max_len=512"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {RUNS} runs" in done.stderr


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (None, "silence to a query"),
        (b"\x12\x35\x81\x80" + bytes(8), "another id"),
        (b"\x12\x34\x01\x80" + bytes(8), "no reply"),
        (b"\x12\x34\xa1\x80" + bytes(8), "another opcode"),
        (struct.pack("!6H", 0x1234, 0x8180, 1, 0, 0, 0) + b"\1x\0\0\x1c\0\1", "another question"),
    ],
)
def test_the_check_can_fail(reply: bytes | None, why: str) -> None:
    message = KNOWN[0][1][1:]
    with pytest.raises(AssertionError, match=why):
        responder.check_reply(message, reply, choice=0)
