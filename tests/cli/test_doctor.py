from pathlib import Path

from tests.cli.conftest import CONFIG, Wgctl


def test_a_host_without_state_fails_with_a_cure(bare: Wgctl, tmp_path: Path) -> None:
    path = tmp_path / "wgctl.toml"
    path.write_text(CONFIG.format(folder=tmp_path))

    result = bare("--config", str(path), "doctor")

    assert result.exit_code == 1
    assert "  FAIL  " in result.stdout
    assert "        cure: " in result.stdout


def test_json_has_every_check(bare: Wgctl, tmp_path: Path) -> None:
    path = tmp_path / "wgctl.toml"
    path.write_text(CONFIG.format(folder=tmp_path))

    result = bare("--config", str(path), "doctor", "--json")

    assert result.exit_code == 1
    assert all(set(check) == {"stage", "name", "ok", "found", "cure"} for check in result.document)
    assert any(check["ok"] is False for check in result.document)
