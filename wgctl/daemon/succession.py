"""A store in the place of another: whatever ends it, there is the old one or the new one, whole.

All that takes room is written and on the disk before anything is changed, and the change is one
rename. Which store it is to be, and whether it may, is `wgctl.daemon.restore`.
"""

import os
import secrets
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from wgctl.core.errors import Unavailable
from wgctl.drivers.files import draft_of, led_to, place, sync_folder
from wgctl.store import snapshot

__all__ = ["succeed"]

_MODE = 0o600


def succeed(source: Path, store: Path, *, standing: tuple[str, int], now: int) -> Path | None:
    """Put a copy of the store `source` in the place of `store`; return where that one is kept.

    None: there was none. For a caller who holds the folder. An old store that is not settled must
    be damaged: else its log has to be in it first. Raises Unavailable, with the old one in its
    place, unless `source` is whole and at `standing`, its epoch and revision; Denied as `led_to`.
    """
    store = led_to(store)
    snapshot.settle(source)
    snapshot.check(source)
    if (found := snapshot.standing(source)) != standing:
        raise Unavailable(f"the new store is at {found}, expected {standing}: restore again")
    aside = _free_name(store, now=now)
    if store.exists():
        _replace(source, store, aside)
        return aside
    for suffix in snapshot.BESIDE:
        if _behind(store, suffix).exists():
            _behind(store, suffix).rename(_behind(aside, suffix))
    sync_folder(store.parent)
    place(source, store, mode=_MODE)
    return None


def _replace(source: Path, store: Path, aside: Path) -> None:
    with ExitStack() as drafts:
        new = drafts.enter_context(draft_of(source, store.parent, mode=_MODE))
        log: Path | None = None
        if any(_behind(store, suffix).exists() for suffix in snapshot.BESIDE):
            whole = _behind(source, ".log")
            snapshot.write_whole_log(source, whole)
            log = drafts.enter_context(draft_of(whole, store.parent, mode=_MODE))
        _keep(store, aside)
        if log is not None:
            # From here on the two files are the new store: what its log has goes before all else.
            log.rename(_behind(store, "-wal"))
            sync_folder(store.parent)
        new.rename(store)
        sync_folder(store.parent)
        if log is not None:
            _remove_beside(store)


def _keep(store: Path, aside: Path) -> None:
    """Give the old store, and what is beside it, second names; all or none."""
    with ExitStack() as undo:
        for suffix in ("", *snapshot.BESIDE):
            name = _behind(store, suffix)
            if name.exists():
                undo.callback(_behind(aside, suffix).unlink, missing_ok=True)
                _give_second_name(name, _behind(aside, suffix))
        sync_folder(store.parent)
        undo.pop_all()


def _give_second_name(name: Path, other: Path) -> None:
    try:
        other.hardlink_to(name)
    except OSError:  # Not every file system has links.
        place(name, other, mode=_MODE)


def _remove_beside(store: Path) -> None:
    """Remove what would be played into the store, each for good before the next.

    The log comes after the journal, which it stands above.
    """
    for suffix in ("-journal", "-wal", "-shm"):
        _behind(store, suffix).unlink(missing_ok=True)
        sync_folder(store.parent)


def _free_name(store: Path, *, now: int) -> Path:
    """Return a name beside the store under which nothing is, nor behind it."""
    aside = store.with_name(
        f"{store.name}.before-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    )
    while any(os.path.lexists(_behind(aside, suffix)) for suffix in ("", *snapshot.BESIDE)):
        aside = aside.with_name(f"{aside.name}-{secrets.token_hex(2)}")
    return aside


def _behind(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
