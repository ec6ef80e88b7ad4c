import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.endpoint import Endpoint
from peers.errors import Invalid
from peers.names import Label
from wgctl.core.forward.upstream import Upstream
from wgctl.core.settings import (
    ApiSettings,
    Backend,
    Choice,
    GatewaySettings,
    ResolverSettings,
    Settings,
    parse,
    render,
)

_LEAST = """\
[gateway]
region = "ams"
endpoint = "203.0.113.7:51820"
"""
_LISTEN = _LEAST + '[api]\nlisten = "[::]:443"\n'
_ACME = _LEAST + '[api]\nnames = ["vpn.example.org"]\n'


def test_reading_a_file_builds_no_section_for_itself() -> None:
    """Each command reads it, and building takes longer than all else that is done with it."""
    code = (
        "from wgctl.core import settings\n"
        f"settings.parse({_LEAST!r}, origin='x')\n"
        "names = ['Settings', 'GatewaySettings', 'ResolverSettings', 'ApiSettings']\n"
        "print(*(getattr(settings, name).__pydantic_complete__ for name in names))"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert told.stdout.split() == ["True", "False", "False", "False"]


def test_what_is_left_out_is_as_documented() -> None:
    settings = parse(_LEAST, origin="x")

    assert settings == Settings(
        state_dir=Path("/var/lib/wgctl"),
        runtime_dir=Path("/run/wgctl"),
        gateway=GatewaySettings(
            region=Label("ams"),
            endpoint=Endpoint.parse("203.0.113.7:51820"),
            listen_port=51820,
            interface="wgctl0",
            backend=Backend.AUTO,
            mtu=1420,
            peers=Choice.EAGER,
            idle_s=600,
        ),
        resolver=ResolverSettings(upstreams=(), tls_ca=None, distances={}),
        api=ApiSettings(
            listen=None,
            names=(),
            certificate=None,
            key=None,
            acme=None,
            acme_ca=None,
            requests_per_s=200,
        ),
    )


_printable = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="/"), min_size=1
).filter(str.isprintable)
_paths = st.lists(_printable, min_size=1, max_size=4).map(lambda parts: Path("/", *parts))
_endpoints = st.builds(
    lambda host, port: Endpoint.parse(f"{host}:{port}"),
    st.sampled_from(["203.0.113.7", "[2001:db8::1]", "vpn.example.com"]),
    st.integers(1, 65535),
)


_UPSTREAMS = [
    Upstream.parse(text) for text in ("9.9.9.9", "tcp://[2001:db8::1]:5", "tls://9.9.9.9#a.example")
]


_NAMES = ["vpn.example.org", "api.example.org"]
_listens = st.sampled_from(["[::]:8443", "0.0.0.0:1", "203.0.113.7:65535", "[2001:db8::1]:443"])
_paces = st.sampled_from([1, 200, 1_000_000])
_common = {"listen": st.none() | _listens, "requests_per_s": _paces}
_hosts = st.lists(st.sampled_from([*_NAMES, "203.0.113.7", "2001:db8::1"]), max_size=3).map(tuple)
_apis = st.one_of(
    st.builds(ApiSettings, names=_hosts, **_common),
    st.builds(
        lambda files, **others: ApiSettings(certificate=files[0], key=files[1], **others),
        st.tuples(_paths, _paths),
        names=_hosts,
        **_common,
    ),
    st.builds(
        ApiSettings,
        names=st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map(tuple),
        acme=st.sampled_from(
            ["https://ca.example.org/d", 'https://[2001:db8::1]:14000/a"\\?b=%20', "https://ca"]
        ),
        acme_ca=st.none() | _paths,
        listen=_listens,
        requests_per_s=_paces,
    ),
)


@given(
    st.builds(
        Settings,
        state_dir=_paths,
        runtime_dir=_paths.filter(lambda path: len(bytes(path)) < 90),
        gateway=st.builds(
            GatewaySettings,
            region=st.sampled_from(["ams", "eu-1"]),
            endpoint=_endpoints,
            listen_port=st.integers(1, 65535),
            interface=st.sampled_from(["wgctl0", "Wg_1.a-b"]),
            backend=st.sampled_from(Backend),
            mtu=st.integers(1280, 65535),
            peers=st.sampled_from(Choice),
            idle_s=st.integers(180, 2**40),
        ),
        resolver=st.builds(
            ResolverSettings,
            upstreams=st.lists(st.sampled_from(_UPSTREAMS), max_size=3).map(tuple),
            tls_ca=st.none() | _paths,
            distances=st.dictionaries(
                st.sampled_from(["fra", "eu-1", "7"]), st.integers(0, 2**40), max_size=3
            ),
        ),
        api=_apis,
    )
)
def test_what_is_rendered_is_read_back(settings: Settings) -> None:
    assert parse(render(settings), origin="x") == settings


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("9.9.9.9", "9.9.9.9:53"),
        ("2620:fe::fe", "[2620:fe::fe]:53"),
    ],
)
def test_an_upstream_without_a_port_is_asked_on_53(text: str, endpoint: str) -> None:
    settings = parse(f'{_LEAST}[resolver]\nupstreams = ["{text}"]', origin="x")

    assert settings.resolver.upstreams == (Upstream(Endpoint.parse(endpoint)),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("region = ", "not TOML"),
        ("", "gateway: Field required"),
        ("colour = 1\n" + _LEAST, "unknown key 'colour'"),
        (_LEAST + "listenport = 1", "'gateway.listenport': did you mean gateway.listen_port"),
        (_LEAST + '"\\u001b" = 1', r"unknown key 'gateway.\\x1b'"),
        (_LEAST + "[resolver]\nupstream = []", "upstream': did you mean resolver.upstreams"),
        (_LEAST + '[resolver]\nupstreams = "9.9.9.9"', "upstreams: '9.9.9.9', expected a list"),
        (_LEAST + "listen_port = 0", "gateway.listen_port: .* greater than or equal to 1"),
        (_LEAST + "listen_port = 65536", "gateway.listen_port: .* less than or equal to 65535"),
        (_LEAST + 'listen_port = "51820"', "listen_port: '51820', expected a valid integer"),
        (_LEAST + "listen_port = 51820.0", "gateway.listen_port: .* valid integer"),
        (_LEAST + "listen_port = true", "listen_port: true, expected a valid integer"),
        (_LEAST + 'mtu = "1420"', "gateway.mtu: .* valid integer"),
        (_LEAST + "mtu = 1279", "gateway.mtu: "),
        (_LEAST + 'peers = "lazy"', "gateway.peers: .*'eager' or 'on-demand'"),
        (_LEAST + "idle_s = 179", "gateway.idle_s: .* greater than or equal to 180"),
        (_LEAST + 'backend = "magic"', "gateway.backend: .*'auto', 'kernel' or 'userspace'"),
        (_LEAST + 'interface = "../x"', "gateway.interface: interface"),
        (_LEAST + 'interface = "lo"', "gateway.interface: .*system's own"),
        ('[gateway]\nregion = "Ams"\nendpoint = "a:1"', "gateway.region: region 'Ams'"),
        ('[gateway]\nregion = "ams"\nendpoint = "a:0"', "gateway.endpoint: "),
        ('[gateway]\nregion = 5\nendpoint = "a:1"', "gateway.region: "),
        ('[gateway]\nregion = "ams"\nendpoint = 5', "gateway.endpoint: "),
        (f'runtime_dir = "/{"r" * 93}"\n' + _LEAST, "paths of 108 bytes, expected at most 107"),
        ('state_dir = "var"\n' + _LEAST, "state_dir: var is relative"),
        ('runtime_dir = "/a\\u0000b"\n' + _LEAST, r"runtime_dir: '/a\\x00b' holds an unprint"),
        (_LEAST + "[resolver]\nupstreams = [5]", "resolver.upstreams.0: "),
        (_LEAST + '[resolver]\nupstreams = ["9.9.9.9:x"]', "resolver.upstreams.0: "),
        (_LEAST + '[resolver]\nupstreams = ["dns.example"]', "upstreams.0: .*expected an address"),
        (_LEAST + f"[resolver]\nupstreams = {['9.9.9.9'] * 17}", "upstreams: .*at most 16"),
        (_LEAST + '[resolver]\ntls_ca = "ca.pem"', "resolver.tls_ca: ca.pem is relative"),
        (_LEAST + "[resolver.distances]\nAms = 5", "resolver.distances.Ams.*region 'Ams'"),
        (_LEAST + "[resolver.distances]\nfra = -1", "resolver.distances.fra: .*greater than"),
        (_LEAST + "[resolver.distances]\nfra = true", "resolver.distances.fra: .*integer"),
        ("gateway = 5", "gateway: "),
        (_LEAST + '[api]\nlisten = ":8443"', "api.listen: ':8443', expected an address"),
        (_LEAST + '[api]\nlisten = "[::]"', "api.listen: "),
        (_LEAST + '[api]\nlisten = "::1:8443"', "api.listen: "),
        (_LEAST + '[api]\nlisten = "[203.0.113.7]:8443"', "api.listen: "),
        (_LEAST + '[api]\nlisten = "vpn.example.org:8443"', "api.listen: "),
        (_LEAST + '[api]\nlisten = "[::]:0"', "api.listen: "),
        (_LEAST + '[api]\nlisten = "[::]:65536"', "api.listen: "),
        (_LEAST + '[api]\nlisten = "[::]:\\u0661"', "api.listen: "),
        (_LEAST + '[api]\nnames = ["a b"]', "api.names.0: "),
        (_LEAST + '[api]\ncertificate = "/x"', "api: .*expected both"),
        (_LEAST + '[api]\nkey = "/x"', "api: .*expected both"),
        (_ACME + 'acme = "http://ca.example.org/d"', "api.acme: 'http:.*, expected a URL such as"),
        (_ACME + 'acme = "https:///d"', "api.acme: "),
        (_ACME + 'acme = "ca.example.org"', "api.acme: "),
        (_ACME + 'acme = "https://user@ca.example.org/d"', "api.acme: "),
        (_ACME + 'acme = "https://ca.example.org/d#e"', "api.acme: "),
        (_ACME + 'acme = "https://ca.example.org:x/d"', "api.acme: "),
        (_ACME + 'acme = "https://ca.example.org/\\n"', "api.acme: "),
        (_ACME + 'acme = "https://ca example/"', "api.acme: "),
        (_ACME + 'acme = "https://[::1/"', "api.acme: "),
        (_ACME + 'acme_ca = "/x"', "api: acme_ca without acme"),
        (_ACME + 'acme = "https://ca/d"\nacme_ca = "x"', "api.acme_ca: x is relative"),
        (
            _ACME + 'acme = "https://ca/d"\ncertificate = "/x"\nkey = "/y"',
            "api: certificate and acme: expected one of them",
        ),
        (_ACME + 'acme = "https://ca/d"', "api: acme without listen, expected where"),
        (_LISTEN + 'acme = "https://ca/d"', "api: no names with acme, expected"),
        (
            _LISTEN + 'names = ["a.example", "192.0.2.1", "::1"]\nacme = "https://ca/d"',
            "api: 192.0.2.1, ::1 with acme, expected the host names",
        ),
        (_LEAST + '[api]\nnames = ["*.example"]\nacme = "https://ca/d"', "api.names.0: "),
    ],
)
def test_a_refusal_names_the_file_the_key_and_the_rule(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        parse(text, origin="/etc/wgctl.toml")
    assert str(refused.value).startswith("/etc/wgctl.toml: ")


@pytest.mark.parametrize("path", ["relative", "/a\nb", "/a\x1b[2J"])
def test_a_path_that_no_file_can_say_is_refused(path: str) -> None:
    gateway = parse(_LEAST, origin="x").gateway

    with pytest.raises(ValueError, match="expected a"):
        Settings(state_dir=Path(path), gateway=gateway)


def test_the_sockets_are_in_the_runtime_folder_and_roles_keep_apart() -> None:
    settings = parse('runtime_dir = "/r"\nstate_dir = "/s"\n' + _LEAST, origin="x")

    assert settings.api_socket == Path("/r/api.sock")
    assert settings.node_socket == Path("/r/node.sock")
    assert settings.resolver_socket == Path("/r/resolver.sock")
    assert settings.role_dir("gateway") == Path("/s/gateway")
