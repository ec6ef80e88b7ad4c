"""A store of as many networks, peers and machines as are asked for, filled at once.

Rows are as wgctl writes them, without the changes that led there: a store that was restored has
none either. Each network is its own org's.
"""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pysqlite3 import dbapi2

__all__ = ["NOW", "fill"]

NOW = 1_800_000_000
_REVISION = 1_000_000


def fill(path: Path, *, networks: int, peers: int, machines: int) -> None:
    """Fill the store at `path`, which has a gateway and nothing else.

    Peer `n` is `peer-n`, with seven digits, in network 1 + (n - 1) % `networks`; so is machine `n`.
    """
    drawn = random.Random(1)  # the same each time
    numbers = drawn.sample(range(2**32), networks)
    every = range(1, networks + 1)
    with closing(dbapi2.connect(str(path))) as file:
        file.execute("PRAGMA synchronous = OFF")
        file.executemany(
            "INSERT INTO orgs (id, slug, created_at) VALUES (?, ?, ?)",
            ((n, f"org-{n}", NOW) for n in every),
        )
        file.executemany("INSERT INTO spent_network_ids VALUES (?)", ((n,) for n in numbers))
        file.executemany(
            "INSERT INTO networks (id, org_id, name, number, created_at) VALUES (?, ?, ?, ?, ?)",
            ((n, n, "default", numbers[n - 1], NOW) for n in every),
        )
        file.executemany(
            "INSERT INTO peers (id, org_id, network_id, gateway_id, name, owner, public_key, "
            "gateway_number, number, created_at) VALUES (?, ?, ?, 1, ?, 'operator', ?, 16, ?, ?)",
            _peers(peers, networks, drawn),
        )
        file.executemany(
            "INSERT INTO address_counters VALUES (?, ?, 16, ?)",
            ((n, n, 2 + -(-peers // networks)) for n in every),
        )
        file.executemany(
            "INSERT INTO apps (id, org_id, network_id, name, created_at) VALUES (?, ?, ?, ?, ?)",
            ((n, n, n, "web", NOW) for n in every),
        )
        file.executemany(
            "INSERT INTO machines (id, org_id, network_id, app_id, peer_id, name, region, "
            "process_group, ports, metadata, state, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, 'ams', 'app', '[]', '{}', 'started', ?)",
            _machines(machines, networks),
        )
        file.execute("UPDATE deployment SET revision = ?1, kept_since = ?1", (_REVISION,))
        file.commit()


def _peers(count: int, networks: int, drawn: random.Random) -> Iterator[tuple[object, ...]]:
    for n in range(1, count + 1):
        network, number = 1 + (n - 1) % networks, 2 + (n - 1) // networks
        key = drawn.randbytes(31) + b"\x01"
        yield (n, network, network, f"peer-{n:07d}", key, number, NOW)


def _machines(count: int, networks: int) -> Iterator[tuple[object, ...]]:
    for n in range(1, count + 1):
        network = 1 + (n - 1) % networks
        yield (n, network, network, network, n, f"m{n}", NOW)
