"""What is remembered of the machines that are probed: in a file, and told to the controller.

Who writes in it is `wgctl.daemon.health`, who carries it to the controller `wgctl.daemon.reports`.
A controller that was away misses nothing: the last 20 changes of each machine wait for it.
"""

from collections.abc import Callable, Collection, Iterable
from itertools import islice

import structlog

from wgctl.core.errors import Unavailable
from wgctl.core.health import Record
from wgctl.store.health import HealthFile

__all__ = ["Ledger"]

_BATCH = 100

_log = structlog.get_logger()


class Ledger:
    """The record of each machine that is probed."""

    def __init__(self, file: HealthFile) -> None:
        """Begin with what `file` holds, all of it still to be told."""
        self._file = file
        self._records: dict[int, Record] = {}
        self._trying(lambda: self._records.update({one.machine_id: one for one in file.read()}))
        self._news = dict.fromkeys(self._records)

    @property
    def untold(self) -> bool:
        """Whether the controller does not know all of it."""
        return bool(self._news)

    def of(self, machine_id: int) -> Record:
        """Return the record of a machine, an empty one if nothing is known."""
        return self._records.get(machine_id) or Record(machine_id)

    def note(self, record: Record) -> None:
        """Keep `record` in the place of its machine's last one."""
        self._records[record.machine_id] = record
        self._news[record.machine_id] = None
        self._trying(lambda: self._file.write(record))

    def keep(self, machine_ids: Collection[int]) -> None:
        """Forget all machines but these."""
        self.forget([id_ for id_ in self._records if id_ not in machine_ids])

    def forget(self, machine_ids: Iterable[int]) -> None:
        """Forget these machines."""
        gone = [id_ for id_ in machine_ids if self._records.pop(id_, None)]
        for id_ in gone:
            self._news.pop(id_, None)
        if gone:
            self._trying(lambda: self._file.forget(gone))

    def batch(self) -> list[Record]:
        """Return up to 100 records to be told: the news, and some of the others in turns.

        So a controller that began anew comes to know all of them, however briefly it was away.
        """
        batch = {id_: self._records[id_] for id_ in islice(self._news, _BATCH)}
        for id_ in list(islice(self._records, _BATCH - len(batch))):
            batch[id_] = self._records[id_] = self._records.pop(id_)
        return list(batch.values())

    def told(self, batch: Iterable[Record]) -> None:
        """Count `batch` as told, as far as nothing has changed since."""
        for record in batch:
            if self._records.get(record.machine_id) is record:
                self._news.pop(record.machine_id, None)

    def untell(self) -> None:
        """Count everything as still to be told: the controller is away, and may begin anew."""
        self._news |= dict.fromkeys(self._records)

    def _trying(self, use: Callable[[], None]) -> None:
        try:
            use()
        except Unavailable as error:
            # Answers go on from memory; only a restart would forget this.
            _log.warning("health not kept", reason=str(error))
