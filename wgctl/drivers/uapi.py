"""The text protocol of userspace WireGuard devices, over their socket.

Knows the words of `get=1` and `set=1` (wireguard.com/xplatform); who starts such a device is
`wgctl.drivers.wireguard_go`. A set holds keys in the clear: it is never logged.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, assert_never

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.allowed_ips import from_rows, texts, to_row
from wgctl.core.errors import Unavailable
from wgctl.core.ports import Seen
from wgctl.core.tunnel import (
    Device,
    DeviceStep,
    GivePeer,
    Greet,
    RemovePeer,
    SetDevice,
    SetPeer,
    SingleStep,
    singly,
)

__all__ = [
    "answers",
    "observe",
    "owner",
    "parse",
    "parse_seen",
    "read",
    "render",
    "set_",
    "socket_path",
]

_Result = TypeVar("_Result")

_FOLDER = Path("/var/run/wireguard")
_TIMEOUT_S = 5.0

# The device reads a set as it comes and stops at the first fault: small sets keep what is lost
# with one small. 1,000 peers at once take 0.19 s.
_STEPS_IN_A_SET = 500

_KEY_BYTES = 32
_NO_KEY = "0" * 64
_CURES = {
    22: "wireguard-go holds 65,536 peers at most: more want the kernel's, or peers on demand",
    98: "the UDP port is in use: choose another listen_port, or end what uses it",
}


def socket_path(interface: str) -> Path:
    """Return where a userspace device listens; one folder for all network namespaces."""
    return _FOLDER / f"{interface}.sock"


def answers(path: Path) -> bool:
    """Whether somebody listens at `path`; a file that a dead process left does not count."""
    try:
        with _connected(path):
            return True
    except OSError:
        return False


def owner(path: Path) -> int | None:
    """Return the process that listens at `path`, None if there is none."""
    try:
        with _connected(path) as connection:
            credentials = connection.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
            )
    except OSError:
        return None
    pid: int = struct.unpack("3i", credentials)[0]
    return pid or None


def read(path: Path) -> Device:
    """Return the device at `path`. Raises Unavailable when it does not answer."""
    return _asked(path, parse)


def observe(path: Path) -> Mapping[bytes, Seen]:
    """Return what the device at `path` saw of each peer, by the 32 bytes of its key.

    Raises Unavailable when it does not answer.
    """
    return _asked(path, parse_seen)


def set_(path: Path, steps: Sequence[DeviceStep]) -> None:
    """Take `steps` in order.

    Raises Unavailable when the device refuses; steps before the refused one may be taken.
    """
    listed = list(singly(steps))
    for start in range(0, len(listed), _STEPS_IN_A_SET):
        part = listed[start : start + _STEPS_IN_A_SET]
        with _asking(path, render(part)) as answer:
            _check(path, "".join(answer))


def render(steps: Sequence[DeviceStep]) -> str:
    """Return one `set=1` operation that takes `steps`; it may hold secret keys."""
    # A device's own values come before those of its peers.
    own = [step for step in steps if isinstance(step, SetDevice)]
    rest = [step for step in singly(steps) if not isinstance(step, SetDevice)]
    lines = [line for step in (*own, *rest) for line in _lines(step)]
    return "\n".join(("set=1", *lines, "", ""))


def parse(lines: Iterable[str]) -> Device:
    """Return the device that a `get=1` described, line by line.

    Raises Unavailable for another form, and when the device refused.
    """
    own: dict[str, str] = {}
    peers, preshared_keys = {}, {}
    for key, facts in _peers(lines, own):
        listed = (value for name, value in facts if name == "allowed_ip")
        peers[key] = from_rows(map(_row, listed))
        for name, value in facts:
            if name == "preshared_key" and value != _NO_KEY:
                preshared_keys[key] = PresharedKey.from_bytes(bytes.fromhex(value))
    private = own.get("private_key", _NO_KEY)
    return Device(
        None if private == _NO_KEY else PrivateKey.from_bytes(bytes.fromhex(private)),
        int(own.get("listen_port", "0")),
        peers,
        preshared_keys,
    )


def parse_seen(lines: Iterable[str]) -> Mapping[bytes, Seen]:
    """Return what the device that a `get=1` described saw of each peer. Raises as `parse` does."""
    return {key: _seen(dict(facts)) for key, facts in _peers(lines, {})}


def _lines(step: SingleStep) -> Iterator[str]:
    match step:
        case SetDevice(private_key, listen_port):
            if private_key is not None:
                yield f"private_key={private_key.raw.hex()}"
            if listen_port is not None:
                yield f"listen_port={listen_port}"
        case RemovePeer(key):
            yield f"public_key={key.hex()}"
            yield "remove=true"
        case SetPeer(key, allowed_ips, preshared_key, anew):
            if anew:
                yield from _lines(RemovePeer(key))
            yield f"public_key={key.hex()}"
            yield f"preshared_key={preshared_key.raw.hex() if preshared_key else _NO_KEY}"
            yield "replace_allowed_ips=true"
            yield from (f"allowed_ip={one}" for one in texts(allowed_ips))
        case GivePeer(key, allowed_ips):
            yield f"public_key={key.hex()}"
            yield "update_only=true"
            yield from (f"allowed_ip={one}" for one in texts(allowed_ips))
        case Greet(key, source):
            # A keepalive that is switched on is sent at once, after a handshake.
            peer = (f"public_key={key.hex()}", "update_only=true")
            yield from (*peer, f"endpoint={source}", "persistent_keepalive_interval=1")
            yield from (*peer, "persistent_keepalive_interval=0")
        case _:
            assert_never(step)


def _peers(
    lines: Iterable[str], own: dict[str, str]
) -> Iterator[tuple[bytes, list[tuple[str, str]]]]:
    """Yield peers, with what is said of each; what is said of the device is added to `own`."""
    key, facts = b"", list[tuple[str, str]]()
    for line in lines:
        name, _, value = line.rstrip("\n").partition("=")
        if name in {"public_key", "errno"}:
            if key:
                yield key, facts
            key, facts = _key(value) if name == "public_key" else b"", []
        if name == "errno":
            own[name] = value
        elif key:
            facts.append((name, value))
        elif name:
            own[name] = value
    if own.get("errno") != "0":
        told = own.get("errno", "nothing")
        raise Unavailable(f"the device answered errno={told!a} to a get, expected errno=0")


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a peer with a key of {len(key)} bytes, expected {_KEY_BYTES}")
    return key


def _row(text: str) -> bytes:
    """Return the row of an allowed IP; inet_pton takes a tenth of the time of an IPv6Network."""
    address, _, length = text.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return to_row(socket.inet_pton(family, address), int(length))
    except OSError as error:
        raise ValueError(f"an allowed IP {text!a}") from error


def _seen(values: Mapping[str, str]) -> Seen:
    return Seen(
        endpoint=values.get("endpoint"),
        last_handshake=int(values.get("last_handshake_time_sec", "0")) or None,
        received_bytes=int(values.get("rx_bytes", "0")),
        sent_bytes=int(values.get("tx_bytes", "0")),
    )


def _asked(path: Path, read_: Callable[[Iterable[str]], _Result]) -> _Result:
    with _asking(path, "get=1\n\n") as answer:
        try:
            return read_(answer)
        except (KeyError, ValueError) as error:
            raise Unavailable(f"the device described itself in another form: {error}") from error


@contextmanager
def _asking(path: Path, request: str) -> Iterator[Iterator[str]]:
    """Send a request, and give the lines of its answer as they come."""
    try:
        with _connected(path) as connection:
            connection.sendall(request.encode("ascii"))
            with connection.makefile("r", encoding="ascii", errors="replace") as answer:
                yield _until_empty(answer)
    except OSError as error:
        raise Unavailable(
            f"{path}: {error.strerror or error}; no WireGuard device answers there"
        ) from error


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _until_empty(answer: Iterable[str]) -> Iterator[str]:
    for line in answer:
        if line == "\n":
            return
        yield line
    raise ConnectionResetError("the device hung up before the end of its answer")


def _check(path: Path, reply: str) -> None:
    _, _, number = reply.strip().rpartition("errno=")
    if number == "0":
        return
    code = abs(int(number)) if number.lstrip("-").isdigit() else 0
    cure = _CURES.get(code, "the next pass reads back and tries again")
    raise Unavailable(f"{path.stem} refused a change: {os.strerror(code)} (errno {code}); {cure}")
