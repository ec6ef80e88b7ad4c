"""Files are taken before the controller is asked, and nothing of them stays when it says no."""

from pathlib import Path

from tests.cli.conftest import Wgctl


def test_a_file_that_is_there_keeps_the_controller_from_being_asked(
    acme: Wgctl, tmp_path: Path
) -> None:
    taken = tmp_path / "alice.conf"
    taken.write_text("mine\n")

    result = acme("peer", "add", "alice", "-o", str(taken))

    assert (result.exit_code, taken.read_text()) == (2, "mine\n")
    assert acme("peer", "show", "alice").exit_code == 4


def test_a_refusal_leaves_no_file(acme: Wgctl, tmp_path: Path) -> None:
    first = acme("peer", "add", "alice", "-o", str(tmp_path / "first.conf"))
    second = acme("peer", "add", "alice", "-o", str(tmp_path / "second.conf"))

    assert (first.exit_code, second.exit_code) == (0, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["first.conf"]
