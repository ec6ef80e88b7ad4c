"""What one call of the command line was told: which controller, which form of output.

Opens the config and the way to the controller; what is asked there is each noun's.
"""

import functools
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from wgctl.cli.output import note
from wgctl.cli.preferences import Preferences, preferences_path, read_preferences
from wgctl.core.errors import Denied, Invalid, Unavailable, Unidentified

if TYPE_CHECKING:
    from wgctl.cli.logins import Logins
    from wgctl.client.api import Client
    from wgctl.client.asking import Way
    from wgctl.client.https import Https
    from wgctl.core.pin import ControllerUrl
    from wgctl.core.settings import Settings

__all__ = ["Session", "logins_path", "pass_session", "preferences_of", "shared_options"]

_JSON = "wgctl.json"
_CONFIG = "wgctl.config"
_URL = "wgctl.url"
_PREFERENCES = "wgctl.preferences"

_DEFAULT_CONFIG = Path("/etc/wgctl/wgctl.toml")
_TARGET = "usr/local/lib/systemd/system/wgctl.target"
_BOOTED = "run/systemd/system"  # sd_booted(3): there where systemd is the first process

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Session:
    """One call. `config` None: nobody named one, so it is the default.

    `url` is what --url says, `elsewhere` that or what the environment says; None: nothing. `token`
    None: that of the environment, or of a login.
    """

    as_json: bool
    config: Path | None
    url: str | None = None
    elsewhere: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def config_path(self) -> Path:
        """Where the config is, absolute, whether it exists or not.

        Raises Invalid for a command that was told of a controller elsewhere.
        """
        if self.url is not None:
            raise Invalid("--url: this command is about the host that it runs on: leave it out")
        return _DEFAULT_CONFIG if self.config is None else self.config.absolute()

    def command(self, words: str) -> str:
        """Return `wgctl ...` as one has to type it to reach the same controller."""
        if self.url is not None:
            return f"wgctl --url {shlex.quote(self.url)} {words}"
        if self.config is None:
            return f"wgctl {words}"
        return f"wgctl --config {shlex.quote(str(self.config))} {words}"

    def start_command(self, root: Path = Path("/")) -> str:
        """Return what starts the roles of the host at `root`: its target, or `wgctl serve`.

        The target may be installed where systemd does not run, as in a container.
        """
        if self.config is None and (root / _TARGET).exists() and (root / _BOOTED).is_dir():
            return "systemctl start wgctl.target"
        return self.command("serve")

    def settings(self) -> "Settings":
        """Read the config.

        Raises Invalid for what breaks a rule or a named file that is not there, Denied when it may
        not be read, Unavailable when there is none at the default place.
        """
        from wgctl.core import settings

        try:
            text = self.config_path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise self._no_config() from None
        except PermissionError as error:
            raise Denied(f"no permission to read {self.config_path}") from error
        except (IsADirectoryError, UnicodeDecodeError) as error:
            raise Invalid(f"{self.config_path}: expected a file with TOML in UTF-8") from error
        return settings.parse(text, origin=str(self.config_path))

    def client(self) -> "Client":
        """Return the way to the controller that was named: elsewhere, or by a config.

        Without either, that is the one that the user has logged in to, or else this host's.
        """
        way = self._elsewhere()
        if way is None:
            settings = self.settings()
            from wgctl.client.unix_http import UnixSocket

            return self._asking(UnixSocket(settings.api_socket, self.start_command()))
        return self._asking(way)

    def logins(self) -> "Logins":
        """Return the user's logins."""
        from wgctl.cli.logins import read_logins

        return read_logins(logins_path())

    def named_url(self) -> "ControllerUrl | None":
        """Return the URL that this call or its environment names."""
        from wgctl.core.pin import ControllerUrl

        return ControllerUrl.parse(self.elsewhere) if self.elsewhere else None

    def _elsewhere(self) -> "Https | None":
        named = self.named_url()
        if named is None and self.config is not None:
            return None
        logins = self.logins()
        if named is None and logins.current is None:
            return None
        from wgctl.core.pin import ControllerUrl

        url = named or ControllerUrl.parse(str(logins.current))
        login = logins.logins.get(str(url))
        kept = None if login is None else login.token
        token = self.token or os.environ.get("WGCTL_TOKEN") or kept
        if token is None:
            raise Unidentified(f"no token for {url}: wgctl login --url {url}, or WGCTL_TOKEN")
        return _https(url, token, logins)

    def _asking(self, way: "Way") -> "Client":
        from wgctl.client.api import Client

        return Client(way, on_wait=lambda reason: note(f"waiting: {reason}"))

    def _no_config(self) -> Exception:
        init = self.command("init --region ... --endpoint ...")
        if self.config is None:
            return Unavailable(
                f"no config at {self.config_path}: make one with {init}, or name another with "
                "--config"
            )
        return Invalid(f"no config at {self.config_path}: make one with {init}")


def logins_path() -> Path:
    """Return where the user's logins are, whether there are any or not."""
    return preferences_path(os.environ).with_name("logins.json")


def _https(url: "ControllerUrl", token: str, logins: "Logins") -> "Https":
    """Return the way to `url`, whose authority is the one that it pins, or that a login has."""
    from wgctl.client.https import Https, authority_at

    known = logins.logins.get(str(url))
    pinned = authority_at(url) if url.pin else None if known is None else known.authority
    return Https(url, token, pinned)


def pass_session(
    function: Callable[Concatenate[Session, _Given], _Result],
) -> Callable[_Given, _Result]:
    """Give a command its Session as the first parameter."""

    @functools.wraps(function)
    def with_session(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        return function(_session(click.get_current_context()), *args, **kwargs)

    return with_session


def preferences_of(ctx: click.Context) -> Preferences:
    """Return what the user's own file says; it is read once a call."""
    if _PREFERENCES not in ctx.meta:
        ctx.meta[_PREFERENCES] = read_preferences(preferences_path(os.environ))
    found: Preferences = ctx.meta[_PREFERENCES]
    return found


def shared_options() -> list[click.Option]:
    """Return the options that every command takes, wherever in the line they stand."""
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember(_JSON),
            help="Print JSON.",
        ),
        click.Option(
            ["--config"],
            metavar="FILE",
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=_remember(_CONFIG),
            help=f"The host's config.  [env: WGCTL_CONFIG; default: {_DEFAULT_CONFIG}]",
        ),
        click.Option(
            ["--url"],
            metavar="URL",
            expose_value=False,
            callback=_remember(_URL),
            help="A controller elsewhere, by https.  [env: WGCTL_URL; default: your login]",
        ),
    ]


def _remember(key: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def remember(ctx: click.Context, _param: click.Parameter, value: object) -> None:
        # `meta` is one dictionary for the command and the groups above it.
        if value:
            ctx.meta[key] = value

    return remember


def _session(ctx: click.Context) -> Session:
    config: Path | None = ctx.meta.get(_CONFIG)
    if config is None:
        named = os.environ.get("WGCTL_CONFIG") or preferences_of(ctx).config
        config = Path(named) if named else None
    url: str | None = ctx.meta.get(_URL)
    # A flag wins over the environment, also where it names another way.
    environment = None if _CONFIG in ctx.meta else os.environ.get("WGCTL_URL")
    return Session(as_json=_JSON in ctx.meta, config=config, url=url, elsewhere=url or environment)
