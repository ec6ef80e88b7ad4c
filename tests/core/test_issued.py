import time
from collections.abc import Iterable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wgctl.core import authority
from wgctl.core.authority import Certified
from wgctl.core.errors import Invalid
from wgctl.core.issued import Issued, Request, new_key

_NOW = int(time.time())
_NAMES = ("vpn.example.org", "api.example.org")


def _made(names: Iterable[str] = _NAMES) -> Certified:
    return authority.issue(authority.make(now=_NOW), names, now=_NOW)


def test_a_request_bears_the_names_and_is_signed_with_the_key() -> None:
    request = Request(_NAMES, new_key())
    read = x509.load_pem_x509_csr(request.pem())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert tuple(names.get_values_for_type(x509.DNSName)) == _NAMES
    assert read.is_signature_valid
    assert read.public_key() == load_pem_private_key(request.key, None).public_key()
    assert "PRIVATE" not in repr(request)


def test_every_key_is_another() -> None:
    assert new_key() != new_key()


def test_what_is_issued_is_kept_and_read_back_whole() -> None:
    made = _made()
    issued = Issued.read(b"some words\n" + made.certificate, made.key)

    assert Issued.parse(issued.render()) == issued
    assert issued.certified.certificate == made.certificate
    assert issued.ends - issued.begins == authority.LIFETIME_S + 86_400
    assert issued.begins <= _NOW < issued.ends
    issued.require(_NAMES, now=_NOW)


@pytest.mark.parametrize("cut", [0, 1, 100, 300, 900])
def test_a_part_of_the_first_certificate_is_refused(cut: int) -> None:
    made = _made()
    whole = Issued.read(made.certificate, made.key).render()

    with pytest.raises(Invalid):
        Issued.parse(whole[:cut])


def test_a_certificate_of_another_key_is_refused() -> None:
    with pytest.raises(Invalid, match="another key"):
        Issued.read(_made().certificate, _made().key)


def test_one_that_lacks_a_name_or_has_ended_is_refused() -> None:
    made = _made(["vpn.example.org"])
    issued = Issued.read(made.certificate, made.key)

    with pytest.raises(Invalid, match=r"without api\.example\.org"):
        issued.require(_NAMES, now=_NOW)
    with pytest.raises(Invalid, match="has ended"):
        issued.require(["vpn.example.org"], now=issued.ends)
