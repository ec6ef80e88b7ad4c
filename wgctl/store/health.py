"""What the probes of a host have found, in a file of the resolver's: it outlives a restart.

Keeps records as they are; what they mean is `wgctl.core.health`.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from wgctl.core.health import Health, Record, Transition
from wgctl.store.side_file import SideFile

__all__ = ["HealthFile"]

_SCHEMA = "CREATE TABLE IF NOT EXISTS records (machine_id INTEGER PRIMARY KEY, body TEXT NOT NULL)"


class HealthFile(SideFile):
    """The records of one host; used by one thread."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path` and make it if it is not there."""
        super().__init__(path, schema=_SCHEMA)

    def read(self) -> list[Record]:
        """Return every record that can be read, by machine."""
        records = []
        for machine_id, body in self.ask(
            "SELECT machine_id, body FROM records ORDER BY machine_id"
        ):
            with suppress(ValueError, TypeError):
                records.append(_record(machine_id, json.loads(body)))
        return records

    def write(self, record: Record) -> None:
        """Keep `record` in the place of its machine's last one; raises Unavailable."""
        body = json.dumps([record.health, [astuple(moved) for moved in record.transitions]])
        self.change("INSERT OR REPLACE INTO records VALUES (?, ?)", [(record.machine_id, body)])

    def forget(self, machine_ids: Iterable[int]) -> None:
        """Keep nothing of these machines; raises Unavailable."""
        self.change("DELETE FROM records WHERE machine_id = ?", [(id_,) for id_ in machine_ids])


def _record(machine_id: int, body: object) -> Record:
    match body:
        case [str(health), list(transitions)]:
            return Record(machine_id, Health(health), tuple(map(_transition, transitions)))
    raise ValueError("a record of another form")


def _transition(values: object) -> Transition:
    match values:
        case [int(at), str(before), str(after), str(reason)]:
            return Transition(at, Health(before), Health(after), reason)
    raise ValueError("a transition of another form")
