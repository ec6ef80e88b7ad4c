"""Opens the controller's database and gives out its transactions.

Says how SQLite is to be held so that nothing acknowledged is lost; what is asked of the database is
said in `deployment` and `org`.

SQLite is given no statistics (ANALYZE, PRAGMA optimize): with those of 1,200,000 peers every
statement went the same ways, and each connection took 2 ms longer to open.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Network
from pathlib import Path
from typing import Protocol, Self

import pysqlite3.dbapi2
from pydantic_core import from_json, to_json
from sqlalchemy import URL, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DatabaseError, NoResultFound, OperationalError
from sqlalchemy.pool import NullPool

from peers.addresses import FIRST_GATEWAY
from wgctl.core.access import CONTROLLER, Caller
from wgctl.core.errors import Unavailable
from wgctl.core.model import Token
from wgctl.store.changes import Recorder
from wgctl.store.connections import Connections
from wgctl.store.deployment import Deployment
from wgctl.store.standing import Standing, revision, standing_still
from wgctl.store.tables import deployment
from wgctl.store.trail import note_changes
from wgctl.store.turns import NotKept, Turns
from wgctl.store.upgrade import UnknownSchema, upgrade

__all__ = ["Store"]

_BUSY_TIMEOUT_S = 10
# A deferred transaction that reads and then writes loses most races for the lock.
_READ, _WRITE = "BEGIN", "BEGIN IMMEDIATE"


class _Cursor(Protocol):
    def execute(self, sql: str) -> object: ...


class _DBAPIConnection(Protocol):
    isolation_level: str | None

    def cursor(self) -> _Cursor: ...


class Store:
    """The controller's database: one SQLite file. Safe to use from several threads.

    `on_commit` is called, in the thread that wrote, after each commit that changed something, with
    the revision that it came to.
    `clock` gives seconds since 1970, for the audit trail.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_commit: Callable[[int], None] = lambda _revision: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the store at `path` and bring its tables up to date.

        Raises Unavailable when there is none, when it is damaged or made by a newer wgctl.
        """
        if not path.exists():
            raise Unavailable(f"no store at {path}: make one with wgctl init")
        self.path = path
        self.caller = CONTROLLER
        self._clock = clock
        self._writers = _engine(path, begin=_WRITE)
        self._turns = Turns(self._writers, on_kept=on_commit)
        self._reading = Connections(_engine(path, begin=_READ))
        try:
            self.pool = self._open()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path, *, pool: IPv6Network, epoch: str, now: int) -> "Store":
        """Make the store at `path` and open it; `epoch` is a name no other store has."""
        path.touch(mode=0o600, exist_ok=False)
        engine = _engine(path, begin=_WRITE)
        upgrade(engine)
        with engine.begin() as connection:
            connection.execute(
                insert(deployment).values(
                    one=1,
                    epoch=epoch,
                    pool=str(pool),
                    revision=0,
                    kept_since=0,
                    next_gateway_number=FIRST_GATEWAY,
                    created_at=now,
                )
            )
        return cls(path)

    def close(self) -> None:
        """Close every connection; one that is in use, as soon as it is not.

        Whoever asks later has a connection for as long as that takes.
        """
        self._turns.close()
        self._reading.close()

    def seen_by(self, caller: Caller) -> Self:
        """Return this store as `caller` may see and change it."""
        # For each request: `copy.copy` takes ten times as long.
        seen = object.__new__(type(self))
        seen.__dict__.update(self.__dict__)
        seen.caller = caller
        return seen

    def revision(self) -> int:
        """Return the revision of the last commit, at a part of what `reading` costs."""
        with self._translated(), self._reading.one() as connection:
            return revision(connection)

    def standing(self, token: Token) -> Standing | None:
        """Return how `token` stands now, at a part of what `reading` costs; None if it is gone."""
        with self._translated(), self._reading.one() as connection:
            return standing_still(connection, token)

    @contextmanager
    def reading(self) -> Iterator[Deployment]:
        """Give what is stored as it is at one moment.

        Within `together`, what this thread wrote there is part of it.
        """
        written = self._turns.written
        if written is not None:
            with self._translated():
                yield Deployment(written, pool=self.pool, caller=self.caller, recorder=None)
            return
        with self._translated(), self._reading.one() as connection:
            transaction = connection.begin()
            try:
                yield Deployment(connection, pool=self.pool, caller=self.caller, recorder=None)
            finally:
                # After a commit, rows that were not read to their end would hold the moment.
                transaction.rollback()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let what this thread writes within the block share one commit, at the end of the block.

        Each `writing` and `noting` there is by itself all or nothing, and sees those before it.
        What they came to is to be told to nobody before this has returned: it raises Unavailable
        when nothing of it was kept.
        """
        with self._translated(), self._turns.together():
            yield

    @contextmanager
    def writing(self) -> Iterator[Deployment]:
        """Give what is stored, to change it: all of the block is kept, or nothing.

        A block that changes nothing takes no revision. What it wrote is durable once this returns,
        or `together` does.
        """
        with self._translated(), self._turns.turn() as turn:
            recorder = Recorder(turn.connection)
            yield Deployment(turn.connection, pool=self.pool, caller=self.caller, recorder=recorder)
            turn.keep = recorder.changed
            if recorder.changed:
                turn.revision = recorder.revision
                now = int(self._clock())
                note_changes(turn.connection, self.caller, recorder.made, now=now)

    @contextmanager
    def noting(self) -> Iterator[Deployment]:
        """Give what is stored, to write what is no change: it takes no revision, and wakes nobody.

        All of the block is kept, or nothing.
        """
        with self._translated(), self._turns.turn() as turn:
            yield Deployment(turn.connection, pool=self.pool, caller=self.caller, recorder=None)

    def _open(self) -> IPv6Network:
        try:
            with self._translated():
                upgrade(self._writers)
                with self._reading.one() as connection, connection.begin():
                    kept = connection.execute(select(deployment.c.pool)).scalar_one()
        except NoResultFound as error:
            raise Unavailable(
                f"the store at {self.path} is empty: restore it, or remove it and run wgctl init"
            ) from error
        except UnknownSchema as error:
            raise Unavailable(
                f"the store at {self.path} was made by a newer wgctl ({error}): install that one"
            ) from error
        return IPv6Network(kept)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            # SQLite's own kinds: OperationalError for a file that cannot be used, DatabaseError
            # itself for one that is damaged. The other kinds blame the statement.
            if not isinstance(error, OperationalError) and type(error) is not DatabaseError:
                raise
            raise Unavailable(f"the store at {self.path} cannot be used: {error.orig}") from error
        except NotKept as error:
            raise Unavailable(f"the store at {self.path} cannot be used: {error}") from error


def _engine(path: Path, *, begin: str) -> Engine:
    """Return what gives out connections whose transactions begin with the statement `begin`.

    They raise Unavailable once there is no file at `path` any more, or another: what is written to
    one that was deleted is gone with the last who has it open, and SQLite would make an empty one.
    """
    opened = _file_at(path)

    def require() -> None:
        if _file_at(path) != opened:
            raise Unavailable(
                f"the store at {path} was moved, deleted or replaced while it was open: put it "
                "back, or stop the controller and run wgctl restore"
            )

    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        module=pysqlite3.dbapi2,
        connect_args={"timeout": _BUSY_TIMEOUT_S},
        poolclass=NullPool,  # Those that are kept, `Connections` and `Turns` keep.
        json_serializer=_json_text,
        json_deserializer=from_json,
    )
    event.listen(engine, "do_connect", lambda *_: require())
    event.listen(engine, "connect", _prepare)

    def do_begin(dbapi_connection: _DBAPIConnection) -> None:
        require()
        dbapi_connection.cursor().execute(begin)

    # For an event, SQLAlchemy would look for listeners around each statement.
    engine.dialect.do_begin = do_begin  # type: ignore[method-assign]
    return engine


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what no other file is named by while it is open: its device and its inode."""
    try:
        found = os.stat(path)  # noqa: PTH116  # for each transaction: Path takes twice as long
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _json_text(value: object) -> str:
    return to_json(value, ensure_ascii=True).decode()


def _prepare(connection: _DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # We say BEGIN ourselves.
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
