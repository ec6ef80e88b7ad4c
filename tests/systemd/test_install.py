"""`make install` below a folder, and `make uninstall`; on a live host a guest does it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "systemd" / "install"

pytestmark = pytest.mark.timeout(1500)


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def run(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Install or remove below `folder`, with a umask that hides everything."""
    return subprocess.run(
        ["sh", "-c", 'umask 077; exec "$@"', "sh", str(INSTALL), *words],
        env={**os.environ, "DESTDIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder: Path) -> set[str]:
    """Return the files and links below `folder`, without what is in the releases."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and "release." not in str(path)
    }


def releases(folder: Path) -> set[str]:
    return {path.name for path in (folder / "opt/wgctl").glob("release.*")}


def test_what_is_installed_is_what_was_tested() -> None:
    everything = pins("requirements.lock")

    for name in ("runtime.lock", "build.lock"):
        assert pins(name).items() <= everything.items()
    assert not {"pytest", "ruff", "mypy", "hatchling"} & pins("runtime.lock").keys()
    assert "hatchling" in pins("build.lock")


def test_it_installs_upgrades_and_goes_without_a_trace(tmp_path: Path) -> None:
    done = run(folder=tmp_path)
    assert done.returncode == 0, done.stderr
    first, placed = releases(tmp_path), files(tmp_path)
    release = tmp_path / "opt/wgctl" / next(iter(first))

    # Every user runs it, from the path that it will have.
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in release.rglob("*") if path.is_dir())
    assert (release / "bin/wgctl").read_text().startswith(f"#!/opt/wgctl/{release.name}/bin/")
    assert str(tmp_path) not in (release / "pyvenv.cfg").read_text()
    assert str((tmp_path / "usr/local/bin/wgctl").readlink()) == "/opt/wgctl/current/bin/wgctl"
    packages = next((release / "lib").glob("python3*")) / "site-packages"
    assert (packages / "wgctl/store/migrations/env.py").exists()
    assert not (packages / "pip").exists()
    assert not (packages / "hatchling").exists()
    assert {
        "usr/local/lib/systemd/system/wgctl-gateway.service",
        "usr/local/lib/systemd/system/wgctl.target",
        "usr/local/lib/sysusers.d/wgctl.conf",
        "usr/local/lib/tmpfiles.d/wgctl.conf",
        "usr/local/lib/sysctl.d/50-wgctl.conf",
        "usr/local/share/man/man1/wgctl-peer-add.1",
        "usr/local/share/bash-completion/completions/wgctl",
        "usr/local/share/zsh/site-functions/_wgctl",
        "usr/local/share/fish/vendor_completions.d/wgctl.fish",
    } <= placed

    switches = (tmp_path / "usr/local/lib/sysctl.d/50-wgctl.conf").read_text()
    assert "\nnet.ipv6.conf.all.forwarding = 1\n" in switches
    assert "accept_ra" not in switches, "a package knows no uplinks"

    failed = run(folder=tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS="/nonexistent")
    assert failed.returncode != 0
    assert releases(tmp_path) == first
    assert files(tmp_path) == placed

    assert run(folder=tmp_path).returncode == 0
    assert files(tmp_path) == placed
    assert len(releases(tmp_path)) == 2, "what runs goes on running from the one before"
    assert str((tmp_path / "opt/wgctl/current").readlink()) in releases(tmp_path) - first

    (tmp_path / "var/lib/wgctl").mkdir(parents=True)
    (tmp_path / "var/lib/wgctl/state").write_text("ours")
    assert run("remove", folder=tmp_path).returncode == 0
    assert files(tmp_path) == {"var/lib/wgctl/state"}
    shutil.rmtree(tmp_path)


def test_it_says_how_it_is_used(tmp_path: Path) -> None:
    done = run("everything", folder=tmp_path)

    assert done.returncode == 2
    assert "usage" in done.stderr
    assert files(tmp_path) == set()
