import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, ENDPOINT, Wgctl
from tests.patience import HANG_S


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
        (["--region", "ams", "--endpoint", ENDPOINT, "--upstream", "dns.example"], "a name"),
        (
            ["--region", "ams", "--endpoint", ENDPOINT, "--upstream", "none", "--upstream", "host"],
            "none beside others",
        ),
    ],
)
def test_options_that_break_a_rule_change_nothing(
    bare: Wgctl, tmp_path: Path, words: list[str], rule: str
) -> None:
    result = bare("--config", str(tmp_path / "wgctl.toml"), "init", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert rule in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_upstreams_must_be_those_of_a_config_that_is_there(bare: Wgctl, tmp_path: Path) -> None:
    path = _config(tmp_path)
    words = ["--config", str(path), "init", "--upstream"]

    refused = bare(*words, "tls://9.9.9.9#dns.quad9.net")
    assert refused.exit_code == 2
    assert "the option says 'tls://9.9.9.9:853#dns.quad9.net'" in refused.stderr
    assert bare(*words, "none").exit_code == 0


_HIDDEN = 'mount -t tmpfs none /var/lib && mount --bind "$0" /etc/resolv.conf && exec "$@"'
_HOST = ["192.0.2.1:53", "[2001:db8::1]:53"]


@pytest.mark.skipif(os.geteuid() != 0, reason="hides the host's own files with mounts")
@pytest.mark.parametrize(
    ("more", "ahead", "typed", "upstreams"),
    [
        pytest.param([], "", "y\n", _HOST, id="agreed"),
        pytest.param([], "", "\n", [], id="not agreed"),
        pytest.param([], "wgctl doctor\n", "", [], id="the next line was pasted along"),
        pytest.param(["--upstream", "host"], "", "", _HOST, id="an option"),
    ],
)
def test_names_are_forwarded_to_the_hosts_resolvers_for_those_who_say_so(
    tmp_path: Path, more: list[str], ahead: str, typed: str, upstreams: list[str]
) -> None:
    """Nothing is forwarded by the default."""
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    words = ["--config", str(tmp_path / "wgctl.toml"), "init", *more]
    words += ["--region", "ams", "--endpoint", ENDPOINT]
    hidden = ["unshare", "--mount", "sh", "-c", _HIDDEN, str(tmp_path / "resolv.conf")]
    ours, theirs = pty.openpty()
    try:
        os.write(ours, ahead.encode())
        with subprocess.Popen(
            [*hidden, sys.executable, "-m", "wgctl", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
        ) as process:
            told = _read_to_question(process) if typed else ""
            os.write(ours, typed.encode())
            _, rest = process.communicate(timeout=HANG_S)
    finally:
        os.close(ours)
        os.close(theirs)

    assert process.returncode == 0, rest
    question = "Forward names beyond .internal to 192.0.2.1:53, [2001:db8::1]:53? [y/N]:"
    assert (question in told) is bool(typed)
    assert b"Forward" not in rest
    made = tomllib.loads((tmp_path / "wgctl.toml").read_text())
    assert made["resolver"]["upstreams"] == upstreams


def _read_to_question(process: "subprocess.Popen[bytes]") -> str:
    assert process.stderr is not None
    told = b""
    while not told.endswith(b"]: ") and (octet := process.stderr.read(1)):
        told += octet
    return told.decode()
