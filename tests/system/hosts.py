"""Hosts for the system tests: network namespaces that hang on one gateway, and are gone after.

Everything runs for real: wgctl as installed, wireguard-go, wg-quick, nft, dig.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.patience import HANG_S
from wgctl.client.api import Client
from wgctl.core.errors import Unavailable

__all__ = [
    "ENDPOINT",
    "ROLES",
    "WGCTL",
    "Gateway",
    "Host",
    "Lab",
    "Started",
    "eventually",
    "made_lab",
]

ENDPOINT = "198.18.0.1"
"""The address that every host reaches the gateway at (RFC 2544: for tests alone)."""

WGCTL = str(Path(sys.executable).parent / "wgctl")
PORT = 51820
ROLES = ("controller", "gateway", "internal-api", "resolver")
# How dig asks on a machine that may be busy: a short wait where a datagram was lost, many times.
_PATIENT = ("+time=2", "+tries=8")


def eventually(
    check: Callable[[], object], *, within_s: float = HANG_S, what: str = "", every_s: float = 0.05
) -> Any:
    """Return the first true value of `check`; fail when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what or check}")
        time.sleep(every_s)


class Started(Protocol):
    """A process that is to be ended with its host, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int:
        """Its id."""

    def poll(self) -> int | None:
        """Return its status once it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its status."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, unless it has ended."""


@dataclass
class Host:
    """A network namespace with a name of its own."""

    name: str
    started: list[Started] = field(default_factory=list)
    tunnels: list[Path] = field(default_factory=list)

    def make(self) -> None:
        """Make the namespace, with its loopback up."""
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def argv(self, *argv: str) -> list[str]:
        """Return the command that runs `argv` in the namespace."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(
        self, *argv: str, check: bool = True, env: dict[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` in the namespace to its end, at most three minutes."""
        done = subprocess.run(
            self.argv(*argv),
            capture_output=True,
            text=True,
            timeout=180,
            input=stdin,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *argv: str, log: Path) -> subprocess.Popen[bytes]:
        """Start `argv` in the namespace; it is ended with the host."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.argv(*argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.started.append(process)
        return process

    def tunnel_up(self, config: Path) -> None:
        """Bring up the tunnel that a generated config describes, with the real wg-quick."""
        self.tunnels.append(config)
        self.run("wg-quick", "up", str(config))

    def tunnel_down(self, config: Path) -> None:
        """Take the tunnel away again."""
        self.tunnels.remove(config)
        self.run("wg-quick", "down", str(config))

    def dig(self, name: str, *more: str, at: str) -> str:
        """Return the records that dig prints in short form; nothing when there is no answer."""
        printed = self.run(*("dig", f"@{at}", "+short", *_PATIENT, name, *more), check=False).stdout
        return "\n".join(line for line in printed.splitlines() if not line.startswith(";"))

    def dig_status(self, name: str, *more: str, at: str) -> str:
        """Return the RCODE that dig got, or `TIMEOUT`."""
        found = self.run("dig", f"@{at}", *_PATIENT, name, *more, check=False).stdout
        marker = "status: "
        return found.split(marker)[1].split(",")[0] if marker in found else "TIMEOUT"

    def pings(self, address: str, *, wait_s: int = 5) -> bool:
        """Whether one echo request of up to three is answered, each within `wait_s`."""
        return any(
            self.run("ping", "-6", "-c1", f"-W{wait_s}", address, check=False).returncode == 0
            for _ in range(3)
        )

    def is_cut_off(self, address: str) -> bool:
        """Whether none of three echo requests is answered, each within a second."""
        return not self.pings(address, wait_s=1)

    def remove(self) -> None:
        """End what was started here, and remove the namespace."""
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for config in list(self.tunnels):
            self.run("ip", "link", "del", config.stem, check=False)
        found = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        for pid in found.stdout.split():
            subprocess.run(["kill", "-9", pid], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@dataclass
class Gateway:
    """wgctl on a host of its own, with a config and a state folder of its own."""

    host: Host
    folder: Path
    interface: str
    serving: list[Started] = field(default_factory=list)
    """What `serve` started."""

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / "wgctl.toml"

    @property
    def log(self) -> Path:
        """What every role prints."""
        return self.folder / "log"

    def write_config(
        self, *, more: str = "", backend: str = "userspace", peers: str = "eager"
    ) -> None:
        """Write the config; `more` is added at its end, within `[resolver]`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f'state_dir = "{self.folder}/state"\n'
            f'runtime_dir = "{self.folder}/run"\n'
            "[gateway]\n"
            'region = "ams"\n'
            f'endpoint = "{ENDPOINT}:{PORT}"\n'
            f"listen_port = {PORT}\n"
            f'interface = "{self.interface}"\n'
            f'backend = "{backend}"\n'
            f'peers = "{peers}"\n'
            f"[resolver]\n{more}\n"
        )

    def wgctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the installed command on this host."""
        env = {"WGCTL_CONFIG": str(self.config), "XDG_CONFIG_HOME": str(self.folder)}
        return self.host.run(WGCTL, *argv, check=check, env=env)

    def json(self, *argv: str) -> Any:
        """Run the installed command and return the JSON that it prints."""
        return json.loads(self.wgctl(*argv, "--json").stdout)

    def init(self) -> None:
        """Run `wgctl init`."""
        self.wgctl("init")

    def serve(self) -> None:
        """Start `wgctl serve` and wait until every role reports."""
        command = (WGCTL, "--config", str(self.config), "serve")
        self.serving = [self.host.start(*command, log=self.log)]
        self.wait_ready(*ROLES[1:])

    def stop(self) -> None:
        """End what `serve` started, as SIGTERM does."""
        for process in self.serving:
            process.terminate()
        for process in self.serving:
            process.wait(HANG_S)

    def run_role(self, role: str) -> Started:
        """Start one role."""
        return self.host.start(WGCTL, "--config", str(self.config), "run", role, log=self.log)

    def wait_ready(self, *roles: str) -> None:
        """Wait until the controller has heard of `roles` at its own revision."""

        client = Client(self.folder / "run" / "api.sock", patience_s=0.0)

        def ready() -> bool:
            try:
                status = client.status()
            except Unavailable:
                return False
            alive = {
                role.role
                for role in status.roles
                if role.alive and role.revision == status.revision
            }
            return alive >= set(roles)

        try:
            eventually(ready, within_s=120, what=f"roles {roles} report")
        except AssertionError:
            sys.stderr.write(self.log.read_text()[-4000:])
            raise

    def device(self) -> str:
        """Return what `wg show` says of the interface."""
        return self.host.run("wg", "show", self.interface, check=False).stdout

    def add_peer(self, org: str, name: str, *, config: Path, more: Sequence[str] = ()) -> Any:
        """Add a peer, write its config to `config`, and return the enrolment."""
        return self.json("peer", "add", name, "--org", org, "-o", str(config), *more)


class Lab:
    """The hosts of one test: a gateway, and any number of clients that can reach it."""

    def __init__(self, folder: Path, *, gateway: type[Gateway] = Gateway) -> None:
        """Make the gateway's host; names are random, since they are the machine's."""
        self.tag = secrets.token_hex(3)
        self.folder = folder
        self.clients: list[Host] = []
        self.gateway = gateway(
            host=Host(f"wgctl-{self.tag}-gw"), folder=folder / "gateway", interface=f"g{self.tag}"
        )
        self.gateway.host.make()
        self.gateway.host.run("ip", "addr", "add", f"{ENDPOINT}/32", "dev", "lo")

    def client(self) -> Host:
        """Make a client with a route to the gateway's endpoint, and to nothing else."""
        number = len(self.clients) + 1
        client, gateway = Host(f"wgctl-{self.tag}-{number}"), self.gateway.host
        self.clients.append(client)
        client.make()
        here, there = f"c{self.tag}{number}", f"u{self.tag}{number}"
        subprocess.run(
            [
                "ip",
                "link",
                "add",
                here,
                "netns",
                gateway.name,
                "type",
                "veth",
                "peer",
                "name",
                there,
                "netns",
                client.name,
            ],
            check=True,
        )
        gateway.run("ip", "addr", "add", f"198.18.{number}.1/30", "dev", here)
        gateway.run("ip", "link", "set", here, "up")
        client.run("ip", "addr", "add", f"198.18.{number}.2/30", "dev", there)
        client.run("ip", "link", "set", there, "up")
        client.run("ip", "route", "add", f"{ENDPOINT}/32", "via", f"198.18.{number}.1")
        return client

    def config_path(self, label: str) -> Path:
        """Return a path for a client's config; its stem is the tunnel's interface."""
        return self.folder / f"{label[:8]}{self.tag}.conf"

    def close(self) -> None:
        """Remove all that was made."""
        for host in (*self.clients, self.gateway.host):
            host.remove()
        # A process that is killed leaves its socket behind; all names here end in the tag.
        for left in Path("/run/wireguard").glob(f"*{self.tag}*.sock"):
            left.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def made_lab(gateway: type[Gateway] = Gateway) -> Iterator[Lab]:
    """Make a lab with such a gateway, and remove it."""
    # Unix socket paths end at 107 bytes: a test's own temporary path may be longer.
    made = Lab(Path(tempfile.mkdtemp(prefix="wgctl-")), gateway=gateway)
    try:
        yield made
    finally:
        made.close()
