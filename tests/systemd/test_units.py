"""The units and what is installed beside them, judged by systemd's own programs."""

import configparser
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.patience import HANG_S
from wgctl.core.model import Role
from wgctl.core.settings import AUTHORITY_KEY_NAME, DEFAULT_PATH, KEY_NAME, Settings
from wgctl.daemon.certificates import NO_KEY
from wgctl.daemon.devices import UNIT_VARIABLE
from wgctl.daemon.unix import NODES_GROUP, OPERATORS_GROUP
from wgctl.daemon.users import ROLE_USERS
from wgctl.daemon.userspace import GROUP, NOT_WANTED

FOLDER = Path(__file__).parents[2] / "systemd"
ROLES = [f"wgctl-{role}.service" for role in Role]
USERSPACE = "wgctl-wireguard@.service"
SERVICES = [*ROLES, USERSPACE]

# The most that systemd-analyze may find, in tenths: less where nothing programs the kernel.
WITH_NET_ADMIN = 20
WITHOUT = 15


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=HANG_S
    )


def section(name: str, part: str) -> dict[str, str]:
    """Return the settings of a unit's section; of one that comes again, the last."""
    parser = configparser.RawConfigParser(strict=False, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # its documented use
    parser.read(FOLDER / name)
    return dict(parser[part])


def test_every_unit_is_known_here() -> None:
    found = {path.name for path in FOLDER.glob("wgctl*.service")}

    assert found == set(SERVICES)


def test_systemd_has_nothing_to_say_of_the_units(tmp_path: Path) -> None:
    """What they start need not be there: programs that are do its part."""
    for path in (*FOLDER.glob("*.service"), FOLDER / "wgctl.target"):
        text = re.sub(r"/opt/wgctl/current/bin/\w+", "/usr/bin/true", path.read_text())
        (tmp_path / path.name).write_text(text.replace("Documentation=man:", "Documentation=info:"))
    units = [tmp_path / name.replace("@", "@wgctl0") for name in (*SERVICES, "wgctl.target")]

    done = run("systemd-analyze", "verify", "--man=no", *units)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_no_more_than_its_role_needs(name: str) -> None:
    most = WITH_NET_ADMIN if "NET_ADMIN" in (FOLDER / name).read_text() else WITHOUT

    done = run(
        "systemd-analyze", "security", "--offline=true", f"--threshold={most}", FOLDER / name
    )

    assert done.returncode == 0, done.stdout
    assert "Overall exposure level" in done.stdout


def test_a_bare_service_is_found_wanting(tmp_path: Path) -> None:
    """The test above would pass for every unit if systemd-analyze judged none."""
    path = tmp_path / "bare.service"
    path.write_text("[Service]\nExecStart=/usr/bin/true\n")

    done = run("systemd-analyze", "security", "--offline=true", f"--threshold={WITHOUT}", path)

    assert done.returncode == 1


def test_only_what_programs_the_kernel_has_the_right_to() -> None:
    rights = {name: section(name, "Service").get("AmbientCapabilities", "") for name in SERVICES}

    assert rights == {
        "wgctl-controller.service": "CAP_NET_BIND_SERVICE",
        "wgctl-gateway.service": "CAP_NET_ADMIN",
        "wgctl-resolver.service": "CAP_NET_BIND_SERVICE",
        "wgctl-internal-api.service": "",
        USERSPACE: "CAP_NET_ADMIN",
    }
    for name in SERVICES:
        assert section(name, "Service")["CapabilityBoundingSet"] == rights[name]


@pytest.mark.parametrize("role", Role)
def test_a_role_has_a_user_a_folder_a_watchdog_and_comes_back(role: Role) -> None:
    service = section(f"wgctl-{role}.service", "Service")

    assert service["ExecStart"] == f"/opt/wgctl/current/bin/wgctl run {role}"
    assert service["User"] == service["Group"] == ROLE_USERS[role]
    assert service["StateDirectory"] == f"wgctl/{role}"
    assert service["Type"] == "notify"
    assert service["WatchdogSec"]
    assert service["Restart"] == "always"
    assert section(f"wgctl-{role}.service", "Unit")["StartLimitIntervalSec"] == "0"


def test_no_role_needs_another_to_start() -> None:
    for name in SERVICES:
        unit = section(name, "Unit")

        assert not {"Requires", "Requisite", "BindsTo"} & unit.keys()
        assert "wgctl-controller" not in unit.get("After", "")


def test_units_and_code_mean_the_same_names() -> None:
    gateway = section("wgctl-gateway.service", "Service")
    userspace = section(USERSPACE, "Service")

    assert gateway["LoadCredential"] == f"{KEY_NAME}:/var/lib/wgctl/{KEY_NAME}"
    controller = section("wgctl-controller.service", "Service")
    handed = f"{AUTHORITY_KEY_NAME}:/var/lib/wgctl/{AUTHORITY_KEY_NAME}"
    assert controller["LoadCredential"] == handed
    assert controller["SetCredential"] == f"{AUTHORITY_KEY_NAME}:{NO_KEY.decode()}"
    assert gateway["Environment"].startswith(f"{UNIT_VARIABLE}=wgctl-wireguard@")
    assert userspace["Group"] == GROUP
    assert userspace["SuccessExitStatus"] == userspace["RestartPreventExitStatus"]
    assert userspace["SuccessExitStatus"] == str(NOT_WANTED)
    settings = Settings.model_validate({"gateway": {"region": "ams", "endpoint": "host:1"}})
    api = section("wgctl-internal-api.service", "Service")
    assert api["ReadWritePaths"] == str(settings.leases_file.parent)
    for name in SERVICES:
        assert f"ConditionPathExists={DEFAULT_PATH}\n" in (FOLDER / name).read_text()
    for role in Role:
        state = KEY_NAME if role is Role.GATEWAY else role
        wanted = f"ConditionPathExists=/var/lib/wgctl/{state}\n"
        assert wanted in (FOLDER / f"wgctl-{role}.service").read_text(), "quiet before wgctl init"


@dataclass(frozen=True)
class Host:
    """A root folder with our users, and the folders of the roles as root made them."""

    root: Path
    ids: dict[str, str]
    """Numbers by the names of users and groups, which this host need not have."""

    def tmpfiles(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run systemd-tmpfiles with the lines that are installed.

        It may open 1,024 files, a service of systemd's 524,288: so few folders are too deep here.
        """
        lines = self.root / "folders.conf"
        lines.write_text(numbered((FOLDER / "wgctl.tmpfiles").read_text(), self.ids))
        command = ["systemd-tmpfiles", f"--root={self.root}", *options, str(lines)]
        return run("sh", "-c", 'ulimit -n 1024; exec "$@"', "sh", *command)

    def seen(self, name: str) -> tuple[str, str, int]:
        """Return user, group and mode of a file."""
        names = {number: name for name, number in self.ids.items()} | {"0": "root"}
        found = (self.root / name).stat()
        return names[str(found.st_uid)], names[str(found.st_gid)], found.st_mode & 0o7777


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", FOLDER / "wgctl.sysusers")
    assert made.returncode == 0, made.stderr
    ids = {
        line.split(":")[0]: line.split(":")[2]
        for file in ("passwd", "group")
        for line in (tmp_path / "etc" / file).read_text().splitlines()
    }
    for role in Role:
        (tmp_path / "var/lib/wgctl" / role).mkdir(parents=True)
        (tmp_path / "var/lib/wgctl" / role / "file").write_text("")
    return Host(tmp_path, ids)


def test_users_groups_and_folders_are_made_as_the_roles_expect_them(host: Host) -> None:
    made = host.tmpfiles("--create")
    members = {
        line.split(":")[0]: set(line.split(":")[3].split(","))
        for line in (host.root / "etc/group").read_text().splitlines()
    }

    assert (made.returncode, made.stderr) == (0, "")
    assert members[NODES_GROUP] == {ROLE_USERS[role] for role in Role if role != "controller"}
    assert members[OPERATORS_GROUP] == {""}, "an operator is made by an administrator alone"
    assert members[GROUP] == {ROLE_USERS[Role.GATEWAY]}
    assert host.seen("run/wgctl") == ("root", "root", 0o755)
    assert host.seen("run/wgctl/controller") == ("wgctl-controller", "wgctl", 0o2755)
    assert host.seen("run/wgctl/node") == ("wgctl-controller", "wgctl-node", 0o2755)
    assert host.seen("run/wgctl/resolver") == ("wgctl-resolver", "wgctl", 0o2755)
    assert host.seen("run/wireguard") == ("root", "wgctl-wireguard", 0o1775)
    assert host.seen("run/wgctl/leases") == ("wgctl-internal-api", "wgctl-node", 0o2750)
    for name in ("controller/api.sock", "node/node.sock", "resolver/resolver.sock"):
        assert str((host.root / "run/wgctl" / Path(name).name).readlink()) == name
    for role in Role:
        assert host.seen(f"var/lib/wgctl/{role}/file")[:2] == (ROLE_USERS[role],) * 2


def test_what_a_role_does_to_its_own_folder_holds_up_no_other(host: Host) -> None:
    hostile = host.root / "var/lib/wgctl" / Role.RESOLVER
    run("mkdir", "-p", hostile / "/".join(["d"] * 1100))
    try:
        prepared = {name: host.tmpfiles(*preparation(name)).returncode for name in SERVICES}
    finally:
        run("rm", "-rf", hostile)  # More folders in each other than Python takes away.

    assert {name for name, status in prepared.items() if status} == {"wgctl-resolver.service"}
    for role in set(Role) - {Role.RESOLVER}:
        assert host.seen(f"var/lib/wgctl/{role}/file")[:2] == (ROLE_USERS[role],) * 2
    assert (host.root / "run/wgctl/node.sock").is_symlink()
    assert host.seen("run/wireguard")[1] == GROUP


def preparation(name: str) -> list[str]:
    """Return the options with which a unit has its folders made; it starts whatever comes of it."""
    command = section(name, "Service")["ExecStartPre"].split()
    assert (command[0], command[-1]) == ("-+/usr/bin/systemd-tmpfiles", "wgctl.conf")
    return command[1:-1]


def numbered(text: str, ids: dict[str, str]) -> str:
    """Return tmpfiles.d lines with numbers in the place of our users and groups."""
    lines = []
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in {"d", "Z"}:
            words[3:5] = [ids.get(word, word) for word in words[3:5]]
            line = " ".join(words)  # noqa: PLW2901  # the line as it is to be
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_systemd_is_here() -> None:
    """Without it every test above would fail for the same reason."""
    assert shutil.which("systemd-analyze")
