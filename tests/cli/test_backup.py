"""The command beside the session's controller, which is never stopped: restores go elsewhere."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Deployment, Wgctl
from tests.patience import HANG_S
from wgctl.drivers import archive


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The config of a second machine."""
    (tmp_path / "two").mkdir()
    path = tmp_path / "two" / "wgctl.toml"
    path.write_text(CONFIG.format(folder=tmp_path / "two"))
    return path


@pytest.fixture
def file(acme: Wgctl, tmp_path: Path) -> Path:
    """A back-up, in which the test's org has one peer."""
    path = tmp_path / "backup.tar.xz"
    assert acme("peer", "add", "laptop", "-o", str(tmp_path / "l.conf")).exit_code == 0
    assert acme("backup", str(path)).exit_code == 0
    return path


def _in_another_process(
    *words: str, stdin: int | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "wgctl", *words],
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )


def test_a_back_up_says_what_it_holds(wgctl: Wgctl, tmp_path: Path) -> None:
    plain = wgctl("backup", str(tmp_path / "one"))
    bare = wgctl("backup", str(tmp_path / "two"), "--without-key", "--json")

    assert (plain.exit_code, plain.stdout) == (0, "")
    assert f"{tmp_path}/one written: revision" in plain.stderr
    assert "with the gateway key" in plain.stderr
    assert (bare.document["file"], bare.document["with_key"]) == (f"{tmp_path}/two", False)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600


def test_a_back_up_never_replaces_a_file(wgctl: Wgctl, file: Path) -> None:
    before = file.read_bytes()
    result = wgctl("backup", str(file))

    assert (result.exit_code, file.read_bytes()) == (2, before)
    assert "exists already" in result.stderr


def test_a_back_up_goes_to_a_pipe(deployment: Deployment, tmp_path: Path) -> None:
    with (tmp_path / "b").open("wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "wgctl", "backup", "-"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            env={**os.environ, **deployment.environment},
            text=True,
            check=True,
        )
    (tmp_path / "out").mkdir()

    assert archive.unpack(tmp_path / "b", tmp_path / "out").format == 1
    assert "back-up written" in done.stderr


def test_comparing_shows_what_would_go(acme: Wgctl, org: str, file: Path, tmp_path: Path) -> None:
    acme("peer", "add", "phone", "-o", str(tmp_path / "p.conf"))
    shown, told = (
        acme("restore", "--verify", str(file)),
        acme("restore", "--verify", str(file), "--json"),
    )

    assert (shown.exit_code, told.exit_code) == (0, 0)
    assert f"{org}/default/phone" in shown.stdout
    assert "COMES BACK" in shown.stdout
    assert {
        "kind": "peer",
        "gone": [f"{org}/default/phone"],
        "back": [],
        "changed": [],
    } in told.document["differences"]
    assert told.document["running_revision"] > told.document["revision"]
    assert acme("peer", "list", "--json").document[1]["name"] == "phone"


def test_comparing_with_nothing_says_what_there_is(
    bare: Wgctl, file: Path, elsewhere: Path
) -> None:
    result = bare("--config", str(elsewhere), "restore", "--verify", str(file))

    assert result.exit_code == 0
    assert "here      no store" in result.stdout
    assert [path.name for path in elsewhere.parent.iterdir()] == ["wgctl.toml"]


def test_a_running_controllers_store_is_not_replaced(wgctl: Wgctl, file: Path) -> None:
    result = wgctl("restore", "--yes", str(file))

    assert result.exit_code == 7
    assert "stop it first" in result.stderr


def test_a_bare_machine_is_not_asked(bare: Wgctl, file: Path, elsewhere: Path) -> None:
    result = bare("--config", str(elsewhere), "restore", str(file), "--json")

    assert result.exit_code == 0
    assert result.document["state"] == f"{elsewhere.parent}/state"
    assert (result.document["kept"], result.document["config_made"]) == (None, False)
    assert result.document["new_revision"] > result.document["revision"]


def test_without_a_terminal_nothing_is_replaced(bare: Wgctl, file: Path, elsewhere: Path) -> None:
    bare("--config", str(elsewhere), "restore", str(file))
    refused = bare("--config", str(elsewhere), "restore", str(file))
    done = bare("--config", str(elsewhere), "restore", str(file), "--yes")

    assert refused.exit_code == 2
    assert "expected --yes" in refused.stderr
    assert done.exit_code == 0
    assert "the old store is kept as" in done.stderr


def test_a_damaged_store_is_told_when_compared_and_replaced_when_restored(
    bare: Wgctl, file: Path, elsewhere: Path
) -> None:
    bare("--config", str(elsewhere), "restore", str(file))
    store = elsewhere.parent / "state" / "controller" / "store.sqlite"
    store.write_bytes(b"no database" * 1_000)
    compared = bare("--config", str(elsewhere), "restore", "--verify", str(file))
    done = bare("--config", str(elsewhere), "restore", str(file), "--yes")

    assert compared.exit_code == 7
    assert "here      unreadable: the store is damaged" in compared.stdout
    assert "nothing to compare with" in compared.stderr
    assert done.exit_code == 0
    assert "the old store is kept as" in done.stderr


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_at_a_terminal_one_is_shown_what_goes_and_asked(
    bare: Wgctl, file: Path, elsewhere: Path, answer: str, code: int
) -> None:
    bare("--config", str(elsewhere), "restore", str(file))
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = _in_another_process("--config", str(elsewhere), "restore", str(file), stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    kept = list((elsewhere.parent / "state" / "controller").glob("store.sqlite.before-*"))

    assert done.returncode == code, done.stderr
    assert "Put the back-up in the place of what is there?" in done.stderr
    assert "revision" in done.stdout
    assert len(kept) == 1 - code


@pytest.mark.parametrize(
    ("content", "code"), [(b"", 2), (b"text", 2), (None, 2)], ids=["empty", "text", "missing"]
)
def test_what_is_no_back_up_is_bad_input(
    bare: Wgctl, tmp_path: Path, elsewhere: Path, content: bytes | None, code: int
) -> None:
    if content is not None:
        (tmp_path / "b").write_bytes(content)
    result = bare("--config", str(elsewhere), "restore", str(tmp_path / "b"), "--json")

    assert result.exit_code == code
    assert json.loads(result.stderr)["error"]["type"] == "invalid"
    assert not (elsewhere.parent / "state").exists()


def test_another_deployments_back_up_is_a_conflict(
    wgctl: Wgctl, bare: Wgctl, elsewhere: Path, tmp_path: Path
) -> None:
    bare("--config", str(elsewhere), "init")
    bare("--config", str(elsewhere), "backup", str(tmp_path / "theirs"))
    result = wgctl("restore", "--verify", str(tmp_path / "theirs"))

    assert result.exit_code == 5
    assert "another deployment's" in result.stderr
