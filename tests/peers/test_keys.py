import base64
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import InvalidKey
from peers.keys import PresharedKey, PrivateKey, PublicKey
from tests.patience import HANG_S

FIELD_ORDER = 2**255 - 19
BASE_POINT = (9).to_bytes(32, "little")

# low_order_points of tools/testing/selftests/wireguard/netns.sh in the Linux kernel.
KERNEL_LOW_ORDER = [
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=",
    "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=",
    "7P///////////////////////////////////////38=",
    "7f///////////////////////////////////////38=",
    "7v///////////////////////////////////////38=",
]

secret_bytes = st.binary(min_size=32, max_size=32).filter(any)
point_bytes = st.integers(2, FIELD_ORDER - 2).map(lambda number: number.to_bytes(32, "little"))

KINDS = pytest.mark.parametrize("kind", [PrivateKey, PublicKey, PresharedKey])
SECRETS = pytest.mark.parametrize("kind", [PrivateKey, PresharedKey])


def with_top_bit(text: str) -> bytes:
    raw = bytearray(base64.b64decode(text))
    raw[31] |= 0x80
    return bytes(raw)


def exchange(raw: bytes) -> bytes:
    return X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(raw))


def wg(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["wg", *arguments], input=stdin, capture_output=True, text=True, check=True, timeout=HANG_S
    )
    return done.stdout.strip()


@given(secret_bytes)
def test_text_of_a_secret_reads_back(raw: bytes) -> None:
    assert PrivateKey.parse(PrivateKey(raw).text()) == PrivateKey(raw)
    assert PresharedKey.parse(PresharedKey(raw).text()).raw == raw


@given(point_bytes)
def test_text_of_a_public_key_reads_back_unless_it_is_of_low_order(raw: bytes) -> None:
    text = base64.b64encode(raw).decode()
    if text in KERNEL_LOW_ORDER:
        return

    assert PublicKey.parse(text) == PublicKey.from_bytes(raw)
    assert str(PublicKey(raw)) == PublicKey(raw).text() == text


@given(point_bytes)
def test_an_exchange_succeeds_with_every_public_key_that_is_taken(raw: bytes) -> None:
    try:
        key = PublicKey(raw)
    except InvalidKey:
        return

    assert any(exchange(key.raw))


@KINDS
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "0 bytes, expected 32"),
        (base64.b64encode(b"x" * 31).decode(), "31 bytes, expected 32"),
        (base64.b64encode(b"x" * 33).decode(), "33 bytes, expected 32"),
        ("ab" * 32, "48 bytes, expected 32"),
        ("CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", "canonical"),
        ("CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "43 characters that are not base64"),
        ("CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "white space"),
        (" CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "white space"),
        ("CQAAAAAAAAAAAAAAAAAAA\u2028AAAAAAAAAAAAAAAAAAAAA=", "white space"),
        ("CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-_=", "not base64"),
        ("CQ" + "\u0410" * 41 + "=", "not base64"),
        ("CQ" + "\0" * 41 + "=", "not base64"),
        ("\ud800", "not base64"),
    ],
)
def test_a_text_that_is_not_one_canonical_key_is_refused(
    kind: type[PrivateKey | PublicKey | PresharedKey], text: str, rule: str
) -> None:
    with pytest.raises(InvalidKey, match=rule):
        kind.parse(text)


@KINDS
@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_bytes_of_another_length_are_refused(
    kind: type[PrivateKey | PublicKey | PresharedKey], length: int
) -> None:
    with pytest.raises(InvalidKey, match=f"{length} bytes, expected 32"):
        kind.from_bytes(b"\x09" * length)


@SECRETS
def test_a_secret_of_zeros_is_refused(kind: type[PrivateKey | PresharedKey]) -> None:
    """The kernel takes zeros as the order to drop the key."""
    with pytest.raises(InvalidKey, match="zero"):
        kind.from_bytes(bytes(32))


@SECRETS
@given(raw=secret_bytes)
def test_a_refused_secret_is_not_in_the_message(
    kind: type[PrivateKey | PresharedKey], raw: bytes
) -> None:
    text = base64.b64encode(raw).decode()
    with pytest.raises(InvalidKey) as refusal:
        kind.parse(f"{text}x")

    assert text[:8] not in str(refusal.value)


@pytest.mark.parametrize("text", KERNEL_LOW_ORDER)
def test_the_kernels_low_order_points_are_refused_in_both_spellings(text: str) -> None:
    raw = base64.b64decode(text)
    with pytest.raises(ValueError, match="shared key"):
        exchange(raw)

    with pytest.raises(InvalidKey, match=r"low order|second spelling"):
        PublicKey.parse(text)
    with pytest.raises(InvalidKey, match="top bit"):
        PublicKey.from_bytes(with_top_bit(text))


@pytest.mark.parametrize("excess", range(19))
def test_a_number_not_below_the_field_order_is_refused(excess: int) -> None:
    with pytest.raises(InvalidKey, match="second spelling"):
        PublicKey.from_bytes((FIELD_ORDER + excess).to_bytes(32, "little"))


def test_a_public_key_with_the_top_bit_is_the_same_point_and_refused() -> None:
    private = X25519PrivateKey.generate()
    twin = with_top_bit(base64.b64encode(BASE_POINT).decode())
    one, other = (X25519PublicKey.from_public_bytes(raw) for raw in (BASE_POINT, twin))

    assert private.exchange(one) == private.exchange(other)
    with pytest.raises(InvalidKey, match="top bit"):
        PublicKey.from_bytes(twin)


@SECRETS
@given(raw=secret_bytes)
def test_a_secret_never_shows_itself(kind: type[PrivateKey | PresharedKey], raw: bytes) -> None:
    key = kind(raw)

    for shown in (repr(key), str(key), f"{key}", repr([key]), f"{key!a}", "%s" % key):  # noqa: UP031
        assert shown.strip("[]") in {f"{kind.__name__}(…)", f"{kind.__name__}(\\u2026)"}


@KINDS
def test_keys_of_equal_bytes_are_equal_and_hash_alike_and_stay_as_they_are(
    kind: type[PrivateKey | PublicKey | PresharedKey],
) -> None:
    one, same, other = kind(BASE_POINT), kind(BASE_POINT), kind(b"\x0a" + bytes(31))

    assert one == same
    assert one != other
    assert len({one, same, other}) == 2
    with pytest.raises(AttributeError):
        one.raw = other.raw  # type: ignore[misc]  # what is tested: it cannot be set


def test_keys_of_different_kinds_are_never_equal() -> None:
    keys = {PrivateKey(BASE_POINT), PublicKey(BASE_POINT), PresharedKey(BASE_POINT)}

    assert len(keys) == 3


def test_public_keys_sort_by_their_bytes() -> None:
    first, second = PublicKey(BASE_POINT), PublicKey(b"\x0a" + bytes(31))

    assert sorted([second, first]) == [first, second]


def test_generated_keys_differ_and_private_ones_are_clamped() -> None:
    private = [PrivateKey.generate() for _ in range(64)]

    assert len(set(private)) == 64
    assert len({PresharedKey.generate() for _ in range(64)}) == 64
    assert all(key.raw[0] & 7 == 0 and key.raw[31] >> 6 == 1 for key in private)


def test_bytes_of_a_private_key_are_kept_as_given() -> None:
    assert PrivateKey.from_bytes(b"\xff" * 32).raw == b"\xff" * 32


def test_the_public_half_is_the_one_that_wg_gives() -> None:
    for private in (wg("genkey"), PrivateKey.generate().text(), PrivateKey(b"\xff" * 32).text()):
        assert PrivateKey.parse(private).public().text() == wg("pubkey", stdin=private)


def test_a_preshared_key_of_wg_is_read() -> None:
    text = wg("genpsk")

    assert PresharedKey.parse(text).text() == text
