import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from peers.errors import Invalid
from peers.keys import PrivateKey
from tests.daemon.running import ROOT, folder_of_a_socket
from wgctl.core import authority
from wgctl.core.errors import Conflict
from wgctl.core.forward.upstream import Upstream
from wgctl.core.model import Role
from wgctl.core.settings import (
    AUTHORITY_KEY_NAME,
    AUTHORITY_NAME,
    KEY_NAME,
    POOL_NAME,
    STORE_NAME,
)
from wgctl.daemon.initialise import InitReport, _config_written, _hand_over, init
from wgctl.services import gateway
from wgctl.store.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config that names a state folder beside it."""
    (tmp_path / "wgctl.toml").write_text(
        f"""\
# Kept as it is.
state_dir = "{tmp_path}/state"
runtime_dir = "{tmp_path}/run"
[gateway]
region = "fra"
endpoint = "vpn.example.com:4500"
[resolver]
upstreams = ["9.9.9.9"]
"""
    )
    return tmp_path


def _init(folder: Path, *, pool: str = "fdaa::/16") -> InitReport:
    return init(folder / "wgctl.toml", region=None, endpoint=None, pool=pool)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_config_that_is_there_is_kept(folder: Path) -> None:
    before = (folder / "wgctl.toml").read_bytes()
    report = _init(folder)

    assert not report.created_config
    assert (folder / "wgctl.toml").read_bytes() == before
    assert report.state_dir == folder / "state"


def test_upstreams_are_those_of_the_config_and_never_in_the_pool(folder: Path) -> None:
    def attempt(*upstreams: str, pool: str = "fdaa::/16") -> None:
        chosen = [Upstream.parse(text) for text in upstreams]
        init(folder / "wgctl.toml", region=None, endpoint=None, pool=pool, upstreams=chosen)

    with pytest.raises(Invalid, match=r"upstreams '9\.9\.9\.9:53', the option says 'none'"):
        attempt()
    config = folder / "wgctl.toml"
    config.write_text(config.read_text().replace("9.9.9.9", "fdaa:0:18::3"))
    with pytest.raises(Invalid, match="is in the pool fdaa::/16"):
        attempt("fdaa:0:18::3")
    attempt("fdaa:0:18::3", pool="fd12::/16")


def test_the_store_knows_this_hosts_gateway(folder: Path) -> None:
    report = _init(folder, pool="fd12:3400::/24")
    store = Store(folder / "state" / Role.CONTROLLER / STORE_NAME)
    (known,) = gateway.listed(store)
    pool = str(store.pool)
    with store.reading() as deployment:
        epoch = deployment.epoch
    store.close()

    assert (known.name, str(known.endpoint), known.forwards) == (
        "fra-16",
        "vpn.example.com:4500",
        True,
    )
    assert str(known.public_key) == report.public_key
    assert (pool, report.pool) == ("fd12:3400::/24", "fd12:3400::/24")
    assert len(epoch) == 32


def test_two_deployments_have_names_and_keys_of_their_own(folder: Path, tmp_path: Path) -> None:
    first = _init(folder)
    epochs = {_epoch(folder)}
    (folder / "state").rename(folder / "old")
    second = _init(folder)
    epochs.add(_epoch(folder))

    assert first.public_key != second.public_key
    assert len(epochs) == 2


def test_the_key_is_the_gateways_alone(folder: Path) -> None:
    report = _init(folder)
    path = folder / "state" / KEY_NAME

    assert PrivateKey.parse(path.read_text().strip()).public().text() == report.public_key
    assert _mode(path) == 0o600
    assert (folder / "state" / Role.GATEWAY / POOL_NAME).read_text() == "fdaa::/16\n"


def test_the_authority_is_known_to_all_and_its_key_to_root(folder: Path) -> None:
    report = _init(folder)
    certificate, key = (folder / "state" / name for name in (AUTHORITY_NAME, AUTHORITY_KEY_NAME))

    assert authority.fingerprint(certificate.read_bytes()) == report.authority
    assert (_mode(certificate), _mode(key)) == (0o644, 0o600)


def test_each_role_has_a_folder_that_no_other_user_opens(folder: Path) -> None:
    mask = os.umask(0)
    try:
        _init(folder)
    finally:
        os.umask(mask)

    assert _mode(folder / "state") == 0o755
    folders = [path for path in (folder / "state").iterdir() if path.is_dir()]
    assert {path.name: _mode(path) for path in folders} == dict.fromkeys(
        [role.value for role in Role], 0o700
    )
    assert _mode(folder / "state" / Role.CONTROLLER / STORE_NAME) == 0o600


def test_every_user_reads_the_config_whatever_the_umask(folder: Path) -> None:
    path = folder / "etc" / "wgctl.toml"
    mask = os.umask(0o077)
    try:
        with _config_written(path, "a = 1\n"):
            pass
    finally:
        os.umask(mask)

    assert _mode(path) == 0o644
    assert _mode(path.parent) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_role_gets_its_folder_where_the_host_has_its_user(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_text("")
    (tmp_path / "inner" / "link").symlink_to("/etc/hostname")
    before = Path("/etc/hostname").stat().st_uid

    _hand_over(tmp_path, "no-such-user")

    assert tmp_path.stat().st_uid == 0

    _hand_over(tmp_path, "daemon")

    found = {path.lstat().st_uid for path in (tmp_path, *tmp_path.rglob("*"))}
    assert found == {pwd.getpwnam("daemon").pw_uid}
    assert Path("/etc/hostname").stat().st_uid == before


def test_nothing_of_the_making_is_left_beside(folder: Path) -> None:
    before = _names(folder)
    _init(folder)

    assert _names(folder) - before == {
        "state",
        *(f"state/{role}" for role in Role),
        f"state/controller/{STORE_NAME}",
        f"state/{KEY_NAME}",
        f"state/{AUTHORITY_NAME}",
        f"state/{AUTHORITY_KEY_NAME}",
        f"state/gateway/{POOL_NAME}",
    }


def test_a_state_folder_without_a_deployment_is_filled(folder: Path) -> None:
    """As a package, an administrator or a role that was started too early may have made it."""
    for name in ("controller", "gateway", "resolver"):
        (folder / "state" / name).mkdir(mode=0o755, parents=True)
    (folder / "state/resolver/copy.sqlite").write_text("a copy")
    (folder / "state/gateway" / POOL_NAME).write_text("another's")
    (folder / "state/notes").write_text("by hand")
    _init(folder)

    assert (folder / "state" / KEY_NAME).exists()
    assert (folder / "state/gateway" / POOL_NAME).read_text() == "fdaa::/16\n"
    assert (folder / "state/resolver/copy.sqlite").read_text() == "a copy"
    assert (folder / "state/notes").read_text() == "by hand"
    assert _mode(folder / "state/controller") == 0o700
    assert {path.name for path in folder.iterdir()} == {"wgctl.toml", "state"}


@pytest.mark.parametrize("missing", [KEY_NAME, f"controller/{STORE_NAME}"])
def test_what_is_left_of_a_deployment_is_refused_and_left_alone(folder: Path, missing: str) -> None:
    _init(folder)
    (folder / "state" / missing).unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    with pytest.raises(Conflict, match="initialised already"):
        _init(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("region", "endpoint", "said"),
    [
        ("ams", None, "says region 'fra', the option says 'ams'"),
        (None, "203.0.113.7:1", "says endpoint 'vpn.example.com:4500'"),
    ],
)
def test_an_option_that_the_config_contradicts_is_refused(
    folder: Path, region: str | None, endpoint: str | None, said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        init(folder / "wgctl.toml", region=region, endpoint=endpoint, pool="fdaa::/16")
    assert not (folder / "state").exists()


def test_options_that_the_config_agrees_with_are_fine(folder: Path) -> None:
    init(folder / "wgctl.toml", region="fra", endpoint="vpn.example.com:4500", pool="fdaa::/16")

    assert (folder / "state").exists()


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        ("10.0.0.0/8", "no IPv6 prefix"),
        ("2001:db8::/32", "not in fd00::/8"),
        ("fdaa::/40", "length 40"),
    ],
)
def test_a_bad_pool_makes_nothing(folder: Path, pool: str, said: str) -> None:
    before = _names(folder)

    with pytest.raises(Invalid, match=said):
        _init(folder, pool=pool)
    assert _names(folder) == before


@pytest.mark.parametrize(
    ("region", "endpoint", "said"),
    [
        (None, None, "expected --region and --endpoint"),
        ("ams", None, "expected --region and --endpoint"),
        ("Ams", "203.0.113.7:1", "region 'Ams'"),
        ("ams", "203.0.113.7", "expected"),
    ],
)
def test_a_config_that_cannot_be_made_makes_nothing(
    tmp_path: Path, region: str | None, endpoint: str | None, said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        init(tmp_path / "new" / "wgctl.toml", region=region, endpoint=endpoint, pool="fdaa::/16")
    assert _names(tmp_path) == set()


def test_a_config_with_an_unknown_key_is_refused(folder: Path) -> None:
    config = folder / "wgctl.toml"
    config.write_text("colour = 1\n" + config.read_text())

    with pytest.raises(Invalid, match="unknown key 'colour'"):
        _init(folder)
    assert not (folder / "state").exists()


def test_a_state_folder_that_cannot_be_made_leaves_no_file(folder: Path) -> None:
    config = folder / "wgctl.toml"
    config.write_text(config.read_text().replace(f"{folder}/state", f"{folder}/file/state"))
    (folder / "file").write_text("in the way")
    before = _names(folder)

    with pytest.raises(OSError, match="file"):
        _init(folder)
    assert _names(folder) == before


_UNPRIVILEGED = """
import os, sys
from pathlib import Path
from wgctl.core.errors import Denied
from wgctl.daemon.initialise import init
os.setgid(65534)
os.setuid(65534)
try:
    init(Path(sys.argv[1]), region="ams", endpoint="203.0.113.7:51820", pool="fdaa::/16")
except Denied as denied:
    print(denied)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_without_the_rights_it_is_denied_and_no_file_is_left() -> None:
    """Where the config can be written and the state cannot, the config goes away again."""
    with folder_of_a_socket() as folder:
        folder.chmod(0o777)
        config = folder / "wgctl.toml"
        state_existed = Path("/var/lib/wgctl").exists()
        done = subprocess.run(
            [sys.executable, "-c", _UNPRIVILEGED, str(config)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )

        assert "run wgctl init as root" in done.stdout, done.stderr
        assert _names(folder) == set()
        assert Path("/var/lib/wgctl").exists() == state_existed


_IN_A_ROOT_OF_ITS_OWN = """
import sys
from pathlib import Path
from wgctl.core import settings
from wgctl.daemon.initialise import init
path = Path(sys.argv[1])
report = init(path, region="ams", endpoint="203.0.113.7:51820", pool="fdaa::/16")
found = settings.parse(path.read_text(), origin="made")
print(report.created_config, report.state_dir, found.gateway.region, found.gateway.endpoint)
print(oct(path.stat().st_mode & 0o777), sorted(p.name for p in report.state_dir.iterdir()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="hides the host's own folders with a mount")
def test_without_a_config_one_is_made_for_the_hosts_own_folders(tmp_path: Path) -> None:
    hidden = 'mount -t tmpfs none /var/lib && exec "$@"'
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", hidden, "sh"),
            *(sys.executable, "-c", _IN_A_ROOT_OF_ITS_OWN, str(tmp_path / "etc" / "wgctl.toml")),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert done.stdout.splitlines() == [
        "True /var/lib/wgctl ams 203.0.113.7:51820",
        (
            "0o644 ['authority.key', 'authority.pem', 'controller', 'gateway', 'gateway.key', "
            "'internal-api', 'resolver']"
        ),
    ], done.stderr


def _epoch(folder: Path) -> str:
    store = Store(folder / "state" / Role.CONTROLLER / STORE_NAME)
    with store.reading() as deployment:
        epoch = deployment.epoch
    store.close()
    return epoch
