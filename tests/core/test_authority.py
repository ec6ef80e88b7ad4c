from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from wgctl.core.authority import LIFETIME_S, Certified, fingerprint, issue, make
from wgctl.core.errors import Invalid
from wgctl.core.pin import NAME

_NOW = 1_800_000_000


def _verify(shown: Certified, authority: Certified, *, name: str, now: int) -> None:
    """Check as a client does that has pinned `authority`; cryptography's own judgement."""
    leaf, *_ = x509.load_pem_x509_certificates(shown.certificate)
    pinned = Store(x509.load_pem_x509_certificates(authority.certificate))
    policy = PolicyBuilder().store(pinned).time(datetime.fromtimestamp(now, UTC))
    policy.build_server_verifier(x509.DNSName(name)).verify(leaf, [])


@pytest.mark.parametrize("name", [NAME, "vpn.example.org", "localhost"])
@pytest.mark.parametrize("later_s", [0, LIFETIME_S - 1])
def test_what_an_authority_issues_is_believed_by_who_has_pinned_it(name: str, later_s: int) -> None:
    authority = make(now=_NOW)
    names = ["vpn.example.org", "203.0.113.7", "localhost", "localhost"]
    shown = issue(authority, names, now=_NOW)

    _verify(shown, authority, name=name, now=_NOW + later_s)


@pytest.mark.parametrize(
    ("name", "later_s", "which"),
    [("other.example.org", 0, "own"), (NAME, LIFETIME_S + 1, "own"), (NAME, 0, "another")],
)
def test_what_is_of_another_name_time_or_authority_is_not(
    name: str, later_s: int, which: str
) -> None:
    authority = make(now=_NOW)
    shown = issue(authority, [], now=_NOW)
    pinned = authority if which == "own" else make(now=_NOW)

    with pytest.raises(VerificationError):
        _verify(shown, pinned, name=name, now=_NOW + later_s)


def test_an_address_is_borne_as_one() -> None:
    shown = issue(make(now=_NOW), ["203.0.113.7", "2001:db8::1"], now=_NOW)
    leaf = x509.load_pem_x509_certificate(shown.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    addresses = names.get_values_for_type(x509.IPAddress)
    assert [str(address) for address in addresses] == ["203.0.113.7", "2001:db8::1"]


def test_two_authorities_share_nothing() -> None:
    one, other = make(now=_NOW), make(now=_NOW)

    assert one.key != other.key
    assert fingerprint(one.certificate) != fingerprint(other.certificate)


def test_a_fingerprint_fits_into_a_url_and_a_chain_has_its_first() -> None:
    authority = make(now=_NOW)
    found = fingerprint(authority.certificate)

    assert found.startswith("SHA256:")
    assert len(found) == 50
    assert found[7:].replace("-", "").replace("_", "").isalnum()
    assert fingerprint(authority.certificate + make(now=_NOW).certificate) == found


def test_what_is_no_authority_is_refused() -> None:
    authority = make(now=_NOW)
    for broken in (
        Certified(b"", authority.key),
        Certified(authority.certificate, b""),
        Certified(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", b"x"),
    ):
        with pytest.raises(Invalid, match="expected an authority"):
            issue(broken, [], now=_NOW)
    with pytest.raises(Invalid, match="not a certificate"):
        fingerprint(b"x")


def test_a_key_is_in_no_text_about_it() -> None:
    assert "PRIVATE" not in repr(make(now=_NOW))
