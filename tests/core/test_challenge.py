import ssl
import time
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wgctl.core.challenge import PROTOCOL, asks, proof

_NOW = int(time.time())


def _hello(*protocols: str) -> bytes:
    """Return what OpenSSL sends first."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        tls.set_alpn_protocols(list(protocols))
    sent = ssl.MemoryBIO()
    asker = tls.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="vpn.example.org")
    with pytest.raises(ssl.SSLWantReadError):
        asker.do_handshake()
    return sent.read()


@pytest.mark.parametrize(
    ("protocols", "looks"),
    [((PROTOCOL,), True), (("http/1.1",), False), ((), False), ((PROTOCOL, "h2"), False)],
)
def test_only_who_offers_the_protocol_alone_looks_for_a_proof(
    protocols: tuple[str, ...],
    looks: bool,  # noqa: FBT001  # of the table
) -> None:
    assert asks(_hello(*protocols)) is looks


def test_a_proof_bears_one_name_and_the_digest_of_the_authorization() -> None:
    made = proof("vpn.example.org", "token.thumbprint", now=_NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    shown = certificate.extensions.get_extension_for_oid(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
    )

    assert names.value.get_values_for_type(x509.DNSName) == ["vpn.example.org"]
    assert shown.critical
    assert isinstance(shown.value, x509.UnrecognizedExtension)
    assert shown.value.value == b"\x04\x20" + sha256(b"token.thumbprint").digest()
    assert certificate.public_key() == load_pem_private_key(made.key, None).public_key()
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_before_utc.timestamp() < _NOW
    assert certificate.not_valid_after_utc.timestamp() > _NOW
