from pathlib import Path

import pytest

from wgctl.cli.preferences import Preferences, preferences_path, read_preferences
from wgctl.core.errors import Invalid


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"XDG_CONFIG_HOME": "/x", "HOME": "/home/a"}, "/x/wgctl/config.toml"),
        ({"HOME": "/home/a"}, "/home/a/.config/wgctl/config.toml"),
        ({"XDG_CONFIG_HOME": "", "HOME": "/home/a"}, "/home/a/.config/wgctl/config.toml"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/home/a"}, "/home/a/.config/wgctl/config.toml"),
        ({}, "/.config/wgctl/config.toml"),
    ],
)
def test_the_file_is_where_xdg_says(environment: dict[str, str], path: str) -> None:
    assert preferences_path(environment) == Path(path)


def test_a_missing_file_says_nothing(tmp_path: Path) -> None:
    assert read_preferences(tmp_path / "none.toml") == Preferences()


def test_the_three_keys_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('org = "acme"\nnetwork = "ci"\nconfig = "/tmp/a.toml"\n')

    assert read_preferences(path) == Preferences("acme", "ci", "/tmp/a.toml")  # noqa: S108 - a text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('orgs = "acme"', "unknown key 'orgs', expected org, network, config"),
        ("org = 1", "org: expected a text"),
        ('org = ""', "org: expected a text"),
        ("org", "not TOML"),
        ("org = '\udcff'", "not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path_and_the_rule(
    tmp_path: Path, text: str, rule: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(Invalid) as caught:
        read_preferences(path)

    assert str(path) in str(caught.value)
    assert rule in str(caught.value)
