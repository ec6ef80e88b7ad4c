"""The command line: one file per noun parses, prints and exits; deciding is done elsewhere.

    main            runs a command, turns what it raised into a message and an exit code
    command         the kinds of click command: what all of them take, near misses, laziness
    instance        what a machine is said to be
    health          how a machine is probed, and how its health reads
    options         --org, --network; names as arguments
    session         what one call was told: --config, --url, --json; which controller that is
    logins          the controllers elsewhere that the user has tokens for
    preferences     the user's own file
    failure         an exception as a message and an exit code
    output          tables and JSON; notes beside them
    wording         how times and amounts read
    duration        how spans of time are typed
    consent         the question before something goes away
    files           the files that a command leaves behind
    identity        whose keys a peer has
    enrolment       files taken, the controller asked, files filled
    handout         where a peer's tunnel goes: stdout, files, QR code
    form            a peer's tunnel as the documents of one format
    completion      scripts for shells
    manual          man pages
    release         what stands beside an installed wgctl

    org network peer app machine gateway      the nouns
    member role token audit                   who may do what, and who did
    announce                                  a verb of machine, for peers
    login enroll                              the verbs of who is elsewhere; login has logout
    init serve backup status dns doctor       the verbs of a host; serve has run and down, backup
                                              has restore

`wgctl --help` has 150 ms: nothing here loads a noun, or a library beyond click, before it is used.
"""

import atexit
import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from wgctl.cli.command import Entry, Root
from wgctl.cli.failure import Failure, failure_of, report

__all__ = ["main", "root"]

root = Root(
    "wgctl",
    help="Private networks over WireGuard that an organisation runs itself.",
    entries={
        "init": Entry("init", "Set up this host: store, gateway key, config file."),
        "serve": Entry("serve", "Run every role of this host."),
        "run": Entry("serve", "Run one role of this host."),
        "down": Entry("serve", "Take away what the gateway made in the kernel."),
        "org": Entry("org", "Orgs: tenants that own everything else."),
        "network": Entry("network", "Networks: isolated private networks of an org."),
        "peer": Entry("peer", "Peers: laptops, phones and servers with a tunnel."),
        "app": Entry("app", "Apps: services with a name in a network."),
        "machine": Entry("machine", "Machines: running instances of an app."),
        "member": Entry("member", "Members: people in an org, and what they may do."),
        "role": Entry("role", "Roles: what members may do."),
        "token": Entry("token", "Tokens: what one comes with from elsewhere."),
        "audit": Entry("audit", "Audit: who did what, in a chain that shows a change."),
        "gateway": Entry("gateway", "Gateways: hosts that end tunnels."),
        "backup": Entry("backup", "Write the whole deployment to one file, while it runs."),
        "restore": Entry("backup", "Make a back-up this host's deployment, or compare them."),
        "enroll": Entry("enroll", "Make this machine a peer, by a token and no account."),
        "login": Entry("login", "Keep a token for a controller elsewhere."),
        "logout": Entry("login", "Forget it."),
        "status": Entry("status", "Show roles, revision, interface, peers, upstreams and store."),
        "dns": Entry("dns", "Ask a network's resolver for a name."),
        "doctor": Entry("doctor", "Check this host, and say what cures it."),
        "completion": Entry("completion", "Print the completion script for a shell."),
    },
)

# A key would have nowhere to go, or go to the next file that is opened.
_NO_STDOUT = Failure(
    "failed", "stdout is closed, expected it open: send to /dev/null what is not wanted", 1
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments`, by default the process's own, name; return its exit code.

    0 ok, 1 failed, and the codes of `wgctl.core.errors.REFUSALS`; 130 after an interrupt.
    A reader that closes our stdout early ends us quietly with 1, by click.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Loading what `peer add` needs would set off about 100 collections that find nothing: 40 to
    # 50 ms. No command makes so much as this; a role sets its own threshold when it serves.
    gc.set_threshold(200_000, 20, 20)
    # Nor would the last one, of all that is loaded, find what the process's end does not free.
    atexit.register(gc.freeze)
    # We have no pydantic plugins; looking for some in every installed package takes 30 ms.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    ended_by = _heard_signals()
    if sys.stdout is None:
        report(_NO_STDOUT, as_json="--json" in given)
        return _NO_STDOUT.exit_code
    if sys.stdin is None:
        sys.stdin = io.StringIO()
    try:
        code = root.main(given, prog_name="wgctl", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last door: everything becomes an exit code
        if os.environ.get("WGCTL_DEBUG") == "1":
            traceback.print_exc()
        _give_up_stdout()
        # Where a class is made, Python shows the end that a signal asked for as a RuntimeError.
        failure = failure_of(click.Abort() if ended_by else error)
        report(failure, as_json="--json" in given)
        return 128 + ended_by[0] if ended_by else failure.exit_code
    return code if isinstance(code, int) else 0


def _heard_signals() -> list[int]:
    """Have a signal that asks for the end raise; return where each is noted that came."""
    heard: list[int] = []

    def end(signum: int, frame: FrameType | None) -> None:
        heard.append(signum)
        if signum == signal.SIGINT:
            signal.default_int_handler(signum, frame)
        # An exception, so that a file that is half made goes away again.
        raise SystemExit(128 + signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is not signal.SIG_IGN:  # As under nohup.
            signal.signal(signum, end)
    return heard


def _give_up_stdout() -> None:
    """Point stdout at nothing if it is broken: at exit Python would complain, and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
