from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, ENDPOINT, Wgctl


def _config(folder: Path) -> Path:
    path = folder / "wgctl.toml"
    path.write_text(CONFIG.format(folder=folder))
    return path


def test_an_existing_config_is_read_and_kept(bare: Wgctl, tmp_path: Path) -> None:
    path = _config(tmp_path)

    result = bare("--config", str(path), "init", "--json")

    assert result.exit_code == 0
    assert result.document["state"] == f"{tmp_path}/state"
    assert result.document["config_made"] is False
    assert path.read_text() == CONFIG.format(folder=tmp_path)


def test_people_are_told_how_to_start(bare: Wgctl, tmp_path: Path) -> None:
    path = _config(tmp_path)

    result = bare("--config", str(path), "init")

    assert f"wgctl --config {path} serve starts it" in result.stderr
    assert "public key  " in result.stdout


def test_an_initialised_state_folder_is_refused(bare: Wgctl, tmp_path: Path) -> None:
    path = _config(tmp_path)
    bare("--config", str(path), "init")
    before = sorted(tmp_path.rglob("*"))

    assert bare("--config", str(path), "init").exit_code == 5
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ([], "expected --region REGION and --endpoint HOST:PORT"),
        (["--region", "ams"], "expected --region REGION and --endpoint HOST:PORT"),
        (["--region", "AMS", "--endpoint", ENDPOINT], "region 'AMS': upper-case letters"),
        (["--region", "ams", "--endpoint", "203.0.113.7"], "has no port"),
        (["--region", "ams", "--endpoint", "203.0.113.7:0"], "port '0', expected 1 to 65535"),
        (["--region", "ams", "--endpoint", "203.0.113.7:65536"], "port 65536, expected 1 to"),
        (["--region", "ams", "--endpoint", "203.0.113.7:x"], "port 'x', expected 1 to 65535"),
        (["--region", "ams", "--endpoint", "2001:db8::1:51820"], "has no brackets"),
        (["--region", "ams", "--endpoint", "a\nb:1"], "'a\\nb'"),
        (["--region", "ams", "--endpoint", ENDPOINT, "--pool", "10.0.0.0/8"], "pool '10.0.0.0/8'"),
        (["--region", "ams", "--endpoint", ENDPOINT, "--pool", "fdaa::/48"], "pool"),
    ],
)
def test_options_that_break_a_rule_change_nothing(
    bare: Wgctl, tmp_path: Path, words: list[str], rule: str
) -> None:
    result = bare("--config", str(tmp_path / "wgctl.toml"), "init", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert rule in result.stderr
    assert list(tmp_path.iterdir()) == []
