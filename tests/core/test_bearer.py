import base64
import re
import secrets

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, KeyPair, PublicKey
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.access import WHOLE, Narrowing
from wgctl.core.bearer import PREFIX, Bearer, checksum, judge
from wgctl.core.errors import Invalid
from wgctl.core.model import Proof

_SEED, _SECRET = bytes(range(32)), bytes(range(32, 64))
_TOKEN, _PROOF = Bearer.make(seed=_SEED, secret=_SECRET)

# The first letter keeps clear of words that are reserved, and no other rule can be broken so.
_labels = st.from_regex(r"x[a-z0-9]{0,8}", fullmatch=True)
_narrowings = st.builds(
    Narrowing,
    st.none() | st.frozensets(_labels, min_size=1, max_size=4),
    st.none() | st.integers(0, 253_402_300_799),  # the end of the year 9999
    st.booleans(),
).filter(lambda narrowing: narrowing != WHOLE)


def _biscuit(token: Bearer) -> Biscuit:
    text = token.render()
    raw = base64.urlsafe_b64decode(text[len(PREFIX) : -6] + "==")
    return Biscuit.from_bytes(raw[32:], PublicKey(f"ed25519/{raw[:32].hex()}"))


def _with_block(token: Bearer, source: str) -> Bearer:
    """Return `token` with a block that any other program that knows biscuits can add."""
    return Bearer(token.public_key, bytes(_biscuit(token).append(BlockBuilder(source)).to_bytes()))


def test_a_token_is_known_again() -> None:
    assert judge(Bearer.parse(_TOKEN.render()), _PROOF) == WHOLE


def test_two_tokens_share_nothing() -> None:
    made = [
        Bearer.make(seed=secrets.token_bytes(32), secret=secrets.token_bytes(32)) for _ in range(2)
    ]
    (one, proof), (other, _) = made

    assert one.public_key != other.public_key
    with pytest.raises(Invalid, match="signatures"):
        judge(other, proof)


def test_what_the_store_keeps_holds_no_secret_and_makes_no_token() -> None:
    kept = _PROOF.public_key + _PROOF.secret_hash

    assert _SECRET not in kept
    assert _SEED not in kept
    with pytest.raises(Invalid):
        judge(Bearer.make(seed=_PROOF.secret_hash, secret=_SECRET)[0], _PROOF)


@given(st.lists(_narrowings, max_size=4))
def test_what_is_taken_away_adds_up(narrowings: list[Narrowing]) -> None:
    token, left = _TOKEN, WHOLE
    for narrowing in narrowings:
        token, left = token.narrowed(narrowing), left.and_also(narrowing)

    assert judge(Bearer.parse(token.render()), _PROOF) == left


def test_nothing_taken_away_is_a_slip() -> None:
    with pytest.raises(Invalid, match="nothing is taken"):
        _TOKEN.narrowed(WHOLE)


@pytest.mark.parametrize(
    "source",
    [
        'network("default")',
        'verb("write")',
        "time(2026-01-01T00:00:00Z)",
        'check if network($n), ["lab"].contains($n)',
        'check if network($network), ["lab", "LAB"].contains($network)',
        'check if verb("read") or true',
        'check if verb("read"); verb("write")',
        'reject if verb("read")',
        "secret(hex:00)",
    ],
)
def test_a_block_of_another_hand_is_refused(source: str) -> None:
    """What takes away something that this wgctl does not know must not be passed over."""
    with pytest.raises(Invalid, match=r"none of wgctl's|upper-case"):
        judge(_with_block(_TOKEN, source), _PROOF)


def test_a_block_without_words_is_refused() -> None:
    with pytest.raises(Invalid):
        judge(_with_block(_TOKEN, ""), _PROOF)


def test_a_block_that_is_taken_off_leaves_no_token() -> None:
    """The first block's bytes are there to be read, and the key that signed the second is not."""
    narrow = _TOKEN.narrowed(Narrowing(read_only=True))
    forged = BiscuitBuilder("secret({secret});", {"secret": _SECRET}).build(KeyPair().private_key)
    raw = bytes(forged.to_bytes())
    whole = narrow.render()

    with pytest.raises(Invalid, match="signatures"):
        judge(Bearer(narrow.public_key, raw), _PROOF)
    for cut in range(len(PREFIX) + 44, len(whole) - 6, 7):
        payload = whole[len(PREFIX) : cut]
        with pytest.raises(Invalid):
            judge(Bearer.parse(f"{PREFIX}{payload}{checksum(payload)}"), _PROOF)


def test_the_right_key_with_another_secret_is_refused() -> None:
    twin, _ = Bearer.make(seed=_SEED, secret=bytes(32))

    with pytest.raises(Invalid, match="another secret"):
        judge(twin, _PROOF)


def test_a_first_block_that_holds_more_is_refused() -> None:
    pair = KeyPair()
    built = BiscuitBuilder(f"secret(hex:{_SECRET.hex()}); verb(1)").build(pair.private_key)
    key = bytes(pair.public_key.to_bytes())

    with pytest.raises(Invalid, match="another secret"):
        judge(Bearer(key, bytes(built.to_bytes())), Proof(key, _PROOF.secret_hash))


def test_more_blocks_than_anybody_needs_are_refused() -> None:
    token = _TOKEN
    for _ in range(20):
        token = token.narrowed(Narrowing(read_only=True))

    with pytest.raises(Invalid, match="21 blocks"):
        judge(token, _PROOF)


@given(st.text() | st.binary().map(lambda raw: PREFIX + base64.urlsafe_b64encode(raw).decode()))
def test_no_text_is_taken_for_a_token_and_none_breaks_it(text: str) -> None:
    payload = text.removeprefix(PREFIX)
    for given_text in (text, f"{PREFIX}{payload}{checksum(payload)}"):
        with pytest.raises(Invalid):
            judge(Bearer.parse(given_text), _PROOF)


@given(st.integers(0, len(_TOKEN.render()) - 1), st.sampled_from("aZ09-_ é"))
def test_one_other_character_is_no_token(place: int, character: str) -> None:
    text = _TOKEN.render()
    if text[place] != character:
        with pytest.raises(Invalid):
            judge(Bearer.parse(text[:place] + character + text[place + 1 :]), _PROOF)


def test_a_scanner_finds_a_token_and_its_text_is_in_no_repr() -> None:
    text = _TOKEN.render()

    assert re.fullmatch(r"wgctl_[A-Za-z0-9_-]{300,}", text)
    assert repr(_TOKEN) == "Bearer(…)"
    assert text[-6:] == checksum(text[6:-6])
    with pytest.raises(Invalid) as refused:
        Bearer.parse(text[:-1])
    assert text[6:20] not in str(refused.value)
