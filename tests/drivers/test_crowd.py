from ipaddress import IPv6Address

from wgctl.drivers.crowd import Crowd


def address(network: int, number: int) -> bytes:
    return IPv6Address(f"fdaa:0:{network:x}:10::{number:x}").packed


def test_eight_of_one_address_are_let_in() -> None:
    crowd = Crowd()

    assert [crowd.admit(address(1, 2)) for _ in range(9)] == [True] * 8 + [False]
    assert crowd.admit(address(1, 3))


def test_one_that_leaves_makes_room_for_another() -> None:
    crowd = Crowd()
    for _ in range(8):
        crowd.admit(address(1, 2))

    crowd.leave(address(1, 2))

    assert [crowd.admit(address(1, 2)) for _ in range(2)] == [True, False]


def test_a_full_network_leaves_room_for_the_others() -> None:
    crowd = Crowd()

    assert [crowd.admit(address(1, n)) for n in range(65)] == [True] * 64 + [False]
    assert crowd.admit(address(2, 1))


def test_five_hundred_and_twelve_are_let_in_of_all_networks_together() -> None:
    crowd = Crowd()

    assert all(crowd.admit(address(n, 1)) for n in range(512))
    assert not crowd.admit(address(999, 1))
    assert not crowd.admit(None)
    crowd.leave(address(0, 1))
    assert crowd.admit(None)


def test_one_that_is_refused_is_not_counted() -> None:
    crowd = Crowd()
    for _ in range(20):
        crowd.admit(address(1, 2))

    for _ in range(8):
        crowd.leave(address(1, 2))

    assert [crowd.admit(address(1, n)) for n in range(65)] == [True] * 64 + [False]


def test_another_listener_has_other_numbers() -> None:
    crowd = Crowd(per_asker=2, per_network=3)

    assert [crowd.admit(address(1, 2)) for _ in range(3)] == [True, True, False]
    assert [crowd.admit(address(1, 3)) for _ in range(2)] == [True, False]
