"""The controllers elsewhere that a user has logged in to: a token and a pinned authority of each.

Kept in a file beside the user's own, which that user alone may read. Asking them is
`wgctl.client.https`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from wgctl.core.errors import Denied, Invalid
from wgctl.drivers.files import put

__all__ = ["Login", "Logins", "read_logins", "write_logins"]

_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Login:
    """`authority`: the pinned one in PEM; None: whoever this host trusts vouches."""

    token: str = field(repr=False)
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins by their URLs; `current` is that of commands that name none, None: this host's."""

    current: str | None = None
    logins: Mapping[str, Login] = field(default_factory=dict)

    def to(self, url: str, login: Login) -> "Logins":
        """Return these with `login`, which is the current one."""
        return Logins(url, {**self.logins, url: login})

    def without(self, url: str) -> "Logins":
        """Return these without that to `url`, which must be there."""
        left = {known: login for known, login in self.logins.items() if known != url}
        return replace(self, current=None if self.current == url else self.current, logins=left)


def read_logins(path: Path) -> Logins:
    """Read the file at `path`; a missing one has none.

    Raises Denied when others may read it too, or we may not, and Invalid for what we did not write.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Logins()
    except PermissionError as error:
        raise Denied(f"no permission to read {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: expected what wgctl login wrote") from error
    if mode & _OTHERS:
        raise Denied(f"{path} holds tokens and others may open it: chmod 600 {path}")
    try:
        document = json.loads(text)
        found = {url: Login(**login) for url, login in document["logins"].items()}
        return Logins(document["current"], found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Invalid(f"{path}: expected what wgctl login wrote: remove it, and log in") from error


def write_logins(path: Path, logins: Logins) -> None:
    """Write the file at `path` anew, whole or not at all, for its user alone; raises Denied."""
    try:
        put(path, json.dumps(asdict(logins), indent=2).encode())
    except PermissionError as error:
        raise Denied(f"{path}: no permission to write in {path.parent}") from error
