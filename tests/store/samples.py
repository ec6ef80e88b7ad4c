"""Stores, gateways and keys for the tests of every floor that stands on the store."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pysqlite3.dbapi2
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import NullPool

from peers.addresses import DEFAULT_POOL
from peers.endpoint import Endpoint
from peers.keys import PresharedKey, PrivateKey, PublicKey
from peers.names import Label
from peers.seal import seal
from wgctl.core.check import Target
from wgctl.core.model import Gateway, Port, Protocol
from wgctl.services import gateway, org, peer
from wgctl.services.gateway import GatewayFacts
from wgctl.services.peer import NewPeer, PeerFacts, SealedTo
from wgctl.store.rows import NewCheckRow, NewMachineRow
from wgctl.store.store import Store

NOW = 1_800_000_000

CHECK = NewCheckRow(
    target=Target.parse("http://web.internal:8080/health"),
    interval_s=10,
    timeout_s=2,
    grace_s=30,
    rise=2,
    fall=3,
)

# The smallest numbers are points of low order.
_FIRST_KEY = 1_000


def key(number: int) -> PublicKey:
    """Return the public key `number`; each number has its own."""
    return PublicKey.from_bytes((_FIRST_KEY + number).to_bytes(32, "little"))


def create(folder: Path, *, epoch: str = "epoch-a") -> Store:
    return Store.create(folder / "store.sqlite", pool=DEFAULT_POOL, epoch=epoch, now=NOW)


def furnish(folder: Path) -> Path:
    """Make a store with a gateway and the orgs `acme` and `globex`, to be copied; return it."""
    store = create(folder)
    register(store)
    for slug in ("acme", "globex"):
        org.add(store, Label(slug), now=NOW)
    store.close()
    return store.path


def opened(template: Path, folder: Path) -> Iterator[Store]:
    """Yield a copy of a furnished store; making each anew would take 100 ms."""
    path = folder / "store.sqlite"
    shutil.copy(template, path)
    store = Store(path)
    yield store
    store.close()


def engine(path: Path) -> Engine:
    """Open the file at `path` beside a store; it keeps no connection that is closed.

    With the store's own SQLite: of two libraries in one process, each takes the other's locks away.
    """
    url = URL.create("sqlite", database=str(path))
    return create_engine(url, module=pysqlite3.dbapi2, poolclass=NullPool)


def to_first_schema(path: Path) -> None:
    """Make the store at `path` one of the first tables, as the first version has left them."""
    connection = pysqlite3.dbapi2.connect(path)
    for table in (
        *("peer_tags", "audit", "tokens", "members"),
        *("checks", "seals", "ancestors", "network_ids"),
    ):
        connection.execute(f"DROP TABLE {table}")
    for statement in (
        "ALTER TABLE deployment DROP COLUMN kept_bytes",
        "ALTER TABLE machines DROP COLUMN lease_s",
        "DROP INDEX ix_apps_network_id_service_number",
        "ALTER TABLE apps DROP COLUMN service_number",
        "DROP INDEX ix_peers_expires_at",
        "DROP INDEX ix_peers_org_id_owner",
        "DROP INDEX ix_machines_app_id_name",
        "CREATE INDEX ix_machines_app_id ON machines (app_id)",
        "ALTER TABLE peers DROP COLUMN ephemeral",
        "ALTER TABLE peers DROP COLUMN tags",
    ):
        connection.execute(statement)
    connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.commit()
    connection.close()


def pretend_revision(path: Path, revision: int) -> None:
    """Let the last change of the store at `path` have been `revision`."""
    with closing(pysqlite3.dbapi2.connect(str(path))) as connection, connection:
        connection.execute("UPDATE deployment SET revision = ?", (revision,))


def register(store: Store, *, number: int = 0, forwards: bool = False) -> Gateway:
    """Add the gateway `number`, each of which has its own key and port, or refresh its record."""
    facts = GatewayFacts(
        region=Label("ams"),
        endpoint=Endpoint.parse(f"203.0.113.7:{51_820 + number}"),
        public_key=key(10**9 + number),
        mtu_bytes=1420,
        forwards=forwards,
    )
    return gateway.register(store, facts, now=NOW)


def sealed_to(gateway_key: PublicKey, number: int) -> SealedTo:
    """Return a preshared key for the peer that has the key `number`, sealed to a gateway."""
    made = seal(
        PresharedKey.generate(),
        gateway=gateway_key,
        peer=key(number),
        ephemeral=PrivateKey.generate(),
    )
    return SealedTo(gateway_key, made)


def new_peer(
    number: int,
    *,
    network: str = "default",
    expires_in_s: int | None = None,
    ephemeral: bool = False,
    full: bool = False,
    preshared_key: SealedTo | None = None,
) -> NewPeer:
    return NewPeer(
        network=Label(network),
        name=Label(f"peer-{number}"),
        public_key=key(number),
        expires_in_s=expires_in_s,
        ephemeral=ephemeral,
        needs_forwarding=full,
        preshared_key=preshared_key,
    )


def add_peer(store: Store, org: str, number: int, *, network: str = "default") -> PeerFacts:
    return peer.add(store, org, new_peer(number, network=network), now=NOW)[0]


def machine_row(name: str) -> NewMachineRow:
    return NewMachineRow(
        name=Label(name),
        region=Label("ams"),
        process_group=Label("app"),
        ports=(Port(Label("http"), 8080, Protocol.TCP),),
        metadata={"rack": "r1"},
        created_at=NOW,
    )
