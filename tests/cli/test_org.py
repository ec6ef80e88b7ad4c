import json
from typing import Any

import pytest

from tests.cli.conftest import Wgctl

NEVER_NAMES = [
    "a\nb",
    "a#b",
    "[Peer]",
    "a\0b",
    "a\u2028b",
    "../a",
    "-a",
    "a-",
    "a" * 64,
    "",
    "ACME",
    "Acme",
    "ä",
    "xn--a",
    "a b",
    "a.b",
    "a_b",
    "\x1b[31m",
    "\u0663",
]
RESERVED = ["internal", "flycast", "global", "regions", "vms", "vm", "process", "of", "nearest"]
RESERVED += ["all", "kv", "top", "top3", "ns", "localhost", "wpad"]

# Every place where a name is given: each is refused before the controller is asked.
PLACES = [
    ["org", "add", "--", "NAME"],
    ["org", "show", "--", "NAME"],
    ["network", "add", "--", "NAME"],
    ["peer", "add", "--", "NAME"],
    ["peer", "add", "--network=NAME", "a"],
    ["app", "add", "--", "NAME"],
    ["app", "list", "--org=NAME"],
    ["machine", "add", "--peer", "a", "--", "web", "NAME"],
    ["machine", "add", "--region=NAME", "--peer", "a", "web"],
    ["machine", "add", "--process-group=NAME", "--peer", "a", "web"],
    ["machine", "add", "--peer=NAME", "web"],
    ["gateway", "show", "--", "NAME"],
    ["member", "add", "--", "NAME"],
    ["member", "add", "--network=NAME", "a"],
    ["token", "add", "--", "NAME"],
    ["token", "add", "--member=NAME", "a"],
]


def _revision(wgctl: Wgctl) -> Any:
    return wgctl("status", "--json").document["revision"]


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
def test_what_is_no_name_is_refused_everywhere_and_changes_nothing(
    acme: Wgctl, place: list[str]
) -> None:
    before = _revision(acme)

    for name in NEVER_NAMES + RESERVED:
        result = acme(*(word.replace("NAME", name) for word in place))

        if name == "" and place[-1] != "NAME" and "--peer=NAME" not in place:
            continue  # An empty option is click's own error.
        assert (result.exit_code, result.stdout) == (2, ""), name
        assert "expected" in result.stderr, name
        assert result.stderr.isascii(), name
        assert result.stderr.count("\n") == 1, name
        assert "Traceback" not in result.stderr, name
    assert _revision(acme) == before


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a\nb", "org 'a\\nb': expected only a-z, 0-9 and '-'"),
        ("-a", "org '-a': expected a letter or digit at both ends"),
        ("a" * 64, "64 characters, expected 1 to 63"),
        ("ACME", "upper-case letters, expected lower-case: 'acme'"),
        ("vms", "org 'vms' is reserved, expected another word"),
    ],
)
def test_the_refusal_names_the_rule(wgctl: Wgctl, name: str, rule: str) -> None:
    assert rule in wgctl("org", "add", "--", name).stderr


def test_an_org_begins_with_one_network(wgctl: Wgctl) -> None:
    added = wgctl("org", "add", "fresh")

    assert added.exit_code == 0
    assert added.stderr == "org fresh added\n"
    assert "networks  1\n" in added.stdout
    names = [found["name"] for found in wgctl("network", "list", "--org=fresh", "--json").document]
    assert names == ["default"]


def test_a_taken_name_is_a_conflict(wgctl: Wgctl, org: str) -> None:
    result = wgctl("org", "add", org, "--json")

    assert result.exit_code == 5
    assert json.loads(result.stderr)["error"]["type"] == "conflict"


def test_a_missing_org_is_not_found(wgctl: Wgctl) -> None:
    for verb in (["show"], ["remove", "--yes"]):
        assert wgctl("org", *verb, "no-such").exit_code == 4


def test_a_list_is_sorted_and_whole(wgctl: Wgctl, org: str) -> None:
    slugs = [found["slug"] for found in wgctl("org", "list", "--json").document]

    assert org in slugs
    assert slugs == sorted(slugs)


def test_a_removed_org_is_gone(wgctl: Wgctl, org: str) -> None:
    removed = wgctl("org", "remove", org, "--yes", "--json")

    assert removed.document == {"removed": org}
    assert wgctl("org", "show", org).exit_code == 4
