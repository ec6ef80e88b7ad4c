import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import InvalidInitiation
from peers.keys import PrivateKey
from peers.noise import INITIATION_BYTES, INITIATION_TYPE, TIMESTAMP_BYTES, Reader
from tests.peers.initiating import initiation, signed

GATEWAY = PrivateKey(bytes(range(1, 33)))
CLIENT = PrivateKey(bytes(range(33, 65)))
EPHEMERAL = PrivateKey(bytes(range(65, 97)))
TIMESTAMP = bytes.fromhex("400000006b0d478322000000")

READER = Reader(GATEWAY)
GENUINE = initiation(CLIENT, GATEWAY.public(), ephemeral=EPHEMERAL, timestamp=TIMESTAMP)

# What these sent from CLIENT to GATEWAY, and the time by the clock beside them.
CAPTURED = {
    "wireguard-go 0.0.20220316": (
        (
            "010000005cb77d78b3f7b7e6626715a03080ef604057c7628ef1bde2e95dd6b3c6b24c32d544091ec04d9405"
            "1415eb11325297b06e9c3260c354ccc5aeb81fa71e2c46c0cc0a97733a5ff77f623c12c6dce5455bac39264d"
            "843ed05d3fbbbf9c34b80d6f622cf2b0fcbd8e1231b6dce0726a2eda6afbd6de0fda095f39a58e4292bd23b8"
            "00000000000000000000000000000000"
        ),
        1796032377,
    ),
    "Linux 6.1.0-57-amd64": (
        (
            "0100000040d50d29802545b150d713a58122729484adb8bd8211b2a930df8a41dd781069b98d116d4cee4ba0"
            "222e95be72fd27368e783330d752932562287137f4a36d31d287840a441a70216f5c04e291044183bf66b95d"
            "8bc87b0cc7c2c2d21c749790a7c5e4e69fde713ba721c9e1fb0a2a3577f86e0e2153941b68fc20de25474ee8"
            "00000000000000000000000000000000"
        ),
        1796036768,
    ),
}

secrets = st.binary(min_size=32, max_size=32).filter(any)
private_keys = secrets.map(PrivateKey)
timestamps = st.binary(min_size=TIMESTAMP_BYTES, max_size=TIMESTAMP_BYTES)


@pytest.mark.parametrize("program", CAPTURED)
def test_what_a_real_client_sent_is_read(program: str) -> None:
    message, sent_at = bytes.fromhex(CAPTURED[program][0]), CAPTURED[program][1]

    assert READER.is_ours(message)
    initiator = READER.initiator(message)
    assert initiator.key == CLIENT.public()
    # TAI64 counts from 2^62 at the beginning of 1970; WireGuard's begins ten seconds later.
    assert abs(int.from_bytes(READER.timestamp(initiator)[:8]) - 2**62 - 10 - sent_at) <= 1


@given(private_keys, private_keys, private_keys, timestamps)
def test_what_is_made_for_a_key_is_read_with_it(
    gateway: PrivateKey, client: PrivateKey, ephemeral: PrivateKey, timestamp: bytes
) -> None:
    reader = Reader(gateway)

    message = initiation(client, gateway.public(), ephemeral=ephemeral, timestamp=timestamp)

    assert len(message) == INITIATION_BYTES
    assert reader.is_ours(message)
    assert reader.initiator(message).key == client.public()
    assert reader.timestamp(reader.initiator(message)) == timestamp


@given(private_keys.filter(lambda key: key.public() != GATEWAY.public()))
def test_what_is_for_another_key_is_not_ours(other: PrivateKey) -> None:
    message = initiation(CLIENT, other.public(), ephemeral=EPHEMERAL, timestamp=TIMESTAMP)

    assert not READER.is_ours(message)


@given(st.integers(0, 8 * 132 - 1))
def test_a_bit_that_changed_on_the_way_makes_it_another_message(bit: int) -> None:
    """All but mac2 is covered, with which a sender only shows that it got a cookie."""
    changed = bytearray(GENUINE)
    changed[bit // 8] ^= 1 << bit % 8

    assert not READER.is_ours(bytes(changed))


@given(st.integers(32, 8 * 116 - 1).filter(lambda bit: bit // 8 not in range(4, 8)))
def test_whoever_knows_our_public_key_alone_changes_nothing_in_it(bit: int) -> None:
    """A right mac1 is anybody's: behind it the seals hold."""
    changed = bytearray(GENUINE[:116])
    changed[bit // 8] ^= 1 << bit % 8
    message = signed(bytes(changed), GATEWAY.public())
    # The top bit of a point is ignored by X25519, but not by the transcript.
    assert READER.is_ours(message)

    with pytest.raises(InvalidInitiation):
        READER.timestamp(READER.initiator(message))


def test_who_claims_another_key_is_found_out_by_the_timestamp() -> None:
    other = PrivateKey(bytes(range(97, 129))).public()
    message = initiation(
        CLIENT, GATEWAY.public(), ephemeral=EPHEMERAL, timestamp=TIMESTAMP, claimed=other
    )
    initiator = READER.initiator(message)

    assert initiator.key == other
    with pytest.raises(InvalidInitiation, match="another key"):
        READER.timestamp(initiator)


@given(st.lists(st.integers(0, 3), max_size=12))
def test_who_came_before_is_read_as_if_they_had_not(order: list[int]) -> None:
    """However many they are, and whoever of them came last."""
    reader = Reader(GATEWAY, kept=1)
    for who in order:
        client = PrivateKey(bytes((who + 1,)) * 32)
        message = initiation(client, GATEWAY.public(), ephemeral=EPHEMERAL, timestamp=TIMESTAMP)

        initiator = reader.initiator(message)
        assert (initiator.key, reader.timestamp(initiator)) == (client.public(), TIMESTAMP)


def test_who_claims_the_key_of_one_that_came_before_is_found_out() -> None:
    reader = Reader(GATEWAY)
    reader.timestamp(reader.initiator(GENUINE))
    message = initiation(
        PrivateKey(bytes(range(97, 129))),
        GATEWAY.public(),
        ephemeral=EPHEMERAL,
        timestamp=TIMESTAMP,
        claimed=CLIENT.public(),
    )

    with pytest.raises(InvalidInitiation, match="another key"):
        reader.timestamp(reader.initiator(message))


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_an_ephemeral_key_of_low_order_opens_nothing(point: bytes) -> None:
    message = signed(GENUINE[:8] + point + GENUINE[40:116], GATEWAY.public())

    with pytest.raises(InvalidInitiation, match="low order"):
        READER.initiator(message)


@given(
    st.binary(max_size=200)
    | st.binary(min_size=144, max_size=144).map(lambda rest: INITIATION_TYPE + rest)
)
def test_no_other_bytes_are_ours(message: bytes) -> None:
    assert not READER.is_ours(message)


@pytest.mark.parametrize("length", [0, 4, 147, 149])
def test_another_length_is_not_ours(length: int) -> None:
    assert not READER.is_ours((GENUINE + b"\0")[:length])
