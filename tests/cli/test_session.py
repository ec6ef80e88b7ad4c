import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CONFIG, Deployment, Wgctl
from wgctl.cli.session import Session


def test_a_command_is_told_as_it_has_to_be_typed() -> None:
    assert Session(as_json=False, config=None).command("serve") == "wgctl serve"
    named = Session(as_json=False, config=Path("/a b.toml"))
    assert named.command("serve") == "wgctl --config '/a b.toml' serve"


def test_the_target_is_what_starts_roles_only_where_systemd_runs(tmp_path: Path) -> None:
    units = tmp_path / "usr/local/lib/systemd/system"
    units.mkdir(parents=True)
    default = Session(as_json=False, config=None)
    named = Session(as_json=False, config=Path("/a.toml"))
    (units / "wgctl.target").touch()

    without = default.start_command(tmp_path)
    (tmp_path / "run/systemd/system").mkdir(parents=True)

    assert without == "wgctl serve"
    assert default.start_command(tmp_path) == "systemctl start wgctl.target"
    assert named.start_command(tmp_path) == "wgctl --config /a.toml serve"


def test_a_relative_config_is_the_same_for_everyone_who_gets_it(tmp_path: Path) -> None:
    assert Session(as_json=False, config=Path("a.toml")).config_path == Path.cwd() / "a.toml"


def test_no_config_at_all_is_unavailable_and_names_the_command_that_makes_it(bare: Wgctl) -> None:
    if Path("/etc/wgctl/wgctl.toml").exists():
        pytest.skip("this host has a config")

    result = bare("org", "list")

    assert result.exit_code == 7
    assert "no config at /etc/wgctl/wgctl.toml: make one with wgctl init" in result.stderr


def test_a_named_config_that_is_not_there_is_a_usage_error(bare: Wgctl) -> None:
    result = bare("--config", "/nowhere/a.toml", "org", "list")

    assert result.exit_code == 2
    assert "no config at /nowhere/a.toml" in result.stderr


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("state_dir", "unknown key 'stat_dir'"),
        ("ams", "gateway.region"),
        ("51820", "port"),
        ("[gateway]", "not TOML"),
    ],
)
def test_a_wrong_config_is_refused_with_its_path_and_the_key(
    bare: Wgctl, tmp_path: Path, change: str, rule: str
) -> None:
    path = tmp_path / "wgctl.toml"
    wrong = {"state_dir": "stat_dir", "ams": "AMS", "51820": "0", "[gateway]": "[gateway"}[change]
    path.write_text(CONFIG.format(folder=tmp_path).replace(change, wrong))

    for words in (["org", "list"], ["serve"], ["run", "controller"], ["down"]):
        result = bare("--config", str(path), *words)
        assert result.exit_code == 2
        assert f"{path}: " in result.stderr
        assert rule in result.stderr


def test_a_config_that_is_a_folder_is_refused(bare: Wgctl, tmp_path: Path) -> None:
    result = bare("--config", str(tmp_path), "org", "list")

    assert result.exit_code == 2
    assert "expected a file" in result.stderr


def test_a_controller_that_does_not_run_is_named_with_the_command_that_starts_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "wgctl.toml"
    path.write_text(CONFIG.format(folder=tmp_path))

    # In a process of its own, because httpcore2 leaves a socket that could not connect open.
    result = subprocess.run(
        [sys.executable, "-m", "wgctl", "--config", str(path), "org", "list"],
        capture_output=True,
        check=False,
        text=True,
    )

    assert result.returncode == 7
    assert result.stderr == (
        f"wgctl: the controller does not answer at {tmp_path}/run/api.sock: "
        f"start it with wgctl --config {path} serve\n"
    )


def _config_from(
    bare: Wgctl, tmp_path: Path, *, flag: bool, environment: bool, written: bool
) -> str:
    """Return which of three configs, all missing, a command complains about."""
    if written:
        (tmp_path / "wgctl").mkdir()
        (tmp_path / "wgctl" / "config.toml").write_text('config = "/missing/written.toml"')
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    env |= {"WGCTL_CONFIG": "/missing/environment.toml"} if environment else {}
    words = ["--config", "/missing/flag.toml"] if flag else []
    return bare(*words, "org", "list", env=env).stderr


@pytest.mark.parametrize(
    ("flag", "environment", "written", "wins"),
    [
        (True, True, True, "flag"),
        (False, True, True, "environment"),
        (False, False, True, "written"),
    ],
)
def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    bare: Wgctl,
    tmp_path: Path,
    flag: bool,  # noqa: FBT001 - a case
    environment: bool,  # noqa: FBT001 - a case
    written: bool,  # noqa: FBT001 - a case
    wins: str,
) -> None:
    told = _config_from(bare, tmp_path, flag=flag, environment=environment, written=written)

    assert f"/missing/{wins}.toml" in told


def test_two_configs_are_two_deployments(bare: Wgctl, deployment: Deployment, org: str) -> None:
    other = bare("--config", str(deployment.config), "org", "show", org)

    assert other.exit_code == 0


def _run_of_a_life(run: Wgctl, org: str, tmp_path: Path) -> list[tuple[int, Any]]:
    """Return exit codes and documents of commands of every noun, without what differs by chance."""
    (tmp_path / org).mkdir()
    config = str(tmp_path / org / "alice.conf")
    commands = [
        "org show ORG",
        "network add ci",
        "network list",
        f"peer add alice -o {config}",
        "peer add server --psk --expires 1d",
        "peer add server",
        "peer list",
        "peer show alice",
        "peer rekey server",
        "app add web --flycast",
        "app set web --no-flycast",
        "app list",
        "machine add web web-1 --peer server --port http=8080 --metadata rack=r1",
        "machine stop web-1",
        "machine check web-1 --tcp 8080",
        "machine show web-1",
        "machine list",
        "machine remove web-1 --yes",
        "app remove web --yes",
        "peer remove alice --yes",
        "peer show alice",
        "peer remove server --yes",
        "network remove ci --yes",
        "gateway list",
    ]
    env = {"WGCTL_ORG": org}
    results = [run(*line.replace("ORG", org).split(), "--json", env=env) for line in commands]
    return [
        (result.exit_code, _plain(result.document if result.stdout else result.stderr, org))
        for result in results
    ]


_BY_CHANCE = {
    *("prefix", "resolver", "address", "service_address", "public_key", "config"),
    *("created_at", "expires_at"),
}


def _plain(value: Any, org: str) -> Any:
    match value:
        case dict():
            return {key: _plain(it, org) for key, it in value.items() if key not in _BY_CHANCE}
        case list():
            return [_plain(it, org) for it in value]
        case str():
            return value.replace(org, "ORG")
        case _:
            return value


def test_every_noun_is_the_same_from_elsewhere(
    wgctl: Wgctl, elsewhere: Wgctl, org: str, tmp_path: Path
) -> None:
    here = _run_of_a_life(wgctl, org, tmp_path)
    there = _run_of_a_life(elsewhere, "distant", tmp_path)

    assert [code for code, _ in here].count(0) == len(here) - 2
    assert there == here
    for name in (org, "distant"):
        assert (tmp_path / name / "alice.conf").stat().st_mode & 0o777 == 0o600


def test_from_elsewhere_nobody_is_an_operator(elsewhere: Wgctl, org: str) -> None:
    results = [
        elsewhere(*words)
        for words in (["status"], ["org", "add", "other"], ["org", "remove", org, "--yes"])
    ]

    assert [result.exit_code for result in results] == [3, 3, 3]
