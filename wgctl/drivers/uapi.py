"""The text protocol of userspace WireGuard devices, over their socket.

Knows the words of `get=1` and `set=1` (wireguard.com/xplatform); who starts such a device is
`wgctl.drivers.wireguard_go`. A set holds keys in the clear: it is never logged.
"""

import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import assert_never

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.errors import Unavailable
from wgctl.core.ports import Seen
from wgctl.core.tunnel import Device, DeviceStep, Greet, RemovePeer, SetDevice, SetPeer

__all__ = ["Reply", "answers", "get", "owner", "parse", "render", "set_", "socket_path"]

_FOLDER = Path("/var/run/wireguard")
_TIMEOUT_S = 5.0
_READ_BYTES = 1 << 16

# The device reads a set as it comes and stops at the first fault: small sets keep what is lost
# with one small. 1,000 peers at once take 0.19 s.
_STEPS_IN_A_SET = 500

_NO_KEY = "0" * 64
_CURES = {
    98: "the UDP port is in use: choose another listen_port, or end what uses it",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A device as it describes itself: what it is, and what it saw of each peer."""

    device: Device
    seen: Mapping[bytes, Seen]


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


def get(path: Path) -> Reply:
    """Return what the device at `path` says of itself.

    Raises Unavailable when it does not answer.
    """
    return parse(_exchange(path, b"get=1\n\n"))


def set_(path: Path, steps: Sequence[DeviceStep]) -> None:
    """Take `steps` in order.

    Raises Unavailable when the device refuses; steps before the refused one may be taken.
    """
    for start in range(0, len(steps), _STEPS_IN_A_SET):
        part = steps[start : start + _STEPS_IN_A_SET]
        _check(path, _exchange(path, render(part).encode("ascii")))


def render(steps: Sequence[DeviceStep]) -> str:
    """Return one `set=1` operation that takes `steps`; it may hold secret keys."""
    # A device's own values come before those of its peers.
    own = [step for step in steps if isinstance(step, SetDevice)]
    rest = [step for step in steps if not isinstance(step, SetDevice)]
    lines = [line for step in (*own, *rest) for line in _lines(step)]
    return "\n".join(("set=1", *lines, "", ""))


def parse(text: str) -> Reply:
    """Return the device that a `get=1` described.

    Raises Unavailable for another form, and when the device refused.
    """
    device: dict[str, str] = {}
    peers: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "public_key":
            peers.append([(name, value)])
        elif name == "errno":
            device[name] = value
        elif peers:
            peers[-1].append((name, value))
        elif name:
            device[name] = value
    if device.get("errno") != "0":
        raise Unavailable(
            f"the device answered {text[-40:]!a} to a get, expected errno=0 at its end"
        )
    try:
        return _reply(device, peers)
    except (KeyError, ValueError) as error:
        raise Unavailable(f"the device described itself in another form: {error}") from error


def _lines(step: DeviceStep) -> Iterator[str]:
    match step:
        case SetDevice(private_key, listen_port):
            if private_key is not None:
                yield f"private_key={private_key.raw.hex()}"
            if listen_port is not None:
                yield f"listen_port={listen_port}"
        case RemovePeer(key):
            yield f"public_key={key.hex()}"
            yield "remove=true"
        case SetPeer(key, allowed_ips, preshared_key):
            yield f"public_key={key.hex()}"
            yield f"preshared_key={preshared_key.raw.hex() if preshared_key else _NO_KEY}"
            yield "replace_allowed_ips=true"
            yield from (f"allowed_ip={one}" for one in sorted(allowed_ips, key=str))
        case Greet(key, source):
            # A keepalive that is switched on is sent at once, after a handshake.
            peer = (f"public_key={key.hex()}", "update_only=true")
            yield from (*peer, f"endpoint={source}", "persistent_keepalive_interval=1")
            yield from (*peer, "persistent_keepalive_interval=0")
        case _:
            assert_never(step)


def _reply(device: Mapping[str, str], peers: Sequence[Sequence[tuple[str, str]]]) -> Reply:
    private = device.get("private_key", _NO_KEY)
    described = [(bytes.fromhex(values[0][1]), values) for values in peers]
    return Reply(
        Device(
            None if private == _NO_KEY else PrivateKey.from_bytes(bytes.fromhex(private)),
            int(device.get("listen_port", "0")),
            {
                key: frozenset(ip_network(value) for name, value in values if name == "allowed_ip")
                for key, values in described
            },
            {
                key: PresharedKey.from_bytes(bytes.fromhex(value))
                for key, values in described
                for name, value in values
                if name == "preshared_key" and value != _NO_KEY
            },
        ),
        {key: _seen(dict(values)) for key, values in described},
    )


def _seen(values: Mapping[str, str]) -> Seen:
    return Seen(
        endpoint=values.get("endpoint"),
        last_handshake=int(values.get("last_handshake_time_sec", "0")) or None,
        received_bytes=int(values.get("rx_bytes", "0")),
        sent_bytes=int(values.get("tx_bytes", "0")),
    )


def _exchange(path: Path, request: bytes) -> str:
    try:
        with _connected(path) as connection:
            connection.sendall(request)
            return _read_reply(connection)
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


def _read_reply(connection: socket.socket) -> str:
    reply = bytearray()
    while not reply.endswith(b"\n\n"):
        received = connection.recv(_READ_BYTES)
        if not received:
            raise ConnectionResetError("the device hung up before the end of its answer")
        reply += received
    return reply.decode("ascii", "replace")


def _check(path: Path, reply: str) -> None:
    _, _, number = reply.strip().rpartition("errno=")
    if number == "0":
        return
    code = abs(int(number)) if number.lstrip("-").isdigit() else 0
    cure = _CURES.get(code, "the next pass reads back and tries again")
    raise Unavailable(f"{path.stem} refused a change: {os.strerror(code)} (errno {code}); {cure}")
