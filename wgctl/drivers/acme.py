"""How a certificate is got from a CA: ACME (RFC 8555), as certbot's own library speaks it.

When that is due, and where what comes of it is kept, is `wgctl.daemon.issuing`; who shows the
proofs, `wgctl.drivers.tls_alpn`. It waits for the CA, so it belongs in a thread of its own.
"""

import datetime as dt
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from acme import challenges, client, errors, messages
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from wgctl import __version__
from wgctl.core.authority import Certified
from wgctl.core.challenge import proof
from wgctl.core.errors import Invalid, Unavailable
from wgctl.core.issued import Issued, Request, new_key
from wgctl.core.renewal import Wanted, told_s
from wgctl.drivers.tls import require_usable

__all__ = ["NotIssued", "Shower", "obtain"]

Shower = Callable[[Mapping[str, Certified]], AbstractContextManager[None]]
"""Shows proofs by name for the block."""

_ANSWER_S = 20
_DEADLINE_S = 180
_MOST_SAID = 500


class NotIssued(Unavailable):
    """The CA gave no certificate; it said to be left alone for `told_s`, 0 if it did not."""

    def __init__(self, problem: str, *, told_s: int = 0) -> None:
        super().__init__(problem)
        self.told_s = told_s


class _TlsAlpn01Response(challenges.KeyAuthorizationChallengeResponse):
    typ = "tls-alpn-01"


@challenges.Challenge.register
class _TlsAlpn01(challenges.KeyAuthorizationChallenge):
    """The challenge that the library has none of."""

    typ = "tls-alpn-01"
    response_cls = _TlsAlpn01Response

    def validation(self, account_key: JWK, **_: Any) -> str:
        return self.key_authorization(account_key)


def obtain(wanted: Wanted, *, account: bytes, roots: Path | None, shower: Shower) -> Issued:
    """Return a new certificate with a new key, of an account that is made unless it is there.

    `account` is its key of P-256 in PEM. `roots` holds the certificates that vouch for the CA;
    None: the host's own do. Raises NotIssued.
    """
    speaking = _Speaking(wanted.directory, account, roots)
    request = Request(wanted.names, new_key())
    try:
        chain = speaking.order(request, shower)
        issued = Issued.read(chain.encode(), request.key)
        issued.require(wanted.names, now=int(time.time()))
        require_usable(certificate=issued.certified.certificate, key=issued.certified.key)
    except Exception as error:
        # At an answer of another shape, the library raises what comes of it.
        raise speaking.not_issued(error) from error
    return issued


class _Speaking:
    """One try with one CA."""

    def __init__(self, directory: str, account: bytes, roots: Path | None) -> None:
        self._directory = directory
        self._key = _account_key(account)
        self._network = client.ClientNetwork(
            self._key,
            alg=ES256,
            user_agent=f"wgctl/{__version__}",
            timeout=_ANSWER_S,
            # The library hands it to requests, which takes a file or a folder too.
            verify_ssl=str(_host_roots() if roots is None else _readable(roots)),  # type: ignore[arg-type]
        )
        self._network.session.hooks["response"].append(self._hear)
        self._heard: requests.Response | None = None
        self._told_s = 0

    def _hear(self, response: requests.Response, **_: object) -> None:
        self._heard = response
        wanted = response.headers.get("Retry-After")
        self._told_s = 0 if wanted is None else told_s(wanted, now=int(time.time()))
        if wanted is not None:
            # The library takes a date for one of this host's zone, and asks without a pause for 0.
            response.headers["Retry-After"] = str(max(1, self._told_s))

    def order(self, request: Request, shower: Shower) -> str:
        """Return the chain in PEM."""
        found = client.ClientV2.get_directory(self._directory, self._network)
        acme = client.ClientV2(found, self._network)
        self._introduce(acme)
        order = acme.new_order(request.pem())
        # The library's own clock has no zone.
        by = dt.datetime.now() + dt.timedelta(seconds=_DEADLINE_S)  # noqa: DTZ005
        asked = list(_asked(order))
        now = int(time.time())
        proofs = {
            name: proof(name, challenge.chall.key_authorization(self._key), now=now)
            for name, challenge in asked
        }
        with shower(proofs):
            for _, challenge in asked:
                acme.answer_challenge(challenge, challenge.chall.response(self._key))
            order = acme.poll_authorizations(order, by)
        return str(acme.finalize_order(order, by).fullchain_pem)

    def _introduce(self, acme: client.ClientV2) -> None:
        terms = messages.NewRegistration(terms_of_service_agreed=True)
        try:
            acme.new_account(terms)
        except errors.ConflictError as known:
            account = messages.RegistrationResource(body=terms, uri=known.location)
            self._network.account = account

    def not_issued(self, error: Exception) -> NotIssued:
        """Say what went wrong, in words that a log takes."""
        ca = urlsplit(self._directory).netloc
        said = "".join(c if c.isprintable() else " " for c in f"{ca}: {self._reason(error)}")
        # Only what an error says is for later: else it says when to look again.
        told = 0 if self._heard is None or self._heard.ok else self._told_s
        return NotIssued(said[:_MOST_SAID], told_s=told)

    def _reason(self, error: Exception) -> str:
        match error:
            case requests.RequestException():
                return f"not reached: {_cause(error)}"
            case errors.ValidationError():
                return "; ".join(_unproven(error))
            case errors.IssuanceError(error=refused) | (messages.Error() as refused):
                return str(refused.detail or refused.typ)
            case Invalid() | Unavailable() | _Unanswerable() | OSError():
                return str(error)
            case errors.TimeoutError():
                return f"not done within {_DEADLINE_S} s"
        status = "" if self._heard is None else f", but {self._heard.status_code}"
        return f"no answer of ACME{status}, expected its directory at {self._directory}"


def _account_key(pem: bytes) -> JWKEC:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NotIssued("the account's key is none of P-256 in PEM: remove it for a new account")
    return JWKEC(key=key)


class _Unanswerable(Exception):
    """The CA asks for a proof that cannot be given."""


def _asked(order: messages.OrderResource) -> Iterator[tuple[str, messages.ChallengeBody]]:
    """Yield the names that are still to be proved, and the challenge of each."""
    for authorization in order.authorizations:
        body = authorization.body
        if body.status != messages.STATUS_PENDING:
            continue
        for challenge in body.challenges:
            if isinstance(challenge.chall, _TlsAlpn01):
                yield body.identifier.value, challenge
                break
        else:
            raise _Unanswerable(
                f"offers no {_TlsAlpn01.typ} for {body.identifier.value}, and nothing else is built"
            )


def _unproven(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                yield f"{authorization.body.identifier.value}: {challenge.error.detail}"


def _cause(error: BaseException) -> str:
    """Return what of the network or of TLS is behind an error of requests."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLCertVerificationError):
            return below.verify_message
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    return "it did not answer in time" if isinstance(error, requests.Timeout) else str(error)


def _readable(roots: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(roots)
    except OSError as error:
        raise NotIssued(f"{roots}: {error.strerror}, expected certificates in PEM") from error
    return roots


def _host_roots() -> Path:
    """Return where this host keeps whom it trusts, which requests does not ask."""
    paths = ssl.get_default_verify_paths()
    return Path(paths.cafile or paths.capath or paths.openssl_capath)
