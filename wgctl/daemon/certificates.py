"""The certificate that the API shows: one that is given, or the deployment's own authority's.

What a certificate says is `wgctl.core.authority`; where it is shown, `wgctl.daemon.remote`. One of
a CA, which is shown beside, is `wgctl.daemon.issuing`.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from wgctl.core import authority
from wgctl.core.authority import LIFETIME_S, Certified
from wgctl.core.errors import Invalid, Unavailable
from wgctl.core.settings import AUTHORITY_KEY_NAME, Settings

__all__ = ["KEY_CREDENTIAL", "NO_KEY", "Certificates"]

KEY_CREDENTIAL = "api.key"
"""The key of a certificate that is given, where systemd hands it to the role."""

NO_KEY = b"none"
"""What the unit hands over in the place of a file that is not there."""


@dataclass(slots=True)
class Certificates:
    """What `settings` say of the API's certificate; the files are read as they are by then.

    `credentials` is the folder in which systemd hands keys to the role, None without systemd.
    """

    settings: Settings
    credentials: Path | None = None
    _issued: Certified | None = None
    _issued_at: int = 0

    def present(self, *, now: int) -> Certified:
        """Return the certificate to show from now on.

        Raises Unavailable for files that cannot be read, or are none.
        """
        api = self.settings.api
        if api.certificate is not None and api.key is not None:
            return Certified(_read(api.certificate), _read(self._handed(KEY_CREDENTIAL, api.key)))
        if self._issued is None or now - self._issued_at > LIFETIME_S // 3:
            self._issued, self._issued_at = self._issue(now=now), now
        return self._issued

    def _issue(self, *, now: int) -> Certified:
        key = self._handed(AUTHORITY_KEY_NAME, self.settings.authority_key_file)
        above = Certified(_read(self.settings.authority_file), _read(key))
        try:
            return authority.issue(above, self._names(), now=now)
        except Invalid as error:
            raise Unavailable(f"{self.settings.authority_file} and {key}: {error}") from error

    def _names(self) -> list[str]:
        """Return what a client may reach this host as."""
        listen = self.settings.api.listen or ""
        host = listen.rpartition(":")[0].strip("[]")
        own = [host] if host and not ip_address(host).is_unspecified else []
        here = ["localhost", "127.0.0.1", "::1"]
        return [*self.settings.api.names, self.settings.gateway.endpoint.host, *own, *here]

    def _handed(self, name: str, path: Path) -> Path:
        """Return where a key can be read: systemd hands root's file over in a folder of its own."""
        if self.credentials is None:
            return path
        handed = self.credentials / name
        return handed if handed.exists() and _read(handed) != NO_KEY else path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}, expected what [api] wants") from error
