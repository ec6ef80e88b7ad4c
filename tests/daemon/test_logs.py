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


_HANDSHAKE = """
import ssl
import sys
from wgctl.daemon import logs
from wgctl.drivers.tls import server_tls, show_by_name

def wrap(tls, **how):
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    return tls.wrap_bio(into, out, **how), into, out

logs.configure("controller")
client, _, hello = wrap(ssl.create_default_context(), server_hostname="vpn.example")
try:
    client.do_handshake()
except ssl.SSLWantReadError:
    pass
server = server_tls()
show_by_name(server, {})
serving, heard, _ = wrap(server, server_side=True)
said = hello.read()
assert said.count(b"vpn.example") == 1
heard.write(said.replace(b"vpn.example", b"vpn.exampl\\xff"))
try:
    serving.do_handshake()
except ssl.SSLError as error:
    print(error.reason)

class Broken:
    def __del__(self):
        raise ValueError("elsewhere")

Broken()
"""


def _lines(program: str = _PROGRAM, *, printed: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == printed
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


def test_a_stranger_who_asks_for_a_name_that_is_no_ascii_prints_nothing() -> None:
    first, *_, last = _lines(_HANDSHAKE, printed="CALLBACK_FAILED\n")

    assert first.startswith("Exception ignored in: <function Broken.__del__")
    assert last == "ValueError: elsewhere"
