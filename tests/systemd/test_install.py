"""`make install` below a folder, and `make uninstall`; on a live host a guest does it."""

import mmap
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon.running import folder_of_a_socket, listening, until

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
    for name in ("pyproject.toml", "README.md", "LICENSE", "runtime.lock"):
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


def compiled(release: Path) -> set[str]:
    """Return the bytecode that is there, without that of what only migrations load."""
    found = {str(path.relative_to(release)) for path in release.rglob("*.pyc")}
    return {path for path in found if not re.search("/(alembic|mako|migrations)/", path)}


def test_what_is_installed_is_what_was_tested() -> None:
    """And it is all: pip looks for nothing beside the lock file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split("[>=]", line)[0].lower() for line in project["dependencies"]}
    tools = {re.split("[>=]", line)[0] for line in project["optional-dependencies"]["dev"]}
    installed = pins("runtime.lock")

    assert installed.items() <= pins("requirements.lock").items()
    assert needed <= installed.keys()
    assert not tools & installed.keys()
    assert "rich" not in installed, "structlog loads it where it is, in every role"
    assert project["scripts"] == {"wgctl": "wgctl.cli:main"}
    assert "from wgctl.cli import main\n" in (ROOT / "systemd/install").read_text()


@contextmanager
def controller(release: Path) -> Iterator[None]:
    """Run a controller from a release, made and asked without a trace in it."""
    python = str(release / "bin/python")
    with folder_of_a_socket() as folder:
        config = folder / "wgctl.toml"
        config.write_text(
            f'state_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
            '[gateway]\nregion = "ams"\nendpoint = "203.0.113.7:51820"\n'
        )
        wgctl = ["-I", "-m", "wgctl", "--config", str(config)]
        subprocess.run([python, "-B", *wgctl, "init"], check=True, capture_output=True)
        with subprocess.Popen([python, *wgctl, "run", "controller"]) as process:
            try:
                until(lambda: listening(folder / "run/api.sock"))
                added = [python, "-B", *wgctl, "org", "add", "acme"]
                subprocess.run(added, check=True, capture_output=True)
                yield
            finally:
                process.kill()


def told_to_sync(folder: Path) -> dict[str, str]:
    """Return an environment in which `sync` tells, in the file `synced`, what it found there."""
    (folder / "bin").mkdir()
    (folder / "bin/sync").write_text(
        "#!/bin/sh\n"
        f'{{ echo "$1"; readlink "$DESTDIR/opt/wgctl/current"; cd "$DESTDIR/usr/local"; find; }}'
        f" >>{folder}/synced\n"
    )
    (folder / "bin/sync").chmod(0o755)
    return {"PATH": f"{folder}/bin:{os.environ['PATH']}"}


def before_switch(told: Path, folder: Path) -> set[str]:
    """Return what `sync` found outside the release, before `current` was that release."""
    synced = (told / "synced").read_text().split("\n")
    assert synced[:2] == ["-f", "."]
    return set(synced[1 : synced.index(str(folder / "opt/wgctl"))])


def test_it_installs_upgrades_and_goes_without_a_trace(sources: Path, tmp_path: Path) -> None:
    folder = tmp_path / "host"
    (sources / "peers/old.py").touch()
    done = run(folder=folder, sources=sources, **told_to_sync(tmp_path))
    assert done.returncode == 0, done.stderr
    first, placed = releases(folder), files(folder)
    release = folder / "opt/wgctl" / next(iter(first))

    # Every user runs it, from the path that it will have.
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in release.rglob("*") if path.is_dir())
    assert all(path.stat().st_mode & 0o004 for path in release.rglob("*"))
    assert (release / "bin/wgctl").read_text().startswith(f"#!/opt/wgctl/{release.name}/bin/")
    assert os.access(release / "bin/wgctl", os.X_OK)
    assert str(folder) not in (release / "pyvenv.cfg").read_text()
    assert str((folder / "usr/local/bin/wgctl").readlink()) == "/opt/wgctl/current/bin/wgctl"
    packages = next((release / "lib").glob("python3*")) / "site-packages"
    assert (packages / "wgctl/store/migrations/env.py").exists()
    assert not (packages / "pip").exists()
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

    # It was on the disk before anything pointed to it.
    outside = {f"./{name.removeprefix('usr/local/')}" for name in placed if "usr/" in name}
    assert outside <= before_switch(tmp_path, folder)

    # No role may write there, and compiles whatever is not, each time that it starts.
    bytecode = compiled(release)
    with controller(release):
        assert compiled(release) == bytecode

    nothing_to_fetch = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/nonexistent"}
    assert run(folder=folder, sources=sources, **nothing_to_fetch).returncode == 0
    assert releases(folder) == first, "the same sources make the same release"

    with (sources / "runtime.lock").open("a") as lock:
        lock.write("# another\n")
    assert run(folder=folder, sources=sources, **nothing_to_fetch).returncode != 0
    assert releases(folder) == first
    assert files(folder) == placed

    shutil.copy(ROOT / "runtime.lock", sources)
    (sources / "peers/news.py").touch()
    (sources / "peers/old.py").unlink()
    with used(folder / "opt/wgctl/release.begun01", folder / "opt/wgctl/release.mapped1"):
        (folder / "opt/wgctl/release.unused1").mkdir()
        assert run(folder=folder, sources=sources, **nothing_to_fetch).returncode == 0
    assert files(folder) == placed
    (second,) = releases(folder) - first - {"release.begun01", "release.mapped1"}
    assert str((folder / "opt/wgctl/current").readlink()) == second
    upgraded = folder / "opt/wgctl" / second / packages.relative_to(release)
    assert (upgraded / "click/core.py").samefile(packages / "click/core.py"), "nothing is fetched"
    assert {path.name for path in upgraded.glob("peers/*.py")} == {
        path.name for path in (sources / "peers").glob("*.py")
    }
    assert first < releases(folder), "what runs goes on running from the one before"
    assert {"release.begun01", "release.mapped1"} < releases(folder), "and from those before it"

    (folder / "var/lib/wgctl").mkdir(parents=True)
    (folder / "var/lib/wgctl/state").write_text("ours")
    assert run("remove", folder=folder, sources=sources).returncode == 0
    assert files(folder) == {"var/lib/wgctl/state"}


@contextmanager
def used(begun: Path, mapped: Path) -> Iterator[None]:
    """Run a program from one release, which loads nothing of it, and a library of another."""
    (begun / "bin").mkdir(parents=True)
    (begun / "bin/sleep").symlink_to("/bin/sleep")
    mapped.mkdir()
    (mapped / "library.so").write_bytes(b"code")
    with (
        subprocess.Popen([begun / "bin/sleep", "infinity"]) as process,
        (mapped / "library.so").open("rb") as library,
        mmap.mmap(library.fileno(), 0, access=mmap.ACCESS_READ),
    ):
        try:
            yield
        finally:
            process.kill()


def test_it_says_how_it_is_used(tmp_path: Path) -> None:
    done = run("everything", folder=tmp_path)

    assert done.returncode == 2
    assert "usage" in done.stderr
    assert files(tmp_path) == set()
