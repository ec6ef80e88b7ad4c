import pytest

from peers.errors import Invalid
from peers.formats.wg_quick import Dns
from wgctl.cli.handout import DNS_CHOICES, Handout, identity, wanted


def test_the_words_for_dns_are_those_of_the_config() -> None:
    assert list(DNS_CHOICES) == [dns.value for dns in Dns]


@pytest.mark.parametrize(("dns", "needed"), [("split", False), ("full", True), ("none", False)])
def test_only_full_dns_needs_a_resolver_that_forwards(
    dns: str,
    needed: bool,  # noqa: FBT001 - a case
) -> None:
    assert Handout(path=None, dns=dns, qr=False).needs_forwarding is needed


def test_dash_and_nothing_are_both_stdout() -> None:
    for out in (None, "-"):
        assert wanted(out, dns="split", qr=True, as_json=False, own_key=False).path is None


def test_a_made_identity_is_a_pair() -> None:
    made = identity(None)

    assert made.private_key is not None
    assert made.private_key.public() == made.public_key


def test_two_identities_have_nothing_in_common() -> None:
    assert identity(None).public_key != identity(None).public_key


def test_a_wrong_key_is_named_by_its_option() -> None:
    with pytest.raises(Invalid, match=r"^--public-key: "):
        identity("x")
