import os
from pathlib import Path

import pytest

from peers.errors import Invalid
from peers.formats.existing import Existing
from peers.keys import PrivateKey
from wgctl.cli.identity import existing_config, identity, identity_of

KEY = PrivateKey.generate()


def test_a_made_identity_is_a_pair() -> None:
    made = identity(None)

    assert made.private_key is not None
    assert made.private_key.public() == made.public_key


def test_two_identities_have_nothing_in_common() -> None:
    assert identity(None).public_key != identity(None).public_key


def test_a_wrong_key_is_named_by_its_option() -> None:
    with pytest.raises(Invalid, match=r"^--public-key: "):
        identity("x")


@pytest.mark.parametrize(("moves", "private_key"), [(True, KEY), (False, None)])
def test_the_key_of_a_config_goes_only_where_it_is_to_go(
    moves: bool,  # noqa: FBT001 - a case
    private_key: PrivateKey | None,
) -> None:
    found = identity_of(Existing("wg-quick", KEY, None), Path("a.conf"), moves=moves)

    assert (found.public_key, found.private_key) == (KEY.public(), private_key)
    assert KEY.text() not in repr(found)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "No such file or directory, expected a config"),
        (b"", "no \\[Interface\\] section"),
        (b"\xff", "not UTF-8"),
        (b"#" * (2**20 + 1), "more than 1048576 bytes"),
    ],
)
def test_what_is_no_config_is_refused_with_its_name(
    tmp_path: Path, content: bytes | None, rule: str
) -> None:
    file = tmp_path / "a.conf"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(Invalid, match=rf"^{file}: .*{rule}"):
        existing_config(file)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="Is a directory"):
        existing_config(tmp_path)


def test_a_pipe_is_read_as_a_config(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, f"[Interface]\nPrivateKey = {KEY.text()}\n".encode())
    os.close(writer)
    try:
        assert existing_config(Path(f"/dev/fd/{reader}")).private_key == KEY
    finally:
        os.close(reader)
