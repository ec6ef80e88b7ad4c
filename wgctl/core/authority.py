"""A deployment's own authority: it vouches for the controller's API, and for nothing else.

Gives certificates and keys as values; where they are kept is `wgctl.daemon.authority`, and how a
client comes to trust one `wgctl.client.https`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wgctl.core import pin
from wgctl.core.errors import Invalid
from wgctl.core.pin import NAME

__all__ = ["LIFETIME_S", "Certified", "fingerprint", "issue", "make"]

LIFETIME_S = 90 * 86400
"""How long the certificate of the API is good for; a new one costs nothing."""

_AUTHORITY_LIFETIME = timedelta(days=30 * 365)
# A client's clock may be behind.
_EARLIER = timedelta(days=1)


@dataclass(frozen=True, slots=True, repr=False)
class Certified:
    """A certificate, and the others that lead to its authority, and its key: both in PEM."""

    certificate: bytes
    key: bytes


def make(*, now: int) -> Certified:
    """Return a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wgctl authority")])
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    draft = (
        _draft(subject, key, now=now, lifetime=_AUTHORITY_LIFETIME)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(own, critical=False)
    )
    made = draft.sign(key, hashes.SHA256())
    return Certified(made.public_bytes(Encoding.PEM), _pem(key))


def issue(authority: Certified, names: Iterable[str], *, now: int) -> Certified:
    """Return a certificate of `authority` for the API, with a new key, followed by the authority's.

    `names` are hosts: names and addresses that it bears beside NAME. Raises Invalid when what is
    given is no authority.
    """
    try:
        above = x509.load_pem_x509_certificate(authority.certificate)
        signer = load_pem_private_key(authority.key, password=None)
    except (ValueError, TypeError) as error:
        raise Invalid("not a certificate and its key in PEM, expected an authority") from error
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise Invalid("a key of another kind, expected the authority's")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    vouched = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    hosts = [x509.DNSName(NAME), *(_host(name) for name in dict.fromkeys(names))]
    draft = (
        _draft(subject, key, now=now, lifetime=timedelta(seconds=LIFETIME_S))
        .issuer_name(above.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(vouched, critical=False)
    )
    made = draft.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
    return Certified(made + authority.certificate, _pem(key))


def fingerprint(certificate: bytes) -> str:
    """Return the fingerprint of the first certificate in PEM; raises Invalid for what is none."""
    try:
        found = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise Invalid("not a certificate in PEM") from error
    return pin.fingerprint(found.public_bytes(Encoding.DER))


def _draft(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, now: int, lifetime: timedelta
) -> x509.CertificateBuilder:
    begins = datetime.fromtimestamp(now, UTC) - _EARLIER
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + _EARLIER + lifetime)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
