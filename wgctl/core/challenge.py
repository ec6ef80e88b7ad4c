"""What proves to a CA that a name leads here: the certificates of TLS-ALPN-01 (RFC 8737).

Knows how they look, and who asks for one. Who shows it is `wgctl.drivers.tls_alpn`.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from wgctl.core.authority import Certified

__all__ = ["PROTOCOL", "asks", "proof"]

PROTOCOL = "acme-tls/1"
"""What a CA offers to speak, and nothing else (section 3)."""

_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # id-pe-acmeIdentifier, section 6.1
_OCTETS = b"\x04\x20"  # DER: 32 octets follow.
_GOOD_FOR = timedelta(days=1)

# The extension of a ClientHello (RFC 7301, section 3.1): its number, its length, that of its list.
_NAME = bytes([len(PROTOCOL)]) + PROTOCOL.encode()
_LIST = len(_NAME).to_bytes(2) + _NAME
_OFFER = b"\x00\x10" + len(_LIST).to_bytes(2) + _LIST


def asks(hello: bytes) -> bool:
    """Whether who sent `hello`, the first octets of a connection, looks for a proof.

    Somebody else can have these octets in there, and gets nothing by it: the proof is no secret.
    """
    return _OFFER in hello


def proof(name: str, authorization: str, *, now: int) -> Certified:
    """Return the certificate that shows, for `name`, a key authorization (RFC 8555, 8.1)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    begins = datetime.fromtimestamp(now, UTC) - _GOOD_FOR
    digest = sha256(authorization.encode()).digest()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + 2 * _GOOD_FOR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .add_extension(x509.UnrecognizedExtension(_IDENTIFIER, _OCTETS + digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certified(made.public_bytes(Encoding.PEM), pem)
