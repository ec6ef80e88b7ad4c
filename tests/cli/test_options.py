from pathlib import Path

import pytest

from tests.cli.conftest import Wgctl


@pytest.fixture
def written(tmp_path: Path) -> dict[str, str]:
    """An environment whose user's file names an org and a network."""
    (tmp_path / "xdg" / "wgctl").mkdir(parents=True)
    (tmp_path / "xdg" / "wgctl" / "config.toml").write_text('org = "from-file"\nnetwork = "ci"\n')
    return {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}


@pytest.mark.parametrize(
    ("flags", "environment", "org"),
    [
        (["--org", "from-flag"], {"WGCTL_ORG": "from-env"}, "from-flag"),
        ([], {"WGCTL_ORG": "from-env"}, "from-env"),
        ([], {}, "from-file"),
        ([], {"WGCTL_ORG": ""}, "from-file"),
    ],
)
def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    wgctl: Wgctl,
    written: dict[str, str],
    flags: list[str],
    environment: dict[str, str],
    org: str,
) -> None:
    result = wgctl("network", "list", *flags, env={**written, **environment})

    assert result.exit_code == 4
    assert f"no org '{org}'" in result.stderr


def test_no_org_at_all_is_a_usage_error_that_names_the_three_places(wgctl: Wgctl) -> None:
    result = wgctl("peer", "list")

    assert result.exit_code == 2
    for place in ("--org", "WGCTL_ORG", "config.toml"):
        assert place in result.stderr


def test_the_network_is_default_when_nothing_says_which(acme: Wgctl) -> None:
    assert acme("app", "add", "web", "--json").document["network"] == "default"


@pytest.mark.parametrize("network", ["ci", "flag"])
def test_the_network_comes_from_file_or_flag(
    acme: Wgctl, written: dict[str, str], network: str
) -> None:
    acme("network", "add", network)
    flags = ["--network", "flag"] if network == "flag" else []

    added = acme("app", "add", "web", "--json", *flags, env=written)

    assert added.document["network"] == network


@pytest.mark.parametrize("what", ["org", "network"])
def test_a_wrong_name_in_the_users_file_is_refused(wgctl: Wgctl, tmp_path: Path, what: str) -> None:
    (tmp_path / "wgctl").mkdir()
    text = {"org": 'org = "UP"', "network": 'org = "a"\nnetwork = "UP"'}[what]
    (tmp_path / "wgctl" / "config.toml").write_text(text)

    result = wgctl("app", "show", "web", env={"XDG_CONFIG_HOME": str(tmp_path)})

    assert result.exit_code == 2
    assert f"{what} 'UP': upper-case letters, expected lower-case: 'up'" in result.stderr
