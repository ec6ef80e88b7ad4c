import pytest

from wgctl.core.forward.resolv_conf import is_stub, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("nameserver 9.9.9.9\nnameserver 2620:fe::fe\n", ["9.9.9.9:53", "[2620:fe::fe]:53"]),
        ("# nameserver 1.1.1.1\n  nameserver\t9.9.9.9 # x\nsearch a.example\n", ["9.9.9.9:53"]),
        ("nameserver 9.9.9.9\nnameserver 9.9.9.9\n", ["9.9.9.9:53"]),
        ("nameserver 127.0.0.1\n", ["127.0.0.1:53"]),
        ("nameserver 127.0.0.53\nnameserver 9.9.9.9\n", ["9.9.9.9:53"]),
        ("nameserver fe80::1%eth0\nnameserver 0.0.0.0\nnameserver x\nnameserver\n", []),
    ],
)
def test_name_servers_are_upstreams_but_for_stubs_and_those_of_one_link(
    text: str, found: list[str]
) -> None:
    assert [str(upstream) for upstream in parse(text)] == found


@pytest.mark.parametrize(
    ("text", "stub"),
    [
        ("nameserver 127.0.0.53\noptions edns0 trust-ad\n", True),
        ("nameserver 127.0.0.53\nnameserver 127.0.0.54\n", True),
        ("nameserver 127.0.0.53\nnameserver 9.9.9.9\n", False),
        ("nameserver 9.9.9.9\n", False),
        ("", False),
    ],
)
def test_a_stub_is_known_by_its_address(text: str, *, stub: bool) -> None:
    assert is_stub(text) is stub
