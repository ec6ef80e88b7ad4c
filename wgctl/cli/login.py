"""`wgctl login` and `wgctl logout`: whom a user is to a controller elsewhere.

What is kept of it is `wgctl.cli.logins`.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wgctl.cli import consent
from wgctl.cli.command import Verb
from wgctl.cli.output import note, print_json
from wgctl.cli.session import Session, logins_path, pass_session
from wgctl.core.errors import Denied, Invalid

if TYPE_CHECKING:
    from wgctl.core.pin import ControllerUrl

__all__ = ["login", "logout", "read_token", "token_file_option"]

_MOST_CHARACTERS = 8_192

token_file_option = click.option(
    "--token-file",
    metavar="FILE",
    help="Where the token is; - is stdin.  [env: WGCTL_TOKEN, the token itself]",
)


@click.command(
    cls=Verb,
    examples=[
        "wgctl login --url https://vpn.example.org:8443",
        "wgctl login --url https://203.0.113.7:8443#SHA256:... --token-file token",
    ],
)
@token_file_option
@pass_session
def login(session: Session, token_file: str | None) -> None:
    """Keep a token for the controller at --url, which later commands then speak to.

    A controller with an authority of its own is trusted by its fingerprint, as wgctl init shows
    it: after # in the URL, or as you confirm it at the terminal. The token is asked for there, or
    read from a file; it is kept, with that authority, in a file that you alone may read.
    """
    url = session.named_url()
    if url is None:
        raise Invalid("no URL: expected --url https://HOST:PORT, or WGCTL_URL")
    from wgctl.cli.logins import Login, write_logins
    from wgctl.client.api import Client
    from wgctl.client.https import Https

    authority = _trusted(url)
    token = read_token(token_file)
    caller = Client(Https(url, token, authority)).caller()
    logins = session.logins().to(str(url), Login(token, authority))
    write_logins(logins_path(), logins)
    note(f"{caller.caller} of {caller.org}: commands speak to {url} until wgctl logout")
    if session.as_json:
        shown = None if authority is None else _shown(authority)
        print_json({"url": str(url), "authority": shown, "org": caller.org})


@click.command(cls=Verb, examples=["wgctl logout"])
@pass_session
def logout(session: Session) -> None:
    """Forget the token for a controller: the one at --url, or the one that commands speak to.

    The token itself stays good until it is revoked.
    """
    from wgctl.cli.logins import write_logins

    logins, named = session.logins(), session.named_url()
    url = logins.current if named is None else str(named)
    if url is None or url not in logins.logins:
        raise Invalid(f"no login to {url}" if url else "not logged in anywhere: nothing to forget")
    write_logins(logins_path(), logins.without(url))
    note(f"logged out of {url}; its token stays good until it is revoked")
    if session.as_json:
        print_json({"url": url})


def read_token(file: str | None) -> str:
    """Return the token in `file`; None: that of the environment, or what is typed.

    Raises Invalid for what is no token, or when nobody is there to type it, and Denied.
    """
    text = os.environ.get("WGCTL_TOKEN") if file is None else _content(file)
    if text is None:
        if not sys.stdin.isatty():
            raise Invalid("no token: expected --token-file FILE, or WGCTL_TOKEN")
        text = click.prompt("Token", hide_input=True, err=True)
    token = text.strip()
    # An HTTP header takes nothing else, and an error about it would show the token.
    if not token or len(token) > _MOST_CHARACTERS or not all("!" <= one <= "~" for one in token):
        raise Invalid("not a token: expected one word of letters and digits, as it was shown")
    return token


def _content(file: str) -> str:
    try:
        with sys.stdin if file == "-" else Path(file).open(encoding="utf-8") as opened:
            return opened.read(_MOST_CHARACTERS + 1)
    except PermissionError as error:
        raise Denied(f"no permission to read {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: expected a file with a token") from error


def _trusted(url: "ControllerUrl") -> str | None:
    """Return the authority that is trusted for `url`, in PEM; None: whom this host trusts.

    Raises Denied for another than the pinned one, Invalid when nobody is there to believe one.
    """
    from wgctl.client.https import authority_at, known_here

    if url.pin is None and known_here(url):
        return None
    found = authority_at(url)
    if url.pin is None:
        note(f"{url} shows an authority of its own, {_shown(found)}")
        if not sys.stdin.isatty():
            raise Invalid(
                f"nobody to ask: if that is what wgctl init showed, --url {url}#{_shown(found)}"
            )
        consent.ask_to("Is that what wgctl init showed there, and do you trust it")
    return found


def _shown(authority: str) -> str:
    import ssl

    from wgctl.core.pin import fingerprint

    return fingerprint(ssl.PEM_cert_to_DER_cert(authority))
