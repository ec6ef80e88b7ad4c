"""The firewall table, through nft as a child process.

One run of nft is one transaction; what it is told is `wgctl.core.firewall`. libnftables inside
our own process would end it: the library calls exit() when netlink refuses it.
"""

import json
import os
import subprocess
from dataclasses import replace

from wgctl.core import firewall
from wgctl.core.errors import Unavailable
from wgctl.core.firewall import Document, Ruleset
from wgctl.core.tunnel import ChangeFirewall, FirewallStep, ReplaceFirewall
from wgctl.drivers.netlink.generation import follows, generation

__all__ = ["Nft"]

_TIMEOUT_S = 30.0
_ABSENT = "No such file or directory"


class Nft:
    """The table `inet <interface>` of the network namespace that the thread is in."""

    def __init__(self, interface: str, *, program: str = "nft") -> None:
        """Bind to the table of an interface; neither need be there."""
        self._table = interface
        self._program = program
        self._spelling: tuple[Ruleset, Ruleset] | None = None  # As written, and as listed.
        self._known: tuple[int, Ruleset | None] | None = None

    def read(self) -> Ruleset | None:
        """Return the table, None if it is not there.

        It is listed anew unless the kernel says that no rule of the host has changed since: with
        10,000 networks that takes 0.2 s.
        """
        before = generation()
        if self._known is not None and self._known[0] == before:
            return self._known[1]
        found = self._as_written(self._list())
        self._know(found, before, generation())
        return found

    def apply(self, step: FirewallStep) -> None:
        """Take one step, wholly or not at all."""
        match step:
            case ReplaceFirewall(ruleset):
                self._replace(ruleset)
            case ChangeFirewall():
                self._change(step)

    def remove(self) -> None:
        """Delete the table; nothing if it is not there."""
        failed = self._run(firewall.remove(self._table))
        if failed and _ABSENT not in failed:
            raise self._refusal(failed)

    def _as_written(self, listed: Ruleset | None) -> Ruleset | None:
        """Return what is listed, its rules as they were written where they are still those."""
        if listed is None or self._spelling is None:
            return listed
        written, spelled = self._spelling
        if listed.rules != spelled.rules:
            return listed
        return Ruleset(listed.table, written.rules, listed.elements)

    def _replace(self, ruleset: Ruleset) -> None:
        """Write the table anew, and keep how this version of nft spells the rules it was given.

        Versions differ in how they list one and the same rule. A listing is taken for what was
        written only where the kernel counts one change, ours: what others wrote meanwhile would
        pass for ours from then on. Then the sets hold what they were given, and are not listed.
        """
        before = generation()
        self._write(firewall.replace(ruleset))
        listed = self._list("--terse")
        after = generation()
        if listed is not None and follows(after, before):
            self._spelling = (ruleset, listed)
            self._know(ruleset, after, after)

    def _change(self, step: ChangeFirewall) -> None:
        """Add and remove elements; what is known of the table goes along.

        It does so only where the kernel counts one change, ours, which is one transaction.
        """
        before = generation()
        known = self._known[1] if self._known and self._known[0] == before else None
        self._write(firewall.change(self._table, added=step.added, removed=step.removed))
        after = generation()
        if known is not None and follows(after, before):
            elements = (known.elements - step.removed) | step.added
            self._know(replace(known, elements=elements), after, after)

    def _know(self, found: Ruleset | None, before: int | None, after: int | None) -> None:
        self._known = (after, found) if after is not None and after == before else None

    def _list(self, *options: str) -> Ruleset | None:
        done = self._call([*options, "-j", "list", "table", "inet", self._table], None)
        if done.returncode == 0:
            return firewall.parse_listing(json.loads(done.stdout))
        if _ABSENT in done.stderr:
            return None
        raise self._refusal(done.stderr)

    def _write(self, document: Document) -> None:
        if failed := self._run(document):
            raise self._refusal(failed)

    def _run(self, document: Document) -> str:
        done = self._call(["-j", "-f", "-"], json.dumps(document))
        return (done.stderr or f"exit status {done.returncode}") if done.returncode else ""

    def _call(self, arguments: list[str], told: str | None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._program, *arguments],
                input=told,
                stdin=subprocess.DEVNULL if told is None else None,
                capture_output=True,
                env={**os.environ, "LC_ALL": "C"},
                timeout=_TIMEOUT_S,
                check=False,
                text=True,
            )
        except FileNotFoundError as error:
            raise Unavailable(
                f"{self._program} is not on the PATH: apt install nftables"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"nft took more than {_TIMEOUT_S:.0f} s; try again") from error

    def _refusal(self, said: str) -> Unavailable:
        line = next((line for line in said.splitlines() if line.strip()), "nothing")
        cure = "; run it as root or with CAP_NET_ADMIN" if "not permitted" in said else ""
        return Unavailable(f"nft, table inet {self._table}: {ascii(line)[:200]}{cure}")
