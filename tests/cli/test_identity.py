import contextlib
import os
from pathlib import Path
from typing import Any

import pysqlite3
import pytest

import peers.config
from peers.errors import Invalid
from peers.formats.existing import Existing
from peers.keys import PresharedKey, PrivateKey
from peers.seal import SealedKey, unseal
from tests.cli.conftest import Deployment, Wgctl
from wgctl.cli.identity import existing_config, identity, identity_of

KEY = PrivateKey.generate()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "alice.conf"


def _names(acme: Wgctl) -> list[str]:
    return [found["name"] for found in acme("peer", "list", "--json").document]


def _peer(acme: Wgctl, name: str) -> Any:
    return acme("peer", "show", name, "--json").document


def test_a_made_identity_is_a_pair() -> None:
    made = identity(None, psk=False)

    assert made.private_key is not None
    assert made.private_key.public() == made.public_key


def test_two_identities_have_nothing_in_common() -> None:
    assert identity(None, psk=False).public_key != identity(None, psk=False).public_key


def test_a_wrong_key_is_named_by_its_option() -> None:
    with pytest.raises(Invalid, match=r"^--public-key: "):
        identity("x", psk=False)


@pytest.mark.parametrize(("moves", "private_key"), [(True, KEY), (False, None)])
def test_the_key_of_a_config_goes_only_where_it_is_to_go(
    moves: bool,  # noqa: FBT001 - a case
    private_key: PrivateKey | None,
) -> None:
    found = identity_of(Existing("wg-quick", KEY, None), Path("a.conf"), moves=moves, psk=False)

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


def _existing(folder: Path, form: str, name: str = "office") -> tuple[Path, PrivateKey]:
    """A config that was made elsewhere, and its key."""
    key = PrivateKey.generate()
    text = {
        ".conf": "[Interface]\nPrivateKey = KEY\nAddress = 10.0.0.2/24\n",
        ".netdev": "[NetDev]\nName=wg9\n[WireGuard]\nPrivateKey=KEY\n",
        ".nmconnection": "[connection]\ninterface-name=wg9\n[wireguard]\nprivate-key=KEY\n",
    }[form]
    file = folder / f"{name}{form}"
    file.write_text(text.replace("KEY", key.text()))
    return file, key


@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        (".conf", "Address = "),
        (".netdev", "# wg9.network\n[Match]\nName=wg9\n"),
        (".nmconnection", "interface-name=wg9\n"),
    ],
)
def test_an_imported_peer_has_the_key_of_its_config_and_is_told_what_to_change(
    acme: Wgctl, tmp_path: Path, deployment: Deployment, suffix: str, says: str
) -> None:
    file, key = _existing(tmp_path, suffix)
    before = file.read_bytes()

    result = acme("peer", "import", str(file))

    shown = _peer(acme, "office")
    assert result.exit_code == 0
    assert shown["public_key"] == key.public().text()
    assert says in result.stdout
    assert f"{shown['address']}/128" in result.stdout
    assert f"(the one whose public key is {key.public()})" in result.stdout
    assert "its private key stays as it is" in result.stderr
    assert file.read_bytes() == before
    assert key.text() not in result.stdout + result.stderr
    for path in deployment.folder.rglob("*"):
        assert not path.is_file() or key.raw not in path.read_bytes()


def test_an_imported_key_goes_into_a_new_config(acme: Wgctl, tmp_path: Path, out: Path) -> None:
    file, key = _existing(tmp_path, ".nmconnection")

    result = acme("peer", "import", str(file), "bob", "-o", str(out), "--format", "wg-quick")

    config = peers.config.parse(out.read_text())
    assert (result.exit_code, result.stdout) == (0, "")
    assert config.interface.private_key == key
    assert str(config.interface.addresses[0].ip) == _peer(acme, "bob")["address"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert "never both" in result.stderr


def test_an_import_again_is_the_same_peer(acme: Wgctl, tmp_path: Path) -> None:
    file, _ = _existing(tmp_path, ".conf")

    first, second = (acme("peer", "import", str(file)) for _ in range(2))

    assert first.stdout == second.stdout
    assert _names(acme) == ["office"]


@pytest.mark.parametrize(
    ("name", "words", "rule"),
    [
        ("Office", [], "upper-case letters, expected lower-case: 'office': give the peer's name"),
        ("office", ["-o", "office.conf"], "office.conf exists already"),
        ("office", ["--interface", "wg7"], "wg-quick takes the name of its file"),
    ],
)
def test_an_import_that_breaks_a_rule_changes_nothing(
    acme: Wgctl, tmp_path: Path, name: str, words: list[str], rule: str
) -> None:
    file, _ = _existing(tmp_path, ".conf", name)

    with contextlib.chdir(tmp_path):
        result = acme("peer", "import", str(file), *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert rule in result.stderr
    assert list(tmp_path.iterdir()) == [file]
    assert _names(acme) == []


def _psk(text: str) -> PresharedKey | None:
    return peers.config.parse(text).peers[0].preshared_key


def test_a_preshared_key_is_in_the_config_and_nowhere_else(
    acme: Wgctl, deployment: Deployment, out: Path
) -> None:
    result = acme("peer", "add", "alice", "--psk", "-o", str(out))

    psk = _psk(out.read_text())
    assert result.exit_code == 0
    assert psk is not None
    kept = [path.read_bytes() for path in deployment.folder.rglob("*") if path.is_file()]
    assert kept
    assert not [content for content in kept if psk.raw in content]
    assert not [content for content in kept if psk.text().encode() in content]
    assert psk.text() not in result.stderr


def test_a_sealed_key_is_one_that_the_gateway_opens(
    acme: Wgctl, deployment: Deployment, out: Path
) -> None:
    acme("peer", "add", "alice", "--psk", "-o", str(out))
    config = peers.config.parse(out.read_text())
    key_file = deployment.folder / "state" / "gateway.key"
    store = pysqlite3.connect(str(deployment.folder / "state" / "controller" / "store.sqlite"))
    public_key = config.interface.private_key.public()
    (raw,) = store.execute(
        "SELECT sealed FROM seals JOIN peers ON peers.id = peer_id WHERE public_key = ?",
        (public_key.raw,),
    ).fetchone()
    store.close()

    gateway = PrivateKey.parse(key_file.read_text().strip())
    assert unseal(SealedKey(raw), gateway=gateway, peer=public_key) == config.peers[0].preshared_key


def test_a_rekeyed_peer_has_a_preshared_key_if_it_had_one_or_as_it_is_told(acme: Wgctl) -> None:
    found = [_psk(acme("peer", "add", "alice", "--psk").stdout)]
    shown = [acme("peer", "show", "alice", "--json").document["preshared_key"]]
    for words in ([], ["--no-psk"], [], ["--psk"]):
        found.append(_psk(acme("peer", "rekey", "alice", *words).stdout))
        shown.append(acme("peer", "show", "alice", "--json").document["preshared_key"])

    assert shown == [True, True, False, False, True]
    assert [psk is not None for psk in found] == shown
    assert len(set(found)) == 4


def test_an_imported_peer_can_have_a_preshared_key(acme: Wgctl, tmp_path: Path) -> None:
    file, _ = _existing(tmp_path, ".conf")

    result = acme("peer", "import", str(file), "--psk")

    assert "PresharedKey = " in result.stdout
    assert _peer(acme, "office")["preshared_key"] is True


def test_a_list_tells_which_peers_have_a_preshared_key(acme: Wgctl) -> None:
    acme("peer", "add", "alice", "--psk")
    acme("peer", "add", "bob")

    listed = acme("peer", "list", "--json").document

    assert {peer["name"]: peer["preshared_key"] for peer in listed} == {"alice": True, "bob": False}


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("wg-quick", "PresharedKey = "),
        ("networkd", "PresharedKey="),
        ("networkmanager", "preshared-key="),
        ("json", '"preshared_key": "'),
    ],
)
def test_every_format_has_the_preshared_key(acme: Wgctl, form: str, line: str) -> None:
    text = acme("peer", "add", "alice", "--psk", "--format", form).stdout

    (found,) = (part for part in text.splitlines() if line in part)
    key = PresharedKey.parse(found.strip().removeprefix(line).rstrip('",'))
    assert key.text() in found


def test_a_preshared_key_beside_an_own_key(acme: Wgctl) -> None:
    own = PrivateKey.generate().public().text()

    text = acme("peer", "add", "alice", "--psk", "--public-key", own).stdout
    again = acme("peer", "add", "alice", "--psk", "--public-key", own)

    assert "PresharedKey = " in text
    assert again.exit_code == 5
    assert "wgctl peer rekey" in again.stderr
