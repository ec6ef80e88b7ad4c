import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.keys import PresharedKey, PrivateKey
from wgctl.core.allowed_ips import NO_IPS, AllowedIPs, pack
from wgctl.core.errors import Unavailable
from wgctl.core.ports import Seen
from wgctl.core.tunnel import (
    AddPeers,
    Device,
    DeviceStep,
    GivePeer,
    Greet,
    RemovePeer,
    SetDevice,
    SetPeer,
    Source,
)
from wgctl.drivers import uapi

SECRET = PrivateKey.generate()
PSK = PresharedKey.generate()
ONE, OTHER = b"\x11" * 32, b"\x12" * 32
IP, OTHER_IP = IPv6Network("fdaa:0:1:10::2/128"), IPv4Network("10.0.0.1/32")

DESCRIBED = f"""\
private_key={SECRET.raw.hex()}
listen_port=51820
public_key={ONE.hex()}
preshared_key={"0" * 64}
protocol_version=1
endpoint=[2001:db8::1%3]:1234
last_handshake_time_sec=1700000000
last_handshake_time_nsec=5
tx_bytes=12
rx_bytes=34
persistent_keepalive_interval=0
allowed_ip={IP}
allowed_ip={OTHER_IP}
public_key={OTHER.hex()}
last_handshake_time_sec=0
tx_bytes=0
rx_bytes=0
errno=0

"""


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Callable[[bytes], Path]]:
    """Start a device that reads one request and gives the answer it was told."""
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> Path:
        path = tmp_path / "wt0.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with listener, connection:
                request = b""
                while not request.endswith(b"\n\n"):
                    request += connection.recv(1000)
                connection.sendall(answer)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return path

    yield start
    for thread in threads:
        thread.join(10)


def test_a_description_is_read_whole() -> None:
    device, seen = (read(DESCRIBED.splitlines()) for read in (uapi.parse, uapi.parse_seen))

    assert device == Device(SECRET, 51820, {ONE: pack({IP, OTHER_IP}), OTHER: NO_IPS})
    assert seen == {
        ONE: Seen("[2001:db8::1%3]:1234", 1700000000, received_bytes=34, sent_bytes=12),
        OTHER: Seen(None, None, 0, 0),
    }


def test_a_device_without_a_key_has_none() -> None:
    zero = "0" * 64

    assert uapi.parse(["errno=0\n"]) == Device(None, 0, {})
    assert uapi.parse([f"private_key={zero}\n", "errno=0\n"]).private_key is None


@given(
    st.binary(min_size=32, max_size=32).filter(any),
    st.integers(0, 65535),
    st.dictionaries(
        st.binary(min_size=32, max_size=32),
        st.frozensets(st.ip_addresses().map(ip_network), max_size=3).map(pack),
        max_size=3,
    ),
    st.sampled_from([PSK, None]),
)
def test_what_is_set_is_what_a_device_describes(
    key: bytes,
    port: int,
    peers: dict[bytes, AllowedIPs],
    psk: PresharedKey | None,
) -> None:
    """The words of a set are those of a description."""
    private_key = PrivateKey.from_bytes(key)
    steps: list[DeviceStep] = [SetDevice(private_key, port)]
    steps += [SetPeer(key, ips, psk) for key, ips in peers.items()]
    keys = {} if psk is None else dict.fromkeys(peers, psk)

    described = uapi.render(steps).removeprefix("set=1\n").rstrip("\n") + "\nerrno=0\n\n"

    assert uapi.parse(described.splitlines()) == Device(private_key, port, peers, keys)


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ([], ["set=1"]),
        ([SetDevice(None, 9)], ["set=1", "listen_port=9"]),
        ([SetDevice(None, None)], ["set=1"]),
        ([RemovePeer(ONE)], ["set=1", f"public_key={ONE.hex()}", "remove=true"]),
        (
            [SetPeer(ONE, pack({IP})), SetDevice(None, 9)],
            [
                "set=1",
                "listen_port=9",
                f"public_key={ONE.hex()}",
                f"preshared_key={'0' * 64}",
                "replace_allowed_ips=true",
                f"allowed_ip={IP}",
            ],
        ),
        (
            [SetPeer(ONE, NO_IPS, PSK)],
            [
                "set=1",
                f"public_key={ONE.hex()}",
                f"preshared_key={PSK.raw.hex()}",
                "replace_allowed_ips=true",
            ],
        ),
        (
            [SetPeer(ONE, NO_IPS, anew=True)],
            [
                "set=1",
                f"public_key={ONE.hex()}",
                "remove=true",
                f"public_key={ONE.hex()}",
                f"preshared_key={'0' * 64}",
                "replace_allowed_ips=true",
            ],
        ),
        (
            [AddPeers({ONE: NO_IPS}, {ONE: PSK})],
            [
                "set=1",
                f"public_key={ONE.hex()}",
                f"preshared_key={PSK.raw.hex()}",
                "replace_allowed_ips=true",
            ],
        ),
        (
            [GivePeer(ONE, pack({IP}))],
            ["set=1", f"public_key={ONE.hex()}", "update_only=true", f"allowed_ip={IP}"],
        ),
        (
            [Greet(ONE, Source(IPv6Address("fe80::1%3"), 1234))],
            [
                "set=1",
                f"public_key={ONE.hex()}",
                "update_only=true",
                "endpoint=[fe80::1%3]:1234",
                "persistent_keepalive_interval=1",
                f"public_key={ONE.hex()}",
                "update_only=true",
                "persistent_keepalive_interval=0",
            ],
        ),
    ],
)
def test_a_set_holds_just_its_steps(steps: list[DeviceStep], lines: list[str]) -> None:
    assert uapi.render(steps) == "\n".join([*lines, "", ""])


def test_no_set_replaces_the_peers_of_a_device_or_names_an_endpoint_but_to_greet() -> None:
    text = uapi.render([SetDevice(SECRET, 1), SetPeer(ONE, pack({IP})), RemovePeer(OTHER)])

    assert "replace_peers" not in text
    assert "endpoint" not in text


@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "listen_port=1\n\n",
        "errno=5\n\n",
        "listen_port=x\nerrno=0\n\n",
        "public_key=zz\nerrno=0\n\n",
        "public_key=\nerrno=0\n\n",
        f"public_key={ONE.hex()}\nallowed_ip=x/y\nerrno=0\n\n",
        "private_key=00ff\nerrno=0\n\n",
    ],
)
def test_a_description_of_another_form_is_refused(
    device: Callable[[bytes], Path], text: str
) -> None:
    with pytest.raises(Unavailable, match="the device"):
        uapi.read(device(text.encode()))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"errno=-98\n\n", "choose another listen_port"),
        (b"errno=98\n\n", "choose another listen_port"),
        (b"errno=22\n\n", "Invalid argument.*65,536 peers at most"),
        (b"nonsense\n\n", "refused a change"),
        (b"errno=0", "hung up"),
    ],
)
def test_a_refused_set_says_why(device: Callable[[bytes], Path], answer: bytes, says: str) -> None:
    with pytest.raises(Unavailable, match=says) as caught:
        uapi.set_(device(answer), [SetDevice(SECRET, 51820)])

    assert SECRET.raw.hex() not in str(caught.value)


def test_a_taken_set_says_nothing(device: Callable[[bytes], Path]) -> None:
    uapi.set_(device(b"errno=0\n\n"), [SetDevice(SECRET, 51820)])


def test_a_socket_that_nobody_listens_on_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "wt0.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(path))

    assert not uapi.answers(path)
    assert not uapi.answers(tmp_path / "none.sock")
    assert uapi.owner(path) is None
    with pytest.raises(Unavailable, match="no WireGuard device answers there"):
        uapi.read(path)


@pytest.mark.parametrize("read", [uapi.read, uapi.observe])
def test_a_description_is_read_as_it_comes(
    device: Callable[[bytes], Path], read: Callable[[Path], object]
) -> None:
    """One of 65,000 peers has 25 MB, and is held by nobody."""
    one, rest = DESCRIBED.split("public_key=", 1)
    facts = rest.split("\n", 1)[1].split("public_key=")[0]
    peers = "".join(f"public_key={number.to_bytes(32).hex()}\n{facts}" for number in range(5_000))
    answer = f"{one}{peers}errno=0\n\n".encode()
    path = device(answer)
    tracemalloc.start()
    try:
        found = read(path)
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found
    assert most - left < len(answer) / 2
