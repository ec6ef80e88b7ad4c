import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.drivers.netlink.attributes import (
    LONGEST_BYTES,
    from_number,
    nested,
    pack,
    to_number,
    unpack,
)

# A flag in the top bits says that a value is nested or in network order.
TYPES = st.integers(0, 0x3FFF)


@given(st.lists(st.tuples(TYPES, st.binary(max_size=40))))
def test_what_is_packed_is_unpacked(listed: list[tuple[int, bytes]]) -> None:
    data = b"".join(pack(kind, value) for kind, value in listed)

    assert list(unpack(data)) == listed
    assert len(data) % 4 == 0


@given(TYPES, st.lists(st.tuples(TYPES, st.binary(max_size=9))))
def test_a_nested_attribute_holds_its_members(kind: int, listed: list[tuple[int, bytes]]) -> None:
    ((found, value),) = unpack(nested(kind, [pack(*one) for one in listed]))

    assert found == kind
    assert list(unpack(value)) == listed


def test_an_attribute_is_laid_out_as_the_kernel_wants_it() -> None:
    assert pack(3, b"\xaa") == from_number(5, size=2) + from_number(3, size=2) + b"\xaa\0\0\0"
    assert nested(8, []) == from_number(4, size=2) + from_number(0x8008, size=2)


def test_the_longest_attribute_is_read_back() -> None:
    assert list(unpack(pack(1, bytes(LONGEST_BYTES)))) == [(1, bytes(LONGEST_BYTES))]


@given(st.integers(0, 2**64 - 1))
def test_a_number_reads_back(number: int) -> None:
    assert to_number(from_number(number, size=8)) == number


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\0\0\0\0",
        from_number(3, size=2) + b"\0\0",
        from_number(5, size=2) + b"\0\0",
        pack(1, b"abcd")[:-1],
        pack(1, b"") + b"\x04\0\0",
    ],
)
def test_an_attribute_of_a_wrong_length_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(unpack(data))


@given(st.binary(max_size=60))
def test_no_bytes_are_read_but_as_attributes_or_not_at_all(data: bytes) -> None:
    try:
        found = list(unpack(data))
    except ValueError:
        return

    assert sum(4 + len(value) for _, value in found) <= len(data)
