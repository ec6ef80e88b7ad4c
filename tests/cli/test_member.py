import pytest

from tests.cli.conftest import Wgctl


def test_a_member_is_added_given_a_role_and_listed(acme: Wgctl) -> None:
    assert acme("network", "add", "staging").exit_code == 0
    added = acme("member", "add", "alice", "--json").document
    assert (added["role"], added["networks"]) == ("member", None)

    narrowed = acme("member", "set-role", "alice", "viewer", "--network", "staging", "--json")
    assert narrowed.document["networks"] == ["staging"]
    kept = acme("member", "set-role", "alice", "member", "--json").document
    assert (kept["role"], kept["networks"]) == ("member", ["staging"])
    wide = acme("member", "set-role", "alice", "admin", "--all-networks", "--json").document
    assert (wide["role"], wide["networks"]) == ("admin", None)
    assert acme("member", "show", "alice", "--json").document == wide
    table = acme("member", "list").stdout.splitlines()
    assert table[0].split() == ["NAME", "ROLE", "NETWORKS", "PEERS", "TOKENS", "CREATED"]
    assert table[1].split()[:5] == ["alice", "admin", "all", "0", "0"]


def test_networks_are_some_or_all(acme: Wgctl) -> None:
    acme("member", "add", "alice")
    result = acme("member", "set-role", "alice", "viewer", "--network", "default", "--all-networks")

    assert (result.exit_code, result.stdout) == (2, "")


def test_whoever_leaves_takes_what_is_theirs(acme: Wgctl) -> None:
    acme("member", "add", "alice")
    acme("peer", "add", "laptop", "--member", "alice", "--json")
    acme("token", "add", "cli", "--member", "alice")
    tried = acme("member", "remove", "alice", "--dry-run")

    assert "member alice" in tried.stderr
    assert "would be removed" in tried.stderr
    lines = [line.split(",")[0].strip() for line in tried.stdout.splitlines()]
    assert lines[:3] == ["Goes with it:", "peer laptop of default", "token cli"]
    assert "Left to do:" in lines
    assert acme("member", "show", "alice", "--json").document["peers"] == 1
    asked = acme("member", "remove", "alice")
    assert (asked.exit_code, "--yes" in asked.stderr) == (2, True)
    done = acme("member", "remove", "alice", "--yes", "--json").document
    assert (done["dry_run"], [peer["name"] for peer in done["peers"]]) == (False, ["laptop"])
    assert acme("peer", "list", "--json").document == []
    assert acme("token", "list", "--json").document == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["member", "show", "ghost"], 4),
        (["member", "add", "operator"], 2),
        (["member", "add", "alice", "--network", "ghost"], 4),
        (["member", "add", "alice", "--role", "owner"], 2),
        (["peer", "add", "laptop", "--member", "ghost", "--json"], 4),
    ],
)
def test_a_refusal_has_its_exit_code(acme: Wgctl, arguments: list[str], code: int) -> None:
    result = acme(*arguments)

    assert (result.exit_code, result.stdout) == (code, "")
