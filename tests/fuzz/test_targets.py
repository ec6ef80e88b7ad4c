"""The known messages, and as many new ones as a few seconds allow; `make fuzz` makes more."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import responder, upstream
from wgctl.core.forward.answer import Answer
from wgctl.core.forward.question import Question
from wgctl.core.forward.sections import Section
from wgctl.core.wire import Qtype

ROOT = Path(__file__).parents[2]
RUNS = 15_000
TARGETS = {"responder": responder, "upstream": upstream}
KNOWN = [
    pytest.param(target, octets, id=f"{target}: {what}")
    for target, module in TARGETS.items()
    for what, octets in module.KNOWN
]


@pytest.mark.parametrize(("target", "octets"), KNOWN)
def test_a_known_message_gets_what_may_be_sent(target: str, octets: bytes) -> None:
    TARGETS[target].check(octets)


@pytest.mark.parametrize("target", TARGETS)
def test_new_messages_get_what_may_be_sent(tmp_path: Path, target: str) -> None:
    """The same ones each time: a failure can be had again."""
    pytest.importorskip("atheris", reason="no wheel for this machine")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, f"-runs={RUNS}", "-seed=1", "-max_len=512"],
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
def test_the_check_of_replies_can_fail(reply: bytes | None, why: str) -> None:
    message = responder.KNOWN[0][1][1:]
    with pytest.raises(AssertionError, match=why):
        responder.check_reply(message, reply, choice=0)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        (b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 9, 16) + b"\xfd" + bytes(15), "of ours"),
        (b"\1x\0" + struct.pack("!HHIH", 28, 1, 9, 16) + bytes(16), "of another name"),
        (b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 2**31 - 1, 16) + bytes(16), "for too long"),
        (b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 9, 16) + bytes(17), "cut"),
    ],
)
def test_the_check_of_what_is_passed_on_can_fail(records: bytes, why: str) -> None:
    question = Question(b"\1a\0", Qtype.AAAA)
    found = Answer(0, Section(1, records, ()), Section(0, b"", ()), ttl_s=9)

    with pytest.raises(AssertionError, match=why):
        upstream.check_answer(found, question, b"\1a\0\0\x1c\0\1")
