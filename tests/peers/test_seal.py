import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import InvalidSeal
from peers.keys import PresharedKey, PrivateKey
from peers.seal import SEALED_BYTES, SealedKey, seal, unseal

# Worked out by an implementation of the four RFCs that shares no code with ours.
KNOWN = (
    "5869aff450549732cbaaed5e5df9b30a6da31cb0e5742bad5ad4a1a768f1a67b"
    "43e286d3c8ae4972e857048329f288dd655b01fdb845210d6657ed4f5ce4d573"
    "8e8bc466b9338b070de769ca1807db1c"
)
GATEWAY = PrivateKey(bytes(range(1, 33)))
EPHEMERAL = PrivateKey(bytes(range(33, 65)))
KEY = PresharedKey(bytes(range(65, 97)))
PEER = PrivateKey(bytes(range(97, 129))).public()
SEALED = seal(KEY, gateway=GATEWAY.public(), peer=PEER, ephemeral=EPHEMERAL)

secrets = st.binary(min_size=32, max_size=32).filter(any)
private_keys = secrets.map(PrivateKey)


def test_a_seal_has_the_known_bytes() -> None:
    assert SEALED.raw.hex() == KNOWN
    assert unseal(SealedKey(bytes.fromhex(KNOWN)), gateway=GATEWAY, peer=PEER) == KEY


@given(secrets.map(PresharedKey), private_keys, private_keys, private_keys)
def test_what_is_sealed_is_opened_by_its_gateway(
    key: PresharedKey, gateway: PrivateKey, peer: PrivateKey, ephemeral: PrivateKey
) -> None:
    sealed = seal(key, gateway=gateway.public(), peer=peer.public(), ephemeral=ephemeral)

    assert unseal(sealed, gateway=gateway, peer=peer.public()) == key
    assert key.raw not in sealed.raw


@given(private_keys)
def test_no_other_gateway_opens_it(other: PrivateKey) -> None:
    if other.public() != GATEWAY.public():
        with pytest.raises(InvalidSeal, match="not sealed to this gateway"):
            unseal(SEALED, gateway=other, peer=PEER)


@given(private_keys)
def test_it_is_opened_for_no_other_peer(other: PrivateKey) -> None:
    """A seal that was put beside another peer's key would give that one this one's secret."""
    with pytest.raises(InvalidSeal, match="for this peer"):
        unseal(SEALED, gateway=GATEWAY, peer=other.public())


@given(st.integers(0, SEALED_BYTES * 8 - 1))
def test_one_turned_bit_and_it_does_not_open(place: int) -> None:
    turned = int.from_bytes(SEALED.raw, "little") ^ (1 << place)

    with pytest.raises(InvalidSeal):
        unseal(SealedKey(turned.to_bytes(SEALED_BYTES, "little")), gateway=GATEWAY, peer=PEER)


@given(st.binary(min_size=SEALED_BYTES, max_size=SEALED_BYTES))
def test_no_bytes_make_it_fail_otherwise(raw: bytes) -> None:
    with pytest.raises(InvalidSeal):
        unseal(SealedKey(raw), gateway=GATEWAY, peer=PEER)


@given(st.binary(min_size=SEALED_BYTES, max_size=SEALED_BYTES))
def test_its_text_is_read_back(raw: bytes) -> None:
    assert SealedKey.parse(str(SealedKey(raw))) == SealedKey(raw)
    assert len(str(SealedKey(raw))) == 108


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        KEY.text(),
        f"{SEALED} ",
        f"{SEALED}\n",
        str(SEALED)[:-2] + "1=",
        base64.b64encode(bytes(79)).decode(),
        base64.b64encode(bytes(81)).decode(),
    ],
)
def test_what_is_no_seal_is_refused(text: str) -> None:
    with pytest.raises(InvalidSeal):
        SealedKey.parse(text)


def test_no_message_and_no_seal_shows_the_key() -> None:
    with pytest.raises(InvalidSeal) as refusal:
        unseal(SEALED, gateway=EPHEMERAL, peer=PEER)
    shown = f"{refusal.value} {refusal.value.__cause__!r} {SEALED} {SEALED!r}"

    assert KEY.text() not in shown
    assert GATEWAY.text() not in shown
