"""Runs inside a client: tries every way to another one at once, and prints what came through.

Its argument is for how many seconds it waits. Standard input is a JSON list of targets; each has
`name`, and any of `ping`, `tcp` [address, port] and `dns` [server, name, type]. Standard output is
a JSON list of [target, way, got through].
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import dnslib

_WAIT_S = float(sys.argv[1])


async def _ping(address: str) -> bool:
    words = ("-6", "-c2", "-i0.5", f"-W{_WAIT_S}", address)
    process = await asyncio.create_subprocess_exec(
        "ping", *words, stdout=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


async def _tcp(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), _WAIT_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


class _Question(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:  # noqa: ARG002
        if not self.reply.done():
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def _dns(server: str, name: str, type_: str) -> bool:
    """Whether there is an answer with a record in it."""
    loop = asyncio.get_running_loop()
    transport, question = await loop.create_datagram_endpoint(_Question, remote_addr=(server, 53))
    transport.sendto(dnslib.DNSRecord.question(name, type_).pack())
    try:
        reply = dnslib.DNSRecord.parse(await asyncio.wait_for(question.reply, _WAIT_S))
    except (OSError, TimeoutError):
        return False
    finally:
        transport.close()
    return bool(reply.rr)


_WAYS: dict[str, Callable[..., Coroutine[Any, Any, bool]]] = {
    "ping": _ping,
    "tcp": _tcp,
    "dns": _dns,
}


async def _probe(targets: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    tries = [
        (target["name"], way, _WAYS[way.split("-")[0]](*arguments))
        for target in targets
        for way, arguments in target.items()
        if way != "name"
    ]
    results = await asyncio.gather(*(attempt for _, _, attempt in tries))
    return [(name, way, got) for (name, way, _), got in zip(tries, results, strict=True)]


if __name__ == "__main__":
    json.dump(asyncio.run(_probe(json.load(sys.stdin))), sys.stdout)
