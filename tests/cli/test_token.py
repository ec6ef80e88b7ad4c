import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Wgctl
from wgctl.core.bearer import Bearer


def _add(acme: Wgctl, *arguments: str) -> Any:
    result = acme("token", "add", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return result.document


def test_a_token_is_printed_once(acme: Wgctl) -> None:
    plain = acme("token", "add", "ci")
    assert Bearer.parse(plain.stdout.strip()).public_key
    assert "one time" in plain.stderr

    made = _add(acme, "join", "--kind", "enrol", "--uses", "3", "--expires", "1h")
    assert Bearer.parse(made["token"]).public_key
    assert (made["kind"], made["owner"], made["uses_left"]) == ("enrol", "operator", 3)
    for verb in (["list"], ["show", "ci"], ["list", "--json"], ["show", "ci", "--json"]):
        assert "wgctl_" not in acme("token", *verb).stdout
    table = acme("token", "list").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["NAME", "ci", "join"]


def test_a_token_gives_tags_by_which_peers_are_found(acme: Wgctl) -> None:
    made = _add(acme, "join", "--kind", "enrol", "--tag", "prod", "--tag", "ci")
    acme("peer", "add", "build-7", "--tag", "ci")
    acme("peer", "add", "alice")
    found = acme("peer", "list", "--tag", "ci")

    assert made["tags"] == ["ci", "prod"]
    assert "ci, prod" in acme("token", "show", "join").stdout
    assert [line.split()[0] for line in found.stdout.splitlines()] == ["NAME", "build-7"]
    assert acme("peer", "list", "--tag", "C I").exit_code == 2


def test_a_token_is_for_networks_or_for_one_peer(acme: Wgctl) -> None:
    assert acme("network", "add", "staging").exit_code == 0
    acme("peer", "add", "web", "--network", "staging", "--json")

    narrow = _add(acme, "ci", "--kind", "network", "--network", "staging")
    assert narrow["networks"] == ["staging"]
    own = _add(acme, "self", "--kind", "peer", "--peer", "web", "--network", "staging")
    assert (own["peer"], own["networks"]) == ("web", None)
    assert acme("token", "add", "x", "--kind", "peer", "--peer", "web").exit_code == 4
    assert acme("token", "add", "x", "--kind", "peer").exit_code == 2


def test_a_revoked_token_is_gone(acme: Wgctl) -> None:
    _add(acme, "ci")
    asked = acme("token", "revoke", "ci")
    assert (asked.exit_code, "--yes" in asked.stderr) == (2, True)

    assert acme("token", "revoke", "ci", "--yes", "--json").document == {"revoked": "ci"}
    assert acme("token", "show", "ci").exit_code == 4


def test_a_narrower_token_is_made_without_a_controller(
    bare: Wgctl, acme: Wgctl, tmp_path: Path
) -> None:
    text = _add(acme, "ci")["token"]
    file = tmp_path / "token"
    file.write_text(f"{text}\n")
    cut = ["token", "attenuate", "--network", "staging", "--expires", "1h", "--read-only"]
    made = [
        bare(*cut, "--token-file", "-", stdin=text).stdout,
        bare(*cut, "--token-file", str(file)).stdout,
        bare(*cut, env={"WGCTL_TOKEN": text}).stdout,
    ]

    for one in made:
        bearer = Bearer.parse(one.strip())
        blocks = bearer.blocks(bearer.public_key)
        assert '["staging"].contains' in blocks[1]
        assert 'verb("read")' in blocks[1]
    again = bare(*cut[:2], "--read-only", "--json", env={"WGCTL_TOKEN": made[0]}).document["token"]
    assert len(Bearer.parse(again).blocks(bearer.public_key)) == 3


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (["--read-only"], "nonsense", "no token of wgctl's"),
        (["--read-only"], "", "no token"),
        ([], "wgctl_x", "not whole"),
        (["--expires", "soon"], "wgctl_x", "--expires"),
        (["--read-only", "--token-file", "/nowhere"], "x", "/nowhere"),
    ],
)
def test_what_is_no_token_is_refused_and_not_said_again(
    bare: Wgctl, arguments: list[str], text: str, said: str
) -> None:
    result = bare("token", "attenuate", *arguments, env={"WGCTL_TOKEN": text or None})

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(text) < 2 or text not in result.stderr


def test_a_token_on_the_command_line_is_no_argument(bare: Wgctl) -> None:
    """Every user of a host can see it there."""
    result = bare("token", "attenuate", "--read-only", "wgctl_secret")

    assert (result.exit_code, result.stdout) == (2, "")


def test_biscuits_are_loaded_by_who_makes_one_narrower_alone() -> None:
    for words in (["--help"], ["token", "--help"], ["peer", "list", "--org", "acme"]):
        script = (
            "import sys; from wgctl.cli import main;"
            f"main({words!r}); sys.exit('biscuit_auth' in sys.modules)"
        )
        environment = {**os.environ, "WGCTL_CONFIG": "/nowhere"}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, check=False, capture_output=True, env=environment)
        assert done.returncode == 0, done.stderr
