"""A certificate that a CA issues for the API: what asks for one, and what is accepted as one.

How it is asked for is `wgctl.drivers.acme`, when `wgctl.core.renewal`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from wgctl.core.authority import Certified
from wgctl.core.errors import Invalid

__all__ = ["Issued", "Request", "new_key"]

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def new_key() -> bytes:
    """Return a new key of P-256, in PEM: for a certificate, or for an account with a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a certificate that bears `names`; `key` is in PEM."""

    names: tuple[str, ...]
    key: bytes = field(repr=False)

    def pem(self) -> bytes:
        """Return it as PKCS #10 has it, in PEM."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        hosts = x509.SubjectAlternativeName([x509.DNSName(name) for name in self.names])
        key = load_pem_private_key(self.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("a key of another kind, expected one of new_key")
        signed = builder.add_extension(hosts, critical=False).sign(key, hashes.SHA256())
        return signed.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Issued:
    """A chain and its key, good from `begins` to `ends`, in seconds since the epoch."""

    certified: Certified
    begins: int
    ends: int

    @classmethod
    def read(cls, chain: bytes, key: bytes) -> Self:
        """Take both in PEM; raises Invalid for what does not belong together, or is none."""
        try:
            leaf, *others = x509.load_pem_x509_certificates(chain)
            own = load_pem_private_key(key, password=None)
            fits = leaf.public_key() == own.public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Invalid("not a certificate and its key in PEM") from error
        if not fits:
            raise Invalid("a certificate of another key")
        begins, ends = (
            int(time.timestamp()) for time in (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
        )
        # As they were read, and nothing that stood beside them.
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, *others))
        return cls(Certified(pem, key), begins, ends)

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read what `render` wrote; raises Invalid."""
        key, begin, chain = text.partition(_CERTIFICATE)
        return cls.read(begin + chain, key)

    def render(self) -> bytes:
        """Return the key and the chain, one after the other in PEM."""
        return self.certified.key + self.certified.certificate

    def require(self, names: Collection[str], *, now: int) -> None:
        """Raise Invalid unless it bears `names` and is good for some time yet."""
        leaf = x509.load_pem_x509_certificate(self.certified.certificate)
        try:
            found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            borne = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
        except (x509.ExtensionNotFound, ValueError):
            borne = set()
        if missing := sorted(set(names) - borne):
            raise Invalid(f"a certificate without {', '.join(missing)}")
        if self.ends <= now:
            raise Invalid("a certificate that has ended")
