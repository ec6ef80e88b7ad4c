import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import pytest

from tests.drivers.syncing import synced
from tests.store.limits import limited
from wgctl.cli import files
from wgctl.cli.files import new_file
from wgctl.core.errors import Invalid

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]


def test_a_finished_file_is_whole_and_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with new_file(tmp_path / "a.conf") as file:
            file.finish(b"secret")
    finally:
        os.umask(before)

    assert (tmp_path / "a.conf").read_bytes() == b"secret"
    assert (tmp_path / "a.conf").stat().st_mode & 0o777 == 0o600


def test_its_name_is_on_the_disk_when_it_is_finished(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.conf") as file, synced() as paths:
        file.finish(b"secret")

    assert paths == [tmp_path / "a.conf", tmp_path]


def test_an_unfinished_file_goes_away(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.conf"):
        assert (tmp_path / "a.conf").stat().st_size == 0

    assert not (tmp_path / "a.conf").exists()


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_takes_the_file_with_it(tmp_path: Path, kind: type[BaseException]) -> None:
    with pytest.raises(kind), new_file(tmp_path / "a.conf"):
        raise kind

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    with (
        new_file(tmp_path / "a.conf") as file,
        limited(3),
        pytest.raises(OSError, match="File too large"),
    ):
        file.finish(b"secret")

    assert list(tmp_path.iterdir()) == []


def _file(path: Path) -> None:
    path.write_text("kept")


def _link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("there", [_file, _link, _folder])
def test_what_is_there_is_refused_and_kept(tmp_path: Path, there: object) -> None:
    path = tmp_path / "a.conf"
    assert callable(there)
    there(path)
    before = path.lstat()

    with (
        pytest.raises(Invalid, match="exists already: choose another name, or remove it"),
        new_file(path),
    ):
        pytest.fail("the file was opened")

    assert path.lstat() == before
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("parent", ["missing", "file"])
def test_a_missing_folder_is_named(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(Invalid, match=f"{parent} is no folder"),
        new_file(tmp_path / parent / "a.conf"),
    ):
        pytest.fail("the file was opened")


def test_a_file_that_took_the_name_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"

    with new_file(path):
        path.rename(tmp_path / "moved")
        path.write_text("another's")

    assert path.read_text() == "another's"


def test_a_signal_at_any_step_leaves_no_file(tmp_path: Path) -> None:
    """Each instruction from the opening to the end is one at which SIGTERM may come."""
    steps = 0
    while _interrupted(tmp_path / "a.conf", at=steps):
        assert list(tmp_path.iterdir()) == [], f"a file is left by a signal at step {steps}"
        steps += 1

    assert steps > 50


def _interrupted(path: Path, *, at: int) -> bool:
    """Make and leave a file, with SIGTERM at step `at`; False when there are fewer steps."""
    left = iter(range(at, -1, -1))

    def trace(frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
        if frame.f_code.co_filename not in {files.__file__, contextlib.__file__}:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(left, None) == 0:
            signal.raise_signal(signal.SIGTERM)
        return trace

    def end(_signum: int, _frame: FrameType | None) -> None:
        raise SystemExit

    before = signal.signal(signal.SIGTERM, end)
    try:
        sys.settrace(trace)
        with new_file(path):
            pass
    except SystemExit:
        return True
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGTERM, before)
    return False
