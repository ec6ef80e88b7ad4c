"""A client that asks as fast as it is answered: so many queries are under way at any time.

Made for one core: queries are laid out before the clock starts, and leave and come back many in one
system call. Runs in a process of its own, in the client's namespace.

    python -m tests.bench.dns.load QUERIES SECONDS [RATE]

QUERIES is a file that `save` wrote; with RATE it asks so many a second at most. What is printed is
one line of JSON.
"""

import ctypes
import json
import math
import pickle
import select
import socket
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wgctl.drivers.processor import take_short_turns

__all__ = ["Figures", "Query", "save"]

WINDOW = 100
_SEND, _TAKE = 32, 256
_TAKEN_BYTES = 512
_PATIENCE_MS = 200
_WARM_UP_S = 0.3
_IDS = 65536
_IPV6_FREEBIND, _SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 78, 33, 32
_BUFFER_BYTES = 8 << 20
_PKTINFO = 40


class Query(NamedTuple):
    """A message without its id, who asks whom, and whether an answer to it is waited for."""

    octets: bytes
    source: bytes
    target: bytes
    answered: bool


class Figures(NamedTuple):
    """What came back: answers, how many a second, the latencies' quantiles, what never came.

    All `answers` are counted, also those that say how a query breaks the rules; the others are of
    the time after the first moments.
    """

    answers: int
    rate: float
    p50_ms: float
    p99_ms: float
    lost: int


def save(path: Path, queries: Sequence[Query]) -> None:
    """Write `queries` for a client to ask, round and round."""
    path.write_bytes(pickle.dumps([tuple(query) for query in queries]))


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint32))


_libc = ctypes.PyDLL(None)
_arguments = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.sendmmsg.argtypes = _arguments
_libc.recvmmsg.argtypes = (*_arguments, ctypes.c_void_p)


class _Client:
    """A socket, every query as it leaves, and room for what comes back."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._answered = [query.answered for query in queries]
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
            self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        self._socket.bind(("::", 0))
        self._fd = self._socket.fileno()
        self._kept: list[object] = []
        self._out = (_MMsgHdr * len(queries))()
        parts = (_IoVec * len(queries))()
        for number, query in enumerate(queries):
            self._lay_out(number, query, parts)
        self._in = (_MMsgHdr * _TAKE)()
        self._taken = ctypes.create_string_buffer(_TAKE * _TAKEN_BYTES)
        rooms = (_IoVec * _TAKE)()
        for slot in range(_TAKE):
            place = ctypes.addressof(self._taken) + slot * _TAKEN_BYTES
            rooms[slot] = _IoVec(place, _TAKEN_BYTES)
            at = ctypes.addressof(rooms) + slot * ctypes.sizeof(_IoVec)
            self._in[slot].header.parts, self._in[slot].header.part_count = at, 1
        self._kept += [parts, rooms]
        words = memoryview(self._taken).cast("B").cast("H")
        self._ids = words[:: _TAKEN_BYTES // 2]
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def _lay_out(self, number: int, query: Query, parts: "ctypes.Array[_IoVec]") -> None:
        header = array("q", [36]).tobytes() + array("i", [41, socket.IPV6_PKTINFO]).tobytes()
        name = array("H", [socket.AF_INET6]).tobytes() + (53).to_bytes(2, "big") + bytes(4)
        octets = [
            array("H", [number % _IDS]).tobytes() + query.octets,
            name + query.target + bytes(4),
            (header + query.source).ljust(_PKTINFO, b"\0"),
        ]
        message, to, control = (ctypes.create_string_buffer(one, len(one)) for one in octets)
        parts[number] = _IoVec(ctypes.addressof(message), len(message))
        at = ctypes.addressof(parts) + number * ctypes.sizeof(_IoVec)
        self._out[number].header = _MsgHdr(
            *(ctypes.addressof(to), len(to), at, 1, ctypes.addressof(control), _PKTINFO, 0)
        )
        self._kept += [message, to, control]

    def ask(self, seconds: float, per_s: float = math.inf) -> Figures:
        """Ask for so long, and return what came back."""
        size, total = ctypes.sizeof(_MMsgHdr), len(self._out)
        out_at, in_at = ctypes.addressof(self._out), ctypes.addressof(self._in)
        sent_at, latencies = [0.0] * _IDS, array("d")
        under_way = position = done = lost = answers = asked = 0
        begin = time.perf_counter()
        counted_from, end = begin + _WARM_UP_S, begin + _WARM_UP_S + seconds
        now = begin
        while now < end:
            due = min(_SEND, (now - begin) * per_s - asked)
            if due >= 1 and (WINDOW - under_way >= _SEND or not under_way):
                count = min(int(due), total - position)
                gone = _libc.sendmmsg(self._fd, out_at + position * size, count, 0)
                for number in range(position, position + max(gone, 0)):
                    sent_at[number % _IDS] = now if self._answered[number] else 0.0
                    under_way += self._answered[number]
                position = (position + max(gone, 0)) % total
                asked += max(gone, 0)
            taken = _libc.recvmmsg(self._fd, in_at, _TAKE, socket.MSG_DONTWAIT, None)
            now = time.perf_counter()
            if taken <= 0:
                if per_s < math.inf:
                    self._poll.poll(1)
                elif under_way >= WINDOW - _SEND and not self._poll.poll(_PATIENCE_MS):
                    lost, under_way = lost + under_way, 0
                continue
            found = [now - at for id_ in self._ids[:taken].tolist() if (at := sent_at[id_])]
            under_way = max(0, under_way - len(found))
            answers += taken
            if now >= counted_from:
                done += taken
                latencies.extend(found)
        ordered = sorted(latencies)
        p50, p99 = (ordered[len(ordered) * part // 100] * 1000 for part in (50, 99))
        if per_s < math.inf:
            lost = asked - answers - self._drain()
        return Figures(answers, done / (now - counted_from), p50, p99, lost)

    def _drain(self) -> int:
        """Return how many answers come after the last query."""
        count, in_at = 0, ctypes.addressof(self._in)
        while self._poll.poll(_PATIENCE_MS):
            count += max(0, _libc.recvmmsg(self._fd, in_at, _TAKE, socket.MSG_DONTWAIT, None))
        return count


def main() -> None:
    """Ask, and print what came back."""
    path, seconds, *rate = sys.argv[1:]
    take_short_turns()  # On another host nothing of these would hold it up.
    queries = [Query(*fields) for fields in pickle.loads(Path(path).read_bytes())]  # noqa: S301
    print(json.dumps(_Client(queries).ask(float(seconds), *map(float, rate))._asdict()))


if __name__ == "__main__":
    main()
