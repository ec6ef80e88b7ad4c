"""What the doctor says before there is a tunnel; `tests/system` asks it on a whole host."""

import os
import tempfile
from pathlib import Path

import pytest

from wgctl.core.errors import Denied
from wgctl.core.settings import KEY_NAME
from wgctl.daemon.doctor import Check, examine
from wgctl.daemon.initialise import init

_CONFIG = """\
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[gateway]
region = "ams"
endpoint = "203.0.113.7:51820"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "wgctl.toml"
    path.write_text(_CONFIG.format(folder=tmp_path))
    return path


def failed(checks: list[Check]) -> list[str]:
    return [f"{check.stage}: {check.name}" for check in checks if check.ok is False]


def test_a_missing_config_is_the_only_check(tmp_path: Path) -> None:
    checks = examine(tmp_path / "nothing.toml")

    assert failed(checks) == ["config: file"]
    assert len(checks) == 1


def test_a_wrong_config_is_named_with_its_key(config: Path) -> None:
    config.write_text(config.read_text() + "colour = 1\n")

    (check,) = examine(config)

    assert check.ok is False
    assert "colour" in check.found


def test_a_host_without_state_stops_at_the_state(config: Path) -> None:
    checks = examine(config)

    assert failed(checks) == ["state: store", "state: gateway key"]
    assert all(check.found.endswith("is not there") for check in checks if check.ok is False)
    assert not any("chmod" in (check.cure or "") for check in checks)
    assert {check.stage for check in checks} == {"config", "state"}


def test_a_key_that_others_can_read_is_found(config: Path) -> None:
    init(config, region=None, endpoint=None, pool="fdaa::/16")
    key = config.parent / "state" / KEY_NAME
    os.chmod(key, 0o644)  # noqa: PTH101  # the very fault

    checks = examine(config)

    assert failed(checks) == ["state: gateway key"]
    assert checks[-1].cure == f"chmod 600 {key}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_one_who_may_not_look_is_told_to_be_root() -> None:
    """An operator of the group may ask the controller, and see no role's folder."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103
        path = Path(name) / "wgctl.toml"
        path.write_text(_CONFIG.format(folder=name))
        init(path, region=None, endpoint=None, pool="fdaa::/16")
        os.seteuid(65534)
        try:
            with pytest.raises(Denied, match=f"no permission to look into {name}/.*: be root"):
                examine(path)
        finally:
            os.seteuid(0)


def test_every_failed_check_has_a_cure(config: Path) -> None:
    for checks in (examine(config), examine(config.parent / "nothing.toml")):
        assert all(check.cure for check in checks if check.ok is False)
        assert not any(check.cure for check in checks if check.ok)
