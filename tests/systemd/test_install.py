"""`make install` below a folder, and `make uninstall`; on a live host a guest does it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(1500)


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """What a release is made of, to be changed."""
    copied = tmp_path / "sources"
    copied.mkdir()
    for name in ("wgctl", "peers", "systemd"):
        shutil.copytree(ROOT / name, copied / name)
    for name in ("pyproject.toml", "README.md", "LICENSE", "runtime.lock", "build.lock"):
        shutil.copy(ROOT / name, copied)
    return copied


def run(
    *words: str, folder: Path, sources: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Install or remove below `folder`, with a umask that hides everything."""
    return subprocess.run(
        ["sh", "-c", 'umask 077; exec "$@"', "sh", str(sources / "systemd/install"), *words],
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


def test_it_installs_upgrades_and_goes_without_a_trace(sources: Path, tmp_path: Path) -> None:
    folder = tmp_path / "host"
    done = run(folder=folder, sources=sources)
    assert done.returncode == 0, done.stderr
    first, placed = releases(folder), files(folder)
    release = folder / "opt/wgctl" / next(iter(first))

    # Every user runs it, from the path that it will have.
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in release.rglob("*") if path.is_dir())
    assert (release / "bin/wgctl").read_text().startswith(f"#!/opt/wgctl/{release.name}/bin/")
    assert str(folder) not in (release / "pyvenv.cfg").read_text()
    assert str((folder / "usr/local/bin/wgctl").readlink()) == "/opt/wgctl/current/bin/wgctl"
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

    switches = (folder / "usr/local/lib/sysctl.d/50-wgctl.conf").read_text()
    assert "\nnet.ipv6.conf.all.forwarding = 1\n" in switches
    assert "accept_ra" not in switches, "a package knows no uplinks"

    nothing_to_fetch = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/nonexistent"}
    assert run(folder=folder, sources=sources, **nothing_to_fetch).returncode == 0
    assert releases(folder) == first, "the same sources make the same release"

    (sources / "peers/news.py").touch()
    assert run(folder=folder, sources=sources, **nothing_to_fetch).returncode != 0
    assert releases(folder) == first
    assert files(folder) == placed

    assert run(folder=folder, sources=sources).returncode == 0
    assert files(folder) == placed
    assert len(releases(folder)) == 2, "what runs goes on running from the one before"
    assert str((folder / "opt/wgctl/current").readlink()) in releases(folder) - first

    (folder / "var/lib/wgctl").mkdir(parents=True)
    (folder / "var/lib/wgctl/state").write_text("ours")
    assert run("remove", folder=folder, sources=sources).returncode == 0
    assert files(folder) == {"var/lib/wgctl/state"}


def test_it_says_how_it_is_used(tmp_path: Path) -> None:
    done = run("everything", folder=tmp_path)

    assert done.returncode == 2
    assert "usage" in done.stderr
    assert files(tmp_path) == set()
