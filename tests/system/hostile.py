"""Runs on a host of a lab: an upstream that does what the first label of each name says.

Its argument is the port of 127.0.0.1 that it has. A label of `SLUGS` is a script that means harm,
`poison` an answer with an address for `victim.example` wherever it may stand, any other an honest
answer, 192.0.2.1.
"""

import asyncio
import sys
from collections.abc import Sequence

import dns.message
import dns.rrset

from tests.drivers.upstream.hostile import HOSTILE
from tests.drivers.upstream.servers import HOST, Raw, Script, Server, good, reply

__all__ = ["SLUGS", "VICTIM"]

SLUGS = {what.replace(",", "").replace(" ", "-").lower(): what for what in HOSTILE}
VICTIM = "victim.example"


def main() -> None:
    asyncio.run(serve(int(sys.argv[1])))


async def serve(port: int) -> None:
    server = Server(by_label(0), by_label(1))
    listener = await asyncio.start_server(server.serve, HOST, port)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: server, local_addr=(HOST, port))
    await listener.serve_forever()


def by_label(side: int) -> Script:
    """Return the script over UDP, 0, or over TCP, 1."""

    def script(asked: bytes) -> Sequence[bytes | Raw]:
        label = dns.message.from_wire(asked).question[0].name.labels[0].decode().lower()
        if label == "poison":
            return [poison(asked)]
        return HOSTILE[SLUGS[label]][side](asked) if label in SLUGS else [good(asked)]

    return script


def poison(asked: bytes) -> bytes:
    name, forged = dns.message.from_wire(asked).question[0].name, f"{VICTIM}. 60 IN A 192.0.2.66"
    authority = (forged, f"example. 60 IN NS {VICTIM}.")
    made = reply(asked, f"{name} 60 IN A 192.0.2.1", forged, authority=authority)
    made.additional.append(dns.rrset.from_text(f"{VICTIM}.", 60, "IN", "A", "192.0.2.66"))
    return made.to_wire()


if __name__ == "__main__":
    main()
