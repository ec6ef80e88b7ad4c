"""Enrolling over TLS with a token of one use, to a real controller."""

import stat
from pathlib import Path

import pytest

import peers.config
from tests.cli.conftest import Deployment, Wgctl
from wgctl.cli.enroll import _network, _org
from wgctl.core.access_schema import CallerReply
from wgctl.core.errors import Invalid


def test_a_token_of_one_use_makes_one_peer_where_it_is_for(
    bare: Wgctl, wgctl: Wgctl, deployment: Deployment, tmp_path: Path
) -> None:
    url, token = {"WGCTL_URL": deployment.elsewhere["WGCTL_URL"]}, tmp_path / "token"
    token.write_text(deployment.one_use[0])
    config = tmp_path / "runner.conf"
    words = ["--token-file", str(token), "--ephemeral", "1h", "--json"]
    first = bare("enroll", "build-7", *words, "-o", str(config), env=url)
    second = bare("enroll", "build-8", *words, env=url)
    listed = wgctl("peer", "list", "--org", "fleet", "--network", "runners", "--json").document

    assert (first.exit_code, second.exit_code) == (0, 3)
    assert [(peer["name"], peer["org"], peer["network"]) for peer in listed] == [
        ("build-7", "fleet", "runners")
    ]
    peer = first.document["peer"]
    assert (peer["expires_at"] is not None, peer["ephemeral"]) == (True, True)
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    key = peers.config.parse(config.read_text()).interface.private_key
    assert key is not None
    assert key.public().text() == listed[0]["public_key"]
    for result in (first, second):
        assert key.text() not in result.stdout + result.stderr
        assert deployment.one_use[0] not in result.stdout + result.stderr
    assert not (tmp_path / ".config").exists(), "the token is not kept"


def test_a_config_is_not_left_behind_when_the_token_is_no_good(
    bare: Wgctl, deployment: Deployment, tmp_path: Path
) -> None:
    environment = {"WGCTL_URL": deployment.elsewhere["WGCTL_URL"], "WGCTL_TOKEN": "wgctl_no"}
    result = bare("enroll", "laptop", "-o", str(tmp_path / "x.conf"), env=environment)

    assert result.exit_code == 3
    assert "no valid token" in result.stderr
    assert not (tmp_path / "x.conf").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["laptop"], "no URL: expected --url"),
        (["laptop", "--url", "https://x"], "no token: expected --token-file"),
        (
            ["laptop", "--url", "https://x", "--expires", "1h", "--ephemeral", "1h"],
            "expected one of them",
        ),
        (["laptop", "--url", "https://x", "--ephemeral", "soon"], "--ephemeral: 'soon', expected"),
        (["Laptop", "--url", "https://x"], "upper-case letters"),
        (["laptop", "--url", "https://x", "--token-file", "/none"], "/none: expected a file"),
    ],
)
def test_what_is_missing_is_told(bare: Wgctl, words: list[str], said: str) -> None:
    result = bare("enroll", *words)

    assert result.exit_code == 2
    assert said in result.stderr


def _caller(org: str | None, networks: list[str] | None) -> CallerReply:
    return CallerReply(
        caller="x",
        org=org,
        member=None,
        role=None,
        token=None,
        networks=networks,
        expires_at=None,
        scopes={},
    )


@pytest.mark.parametrize(
    ("networks", "expected"),
    [(None, "default"), (["ci"], "ci"), (["ci", "prod"], "default"), ([], "default")],
)
def test_a_token_for_one_network_says_which(networks: list[str] | None, expected: str) -> None:
    assert _network(_caller("acme", networks)) == expected


def test_whoever_is_of_no_org_enrols_nothing() -> None:
    with pytest.raises(Invalid, match="expected the token of one"):
        _org(_caller(None, None))
