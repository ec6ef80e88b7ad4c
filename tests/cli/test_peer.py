import contextlib
import grp
import json
import os
from pathlib import Path
from typing import Any

import pytest

import peers.config
from peers.keys import PrivateKey
from tests.cli.conftest import Deployment, Result, Wgctl

OWN_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "alice.conf"


def _names(acme: Wgctl) -> list[str]:
    return [found["name"] for found in acme("peer", "list", "--json").document]


def _peer(acme: Wgctl, name: str, *words: str) -> Any:
    return acme("peer", "show", name, "--json", *words).document


def test_the_config_goes_to_stdout_and_all_else_to_stderr(acme: Wgctl) -> None:
    result = acme("peer", "add", "alice")

    config = peers.config.parse(result.stdout)
    shown = _peer(acme, "alice")
    assert str(config.interface.addresses[0].ip) == shown["address"]
    assert config.interface.private_key.public().text() == shown["public_key"]
    assert f"peer alice added: {shown['address']}\n" in result.stderr
    assert "not shown again" in result.stderr


def test_o_writes_a_file_that_only_its_owner_reads(acme: Wgctl, out: Path) -> None:
    result = acme("peer", "add", "alice", "-o", str(out))

    assert (result.exit_code, result.stdout) == (0, "")
    assert f"saved to {out} (0600)" in result.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    private_key = peers.config.parse(out.read_text()).interface.private_key
    assert private_key.public().text() == _peer(acme, "alice")["public_key"]


def test_o_dash_is_stdout(acme: Wgctl) -> None:
    assert "[Interface]" in acme("peer", "add", "alice", "-o", "-").stdout


def test_json_has_the_config_only_where_no_file_has_it(acme: Wgctl, out: Path) -> None:
    alone = acme("peer", "add", "alice", "--json").document
    beside = acme("peer", "add", "bob", "--json", "-o", str(out)).document

    assert set(alone) == {"peer", "tunnel", "config"}
    assert set(beside) == {"peer", "tunnel"}
    assert beside["tunnel"]["address"] in out.read_text()


def test_no_private_key_but_in_the_config(acme: Wgctl, deployment: Deployment, out: Path) -> None:
    acme("peer", "add", "alice", "-o", str(out))
    secret = peers.config.parse(out.read_text()).interface.private_key

    kept = [path.read_bytes() for path in deployment.folder.rglob("*") if path.is_file()]
    assert kept
    assert not [content for content in kept if secret.raw in content]
    assert not [content for content in kept if secret.text().encode() in content]


def test_an_own_key_is_used_and_its_private_half_is_left_to_its_owner(acme: Wgctl) -> None:
    own = PrivateKey.generate()

    result = acme("peer", "add", "alice", "--public-key", own.public().text())

    assert _peer(acme, "alice")["public_key"] == own.public().text()
    lines = result.stdout.splitlines()
    assert not [line for line in lines if line.startswith("PrivateKey")]
    assert lines[1] == f"# PrivateKey = (the one whose public key is {own.public()})"
    whole = result.stdout.replace(lines[1], f"PrivateKey = {own.text()}")
    assert peers.config.parse(whole).interface.private_key == own


def test_the_same_name_and_key_again_give_the_same_peer(acme: Wgctl) -> None:
    key = PrivateKey.generate().public().text()

    first, second = (acme("peer", "add", "alice", "--public-key", key) for _ in range(2))

    assert first.exit_code == second.exit_code == 0
    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("dns", "dns_line", "hook"), [("split", False, True), ("none", False, False)]
)
def test_dns_chooses_what_the_config_says_of_names(
    acme: Wgctl,
    dns: str,
    dns_line: bool,  # noqa: FBT001 - a case
    hook: bool,  # noqa: FBT001 - a case
) -> None:
    text = acme("peer", "add", "alice", "--dns", dns).stdout

    assert ("DNS = " in text, "PostUp = resolvectl" in text) == (dns_line, hook)


def test_full_dns_is_refused_while_there_are_no_upstreams(acme: Wgctl, out: Path) -> None:
    result = acme("peer", "add", "alice", "--dns", "full", "-o", str(out))

    assert result.exit_code == 2
    assert "no upstreams" in result.stderr
    assert not out.exists()
    assert _names(acme) == []


def test_an_expiry_is_counted_from_the_moment_of_adding(acme: Wgctl) -> None:
    acme("peer", "add", "alice", "--expires", "1d12h")

    assert "expiry          in 1 d\n" in acme("peer", "show", "alice").stdout


def test_a_code_in_the_terminal_stands_for_the_config_without_hooks(acme: Wgctl) -> None:
    result = acme("peer", "add", "alice", "--qr")

    assert result.stdout.startswith("\x1b[38;5;231;48;5;16m")
    assert "PrivateKey" not in result.stdout
    assert "phones" in result.stderr


@pytest.mark.parametrize("suffix", [".png", ".svg", ".PNG"])
def test_a_code_in_a_file_is_read_back_as_the_config(
    acme: Wgctl, tmp_path: Path, suffix: str
) -> None:
    image = tmp_path / f"alice{suffix}"

    result = acme("peer", "add", "alice", "--qr", "-o", str(image))

    assert (result.exit_code, result.stdout) == (0, "")
    assert image.stat().st_mode & 0o777 == 0o600
    assert image.read_bytes().startswith(b"<?xml" if suffix == ".svg" else b"\x89PNG")


def test_networkd_gets_two_files_of_which_only_one_has_the_key(acme: Wgctl, tmp_path: Path) -> None:
    result = acme("peer", "add", "alice", "--format", "networkd", "-o", str(tmp_path))

    netdev, network = tmp_path / "alice.netdev", tmp_path / "alice.network"
    assert (result.exit_code, result.stdout) == (0, "")
    assert "PrivateKey=" in netdev.read_text()
    assert netdev.stat().st_mode & 0o777 == (0o640 if _gives_groups() else 0o600)
    assert f"Address={_peer(acme, 'alice')['address']}/128" in network.read_text()
    assert network.stat().st_mode & 0o777 == 0o644
    assert f"saved to {netdev} ({netdev.stat().st_mode & 0o777:04o}) and {network}" in result.stderr


def _gives_groups() -> bool:
    known = "systemd-network" in {group.gr_name for group in grp.getgrall()}
    return known and os.geteuid() == 0


def test_networkmanager_gets_a_connection_that_is_its_owners_alone(
    acme: Wgctl, tmp_path: Path
) -> None:
    file = tmp_path / "alice.nmconnection"

    result = acme("peer", "add", "alice", "--format", "networkmanager", "-o", str(file))

    assert (result.exit_code, result.stdout) == (0, "")
    assert "interface-name=alice\n" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "nmconnection" not in result.stderr.replace(str(file), "")


def test_a_name_that_networkmanager_would_pass_over_is_pointed_out(acme: Wgctl, out: Path) -> None:
    result = acme("peer", "add", "alice", "--format", "networkmanager", "-o", str(out))

    assert "end it .nmconnection" in result.stderr


def test_json_as_a_format_is_one_document_on_stdout(acme: Wgctl) -> None:
    found = acme("peer", "add", "alice", "--format", "json").document

    shown = _peer(acme, "alice")
    assert (found["public_key"], found["address"]) == (shown["public_key"], shown["address"])
    assert PrivateKey.parse(found["private_key"]).public().text() == shown["public_key"]


def test_two_documents_on_stdout_each_have_their_name(acme: Wgctl) -> None:
    text = acme("peer", "add", "alice", "--format", "networkd", "--interface", "wg7").stdout

    assert text.startswith("# wg7.netdev\n[NetDev]\nName=wg7\n")
    assert "\n\n# wg7.network\n[Match]\nName=wg7\n" in text


def test_rekey_hands_over_in_the_format_that_is_asked_for(acme: Wgctl) -> None:
    acme("peer", "add", "alice")

    text = acme("peer", "rekey", "alice", "--format", "networkmanager").stdout

    assert text.startswith("[connection]\nid=alice\n")


def test_a_refusal_takes_every_file_away_again(acme: Wgctl, tmp_path: Path) -> None:
    acme("peer", "add", "alice")

    result = acme("peer", "add", "alice", "--format", "networkd", "-o", str(tmp_path))

    assert result.exit_code == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--format", "networkd", "--qr"], "leave --format networkd out"),
        (["--format", "networkd", "-o", "missing"], "'missing' is no folder: make it first"),
        (["--format", "dhcpcd"], "'dhcpcd' is not one of 'wg-quick', 'networkd'"),
        (["--interface", "wg7"], "wg-quick takes the name of its file"),
        (["--format", "json", "--interface", "a/b"], "--interface: interface 'a/b'"),
        (["--qr", "-o", "x.jpg"], "expected a name that ends in .png or .svg"),
        (["--qr", "-o", "x"], "expected a name that ends in .png or .svg"),
        (["--qr", "--json"], "both write to stdout"),
        (["--qr", "--public-key", OWN_KEY], "--qr needs the private key"),
        (["-o", ""], "-o has an empty name"),
        (["--expires", "soon"], "--expires: 'soon', expected a time in w, d, h, m and s, like 30d"),
        (["--expires", "0s"], "--expires: '0s', expected 1s to"),
        (["--public-key", "abc"], "--public-key: 3 characters that are not base64"),
        (["--public-key", "AAAA"], "--public-key: 3 bytes, expected 32"),
        (["--public-key", f"{OWN_KEY} "], "--public-key: white space"),
        (["--public-key", "A" * 43 + "="], "--public-key: a point of low order"),
        (["--public-key", "/" * 42 + "8="], "--public-key: the top bit is set"),
        (["-o", "missing/alice.conf"], "missing is no folder: make it first"),
        (["--network", "No"], "network 'No': upper-case letters"),
    ],
)
def test_options_that_break_a_rule_change_nothing(
    acme: Wgctl, tmp_path: Path, words: list[str], rule: str
) -> None:
    with contextlib.chdir(tmp_path):
        result = acme("peer", "add", "alice", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert rule in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert _names(acme) == []


def test_a_key_in_use_is_refused_in_every_network(acme: Wgctl, out: Path) -> None:
    acme("peer", "add", "alice")
    key = _peer(acme, "alice")["public_key"]

    result = acme("peer", "add", "bob", "--public-key", key, "-o", str(out))

    assert result.exit_code == 2
    assert "already in use" in result.stderr
    assert not out.exists()
    assert _names(acme) == ["alice"]


def test_an_existing_file_is_kept_and_the_controller_is_not_asked(acme: Wgctl, out: Path) -> None:
    out.write_text("kept")

    result = acme("peer", "add", "alice", "-o", str(out))

    assert result.exit_code == 2
    assert f"{out} exists already: choose another name, or remove it" in result.stderr
    assert out.read_text() == "kept"
    assert _names(acme) == []


@pytest.mark.parametrize(
    ("prepare", "exit_code"),
    [(["peer", "add", "alice"], 5), (["org", "list"], 0)],
)
def test_a_refusal_takes_the_file_away_again(
    acme: Wgctl, out: Path, prepare: list[str], exit_code: int
) -> None:
    acme(*prepare)

    assert acme("peer", "add", "alice", "-o", str(out)).exit_code == exit_code
    assert out.exists() == (exit_code == 0)


def test_no_org_takes_the_file_away_again(wgctl: Wgctl, out: Path) -> None:
    assert wgctl("peer", "add", "alice", "--org", "no-such", "-o", str(out)).exit_code == 4
    assert not out.exists()


def test_a_name_that_wg_quick_takes_for_no_interface_is_pointed_out(
    acme: Wgctl, tmp_path: Path
) -> None:
    long = acme("peer", "add", "alice", "-o", str(tmp_path / "alice-at-the-office.conf"))
    short = acme("peer", "add", "bob", "-o", str(tmp_path / "bob.conf"))

    assert "15 characters at most" in long.stderr
    assert "15 characters" not in short.stderr


def test_rekey_gives_a_new_key_and_keeps_the_address(acme: Wgctl, out: Path) -> None:
    acme("peer", "add", "alice")
    before = _peer(acme, "alice")

    result = acme("peer", "rekey", "alice", "-o", str(out))

    after = _peer(acme, "alice")
    assert result.exit_code == 0
    assert after["address"] == before["address"]
    assert after["public_key"] != before["public_key"]
    config = peers.config.parse(out.read_text())
    assert config.interface.private_key.public().text() == after["public_key"]


def test_rekey_with_expires_gives_the_peer_another_time(acme: Wgctl) -> None:
    acme("peer", "add", "alice")
    acme("peer", "rekey", "alice", "--expires", "12h")

    assert _peer(acme, "alice")["expires_at"] is not None
    assert acme("peer", "rekey", "alice", "--expires", "soon").exit_code == 2


def test_a_peer_that_leaves_by_itself_is_told_apart_from_one_that_expires(acme: Wgctl) -> None:
    acme("peer", "add", "build-7", "--ephemeral", "12h")
    acme("peer", "add", "alice", "--expires", "12h")
    listed = {row.split()[0]: row for row in acme("peer", "list").stdout.splitlines()[1:]}

    assert _peer(acme, "build-7")["ephemeral"] is True
    assert _peer(acme, "alice")["ephemeral"] is False
    assert "in 11 h, leaves" in listed["build-7"]
    assert "leaves" not in listed["alice"]


def test_rekey_of_nobody_is_not_found_and_leaves_no_file(acme: Wgctl, out: Path) -> None:
    assert acme("peer", "rekey", "nobody", "-o", str(out)).exit_code == 4
    assert not out.exists()


def test_the_list_is_of_all_networks_or_of_one(acme: Wgctl) -> None:
    acme("network", "add", "ci")
    acme("peer", "add", "alice")
    acme("peer", "add", "runner", "--network", "ci")

    everywhere = acme("peer", "list").stdout.splitlines()
    of_one = acme("peer", "list", "--network", "ci").stdout.splitlines()
    of_environment = acme("peer", "list", env={"WGCTL_NETWORK": "ci"}).stdout.splitlines()

    for title in ("NAME", "NETWORK", "OWNER", "ADDRESS", "GATEWAY", "LAST HANDSHAKE", "RECEIVED"):
        assert title in everywhere[0]
    assert [line.split()[:3] for line in everywhere[1:]] == [
        ["alice", "default", "operator"],
        ["runner", "ci", "operator"],
    ]
    assert [line.split()[0] for line in of_one[1:]] == ["runner"]
    assert of_environment == of_one


def test_show_and_remove_look_in_the_network_they_are_told(acme: Wgctl) -> None:
    acme("network", "add", "ci")
    acme("peer", "add", "runner", "--network", "ci")

    assert acme("peer", "show", "runner").exit_code == 4
    assert acme("peer", "remove", "runner", "-y").exit_code == 4
    assert acme("peer", "show", "runner", "--network", "ci").exit_code == 0
    assert acme("peer", "remove", "runner", "-y", "--network", "ci", "--json").document == {
        "removed": "runner"
    }
    assert acme("peer", "show", "runner", "--network", "ci").exit_code == 4


def test_an_error_as_json_is_one_line(acme: Wgctl) -> None:
    result: Result = acme("peer", "show", "nobody", "--json")

    assert json.loads(result.stderr)["error"]["type"] == "not-found"
