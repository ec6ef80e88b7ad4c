"""The settings of one host, as its `wgctl.toml` says them.

Takes text and gives values: who opens which file is `wgctl.daemon` and `wgctl.cli`.
"""

import difflib
import re
import tomllib
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from peers.endpoint import Endpoint
from peers.errors import Invalid, shown
from peers.names import Label, parse_interface, parse_label
from wgctl.core.forward.upstream import MOST_UPSTREAMS, Upstream

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "AUTHORITY_KEY_NAME",
    "AUTHORITY_NAME",
    "DEFAULT_PATH",
    "KEY_NAME",
    "POOL_NAME",
    "REQUESTS_PER_S",
    "STORE_NAME",
    "ApiSettings",
    "Backend",
    "Choice",
    "GatewaySettings",
    "ResolverSettings",
    "Settings",
    "parse",
    "render",
]

DEFAULT_PATH = Path("/etc/wgctl/wgctl.toml")

STORE_NAME = "store.sqlite"
"""The deployment's database, in the controller's folder."""

KEY_NAME = "gateway.key"
"""The gateway's key. In no role's folder: its owner could put a link to any file in its place, and
root, who hands the key to the role, would read that."""

AUTHORITY_NAME = "authority.pem"
"""The certificate of the deployment's own authority, which everybody may read."""

AUTHORITY_KEY_NAME = "authority.key"
"""Its key, beside the gateway's for the same reason."""

POOL_NAME = "pool"
"""The deployment's pool, in the gateway's folder."""


_EXPECTED = "Input should be "  # how pydantic begins to say what a value is to be

_SOCKET_PATH_MAX = 107  # sun_path of linux/un.h, less its final NUL


class Backend(StrEnum):
    """Which WireGuard a gateway programs; `auto` is the kernel's where it has one."""

    AUTO = "auto"
    KERNEL = "kernel"
    USERSPACE = "userspace"


class Choice(StrEnum):
    """Which peers a gateway's device holds: all, or those that are in use."""

    EAGER = "eager"
    ON_DEMAND = "on-demand"


def _region(text: object) -> object:
    return parse_label(text, what="region") if isinstance(text, str) else text


def _endpoint(text: object) -> object:
    return Endpoint.parse(text) if isinstance(text, str) else text


def _upstream(text: object) -> object:
    return Upstream.parse(text) if isinstance(text, str) else text


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{path} is relative, expected a path that begins with /")
    if not str(path).isprintable():
        raise ValueError(f"{str(path)!a} holds an unprintable character, expected a plain path")
    return path


_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LAST_PORT = 65535
_VISIBLE = re.compile(r"[!-~]{1,2000}")


def _listen(text: str) -> str:
    """Check `ADDRESS:PORT`; every address of the host is `[::]`, and of IPv4 `0.0.0.0`."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(bare)
    except ValueError:
        raise ValueError(_expected(text)) from None
    as_written = f"[{bare}]" if address.version == 6 else bare  # noqa: PLR2004  # of IP
    if host != as_written or not _PORT.fullmatch(port) or int(port) > _LAST_PORT:
        raise ValueError(_expected(text))
    return text


def _expected(text: str) -> str:
    return f"{text!a}, expected an address and a port, such as [::]:8443 or 203.0.113.7:8443"


def _host(text: str) -> str:
    return Endpoint.parse(f"[{text}]:1" if ":" in text else f"{text}:1").host


def _directory(text: str) -> str:
    """Check the URL of an ACME directory, over TLS as its rules want it (RFC 8555, section 6.1)."""
    expected = f"{text!a}, expected a URL such as https://ca.example.org/acme/directory"
    try:
        parts = urlsplit(text)
        port = parts.port
        _host(parts.hostname or "")
    except ValueError:
        raise ValueError(expected) from None
    beside = parts.username, parts.password, parts.fragment
    if parts.scheme != "https" or port == 0 or any(beside) or not _VISIBLE.fullmatch(text):
        raise ValueError(expected)
    return text


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_Region = Annotated[Label, BeforeValidator(_region)]
_Upstream = Annotated[Upstream, BeforeValidator(_upstream), PlainSerializer(str)]


def _short(folder: Path) -> Path:
    longest = len(bytes(folder / "resolver.sock"))
    if longest > _SOCKET_PATH_MAX:
        raise ValueError(
            f"the sockets in it would have paths of {longest} bytes, "
            f"expected at most {_SOCKET_PATH_MAX}: choose a shorter folder"
        )
    return folder


_AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=False,
        arbitrary_types_allowed=True,
        # Else each section is built for itself too, which nobody asks for: 15 ms of each command.
        defer_build=True,
    )


class GatewaySettings(_Section):
    """`[gateway]`: what peers are told, and what is programmed here.

    `idle_s` is after how long without a handshake a peer leaves that is there on demand: not within
    the 180 s that a session can last.
    """

    region: _Region
    endpoint: Annotated[Endpoint, BeforeValidator(_endpoint), PlainSerializer(str)]
    listen_port: int = Field(default=51820, ge=1, le=65535, strict=True)
    interface: Annotated[str, AfterValidator(parse_interface)] = "wgctl0"
    backend: Backend = Backend.AUTO
    mtu: int = Field(default=1420, ge=1280, le=65535, strict=True)
    peers: Choice = Choice.EAGER
    idle_s: int = Field(default=600, ge=180, strict=True)


class ResolverSettings(_Section):
    """`[resolver]`: where names beyond `.internal` are asked, and which regions are near.

    Without upstreams: nowhere. `tls_ca` holds the certificates that vouch for those over TLS; None:
    the host's own do. `distances` are kilometres from this host to a region. `workers` processes
    answer datagrams, of one address `queries_per_s` each.
    """

    upstreams: tuple[_Upstream, ...] = Field(default=(), max_length=MOST_UPSTREAMS)
    tls_ca: _AbsolutePath | None = None
    distances: dict[_Region, Annotated[int, Field(ge=0, strict=True)]] = Field(default_factory=dict)
    workers: int = Field(default=1, ge=1, le=64, strict=True)
    queries_per_s: int = Field(default=10_000, ge=10, le=10_000_000, strict=True)


REQUESTS_PER_S = 200
"""What one token asks unless the settings say otherwise: a whole deployment's CI, and no loop."""


class ApiSettings(_Section):
    """`[api]`: where the API is reached from elsewhere, over TLS. `listen` None: nowhere.

    Without `certificate` and `key`, a chain and its key in PEM, the deployment's own authority
    vouches for it, and for `names` beside the gateway's own; so does for `names` the CA whose ACME
    directory is at the URL `acme`, and for that one what is in the file `acme_ca`, None: whom this
    host trusts. Each token asks `requests_per_s` times a second, and four times as often at once.
    """

    listen: Annotated[str, AfterValidator(_listen)] | None = None
    names: tuple[Annotated[str, AfterValidator(_host)], ...] = Field(default=(), max_length=64)
    certificate: _AbsolutePath | None = None
    key: _AbsolutePath | None = None
    acme: Annotated[str, AfterValidator(_directory)] | None = None
    acme_ca: _AbsolutePath | None = None
    requests_per_s: int = Field(default=REQUESTS_PER_S, ge=1, le=1_000_000, strict=True)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate without key, or key without certificate: expected both")
        return self

    @model_validator(mode="after")
    def _issued_for_names(self) -> Self:
        if self.acme is None:
            if self.acme_ca is not None:
                raise ValueError("acme_ca without acme, expected the URL of a CA's directory")
            return self
        if self.certificate is not None:
            raise ValueError("certificate and acme: expected one of them")
        if self.listen is None:
            raise ValueError("acme without listen, expected where the API is to be reached")
        addresses = [name for name in self.names if _is_address(name)]
        if addresses or not self.names:
            found = ", ".join(addresses) or "no names"
            raise ValueError(f"{found} with acme, expected the host names that the CA vouches for")
        return self


class Settings(_Section):
    """The whole file."""

    state_dir: _AbsolutePath = Path("/var/lib/wgctl")
    runtime_dir: Annotated[_AbsolutePath, AfterValidator(_short)] = Path("/run/wgctl")
    gateway: GatewaySettings
    # What is the default of each field was never in doubt, and to check it would build the section.
    resolver: ResolverSettings = ResolverSettings.model_construct()
    api: ApiSettings = ApiSettings.model_construct()

    @property
    def api_socket(self) -> Path:
        """Where operators reach the controller."""
        return self.runtime_dir / "api.sock"

    @property
    def node_socket(self) -> Path:
        """Where this host's roles reach the controller: feed and reports, nothing else."""
        return self.runtime_dir / "node.sock"

    @property
    def resolver_socket(self) -> Path:
        """Where operators ask the resolver in the name of a network."""
        return self.runtime_dir / "resolver.sock"

    @property
    def leases_file(self) -> Path:
        """How the leases stand that the internal API renews; resolver and gateway read it."""
        return self.runtime_dir / "leases" / "standings"

    @property
    def key_file(self) -> Path:
        """The gateway's private key, which root alone may read and write."""
        return self.state_dir / KEY_NAME

    @property
    def authority_file(self) -> Path:
        """The certificate of the deployment's own authority."""
        return self.state_dir / AUTHORITY_NAME

    @property
    def authority_key_file(self) -> Path:
        """Its key, which root alone may read and write."""
        return self.state_dir / AUTHORITY_KEY_NAME

    def role_dir(self, role: str) -> Path:
        """The state folder of one role, which no other role opens."""
        return self.state_dir / role


def parse(text: str, *, origin: str) -> Settings:
    """Return the settings that `text`, a TOML document, says.

    Raises Invalid with `origin`, the key and the rule for a wrong value or an unknown key.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{origin}: not TOML: {error}") from error
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise Invalid(f"{origin}: {_told(error.errors()[0])}") from error


def _told(error: "ErrorDetails") -> str:
    """Return the key, and what was found and expected there."""
    key = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _keys())
        return f"unknown key {key!a}" + (f": did you mean {' or '.join(near)}?" if near else "")
    found, rule = error["input"], error["msg"].removeprefix("Value error, ")
    if rule.startswith(_EXPECTED) and isinstance(found, str | int | float):
        text = shown(found) if isinstance(found, str) else str(found).lower()
        expected = rule.removeprefix(_EXPECTED).replace("a valid tuple", "a list")
        return f"{key}: {text}, expected {expected}"
    return f"{key}: {rule}"


def _keys() -> list[str]:
    """Return every key, those of a section behind its name."""
    found: list[str] = []
    for name, field in Settings.model_fields.items():
        inside = getattr(field.annotation, "model_fields", None)
        found += [name] if inside is None else [f"{name}.{key}" for key in inside]
    return found


def render(settings: Settings) -> str:
    """Return the TOML document that `parse` reads back as `settings`."""
    gateway = settings.gateway
    upstreams = ", ".join(f'"{upstream}"' for upstream in settings.resolver.upstreams)
    distances = ", ".join(
        f'"{region}" = {km}' for region, km in settings.resolver.distances.items()
    )
    return f"""\
state_dir = {_quoted(settings.state_dir)}
runtime_dir = {_quoted(settings.runtime_dir)}

[gateway]
region = "{gateway.region}"
endpoint = "{gateway.endpoint}"
listen_port = {gateway.listen_port}
interface = "{gateway.interface}"
backend = "{gateway.backend}"
mtu = {gateway.mtu}
peers = "{gateway.peers}"
idle_s = {gateway.idle_s}

[resolver]
upstreams = [{upstreams}]
{_tls_ca(settings.resolver.tls_ca)}\
distances = {{{distances}}}
workers = {settings.resolver.workers}
queries_per_s = {settings.resolver.queries_per_s}
{_api(settings.api)}"""


def _api(api: ApiSettings) -> str:
    """Return the section of `api`; none for one that says nothing."""
    given = {
        "listen": None if api.listen is None else f'"{api.listen}"',
        "names": ", ".join(f'"{name}"' for name in api.names).join("[]") if api.names else None,
        "certificate": None if api.certificate is None else _quoted(api.certificate),
        "key": None if api.key is None else _quoted(api.key),
        "acme": None if api.acme is None else _quoted(api.acme),
        "acme_ca": None if api.acme_ca is None else _quoted(api.acme_ca),
        "requests_per_s": None if api.requests_per_s == REQUESTS_PER_S else api.requests_per_s,
    }
    lines = [f"{key} = {value}\n" for key, value in given.items() if value is not None]
    return "".join(("\n[api]\n", *lines)) if lines else ""


def _tls_ca(path: Path | None) -> str:
    return "" if path is None else f"tls_ca = {_quoted(path)}\n"


def _quoted(text: Path | str) -> str:
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
