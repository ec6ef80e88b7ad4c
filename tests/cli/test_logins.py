import os
import stat
from pathlib import Path

import pytest

from wgctl.cli.logins import Login, Logins, read_logins, write_logins
from wgctl.core.errors import Denied, Invalid

_ONE, _TWO = "https://a.example:443", "https://b.example:443"
_BOTH = Logins().to(_ONE, Login("secret-1", "PEM")).to(_TWO, Login("secret-2"))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "wgctl" / "logins.json"
    write_logins(path, _BOTH)

    assert read_logins(path) == _BOTH
    assert _BOTH.current == _TWO


def test_a_missing_file_has_none(tmp_path: Path) -> None:
    assert read_logins(tmp_path / "none") == Logins()
    assert read_logins(Path("/dev/null/none")) == Logins()


def test_the_file_is_its_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "wgctl" / "logins.json"
    mask = os.umask(0)
    try:
        write_logins(path, _BOTH)
        write_logins(path, Logins())
    finally:
        os.umask(mask)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["logins.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "logins.json"
    write_logins(path, _BOTH)
    path.chmod(mode)

    with pytest.raises(Denied, match="chmod 600"):
        read_logins(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"current": 1, "logins": {"x": {"colour": 1}}}', '{"logins": 1}']
)
def test_what_we_did_not_write_is_refused_with_nothing_of_it_shown(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "logins.json"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(Invalid, match="expected what wgctl login wrote"):
        read_logins(path)


def test_the_current_login_goes_with_its_own() -> None:
    assert _BOTH.without(_TWO) == Logins(None, {_ONE: Login("secret-1", "PEM")})
    assert _BOTH.without(_ONE).current == _TWO


def test_a_token_is_in_no_text_about_it() -> None:
    assert "secret" not in repr(_BOTH)
