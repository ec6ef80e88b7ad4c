"""A real CA that speaks ACME, Debian's pebble, on the loopback, and a DNS server beside it."""

import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.daemon.running import free_port
from tests.patience import HANG_S
from wgctl.core import authority

__all__ = ["NAME", "Pebble", "running_pebble", "weak_certificate"]

NAME = "vpn.example.org"
"""A name that leads to the loopback, as every name does there."""


@dataclass(frozen=True)
class Pebble:
    """One that runs; proofs are looked for at `proof_port` of every name."""

    directory: str
    roots: Path
    """What vouches for its own API."""
    proof_port: int
    _management: str
    _log: Path
    _process: "subprocess.Popen[bytes]"

    def issuer(self) -> str:
        """Return the root of what it issues, in PEM."""
        return self._get("roots/0")

    def said(self) -> str:
        """Return its log."""
        return self._log.read_text()

    def _get(self, path: str) -> str:
        tls = ssl.create_default_context(cafile=str(self.roots))
        with urlopen(f"{self._management}/{path}", context=tls, timeout=HANG_S) as answer:  # noqa: S310  # https, above
            return str(answer.read().decode())

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running_pebble(
    folder: Path, *, good_for_s: int = 86_400, port: int | None = None, **env: str
) -> Iterator[Pebble]:
    """Run one for the block, with its files in `folder`; `env` is what pebble calls PEBBLE_….

    `port` is that of its API; the same one again makes another CA that is reached as the first.
    """
    port, management, names = port or free_port(), free_port(), free_port()
    proof_port = free_port()
    roots = folder / "pebble-roots.pem"
    if not roots.exists():
        own = authority.make(now=int(time.time()))
        shown = authority.issue(own, ["127.0.0.1"], now=int(time.time()))
        roots.write_bytes(own.certificate)
        (folder / "pebble.pem").write_bytes(shown.certificate)
        (folder / "pebble.key").write_bytes(shown.key)
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "pebble.pem"),
        "privateKey": str(folder / "pebble.key"),
        "httpPort": 1,
        "tlsPort": proof_port,
        "certificateValidityPeriod": good_for_s,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    log = folder / f"pebble-{management}.log"
    settings = {"VA_NOSLEEP": "1", "WFE_NONCEREJECT": "0", "AUTHZREUSE": "0", **env}
    with _resolving(names), log.open("wb") as said:
        process = subprocess.Popen(
            ["pebble", "-config", folder / "pebble.json", "-dnsserver", f"127.0.0.1:{names}"],
            env=os.environ | {f"PEBBLE_{name}": value for name, value in settings.items()},
            stdout=said,
            stderr=said,
        )
        made = Pebble(
            *(f"https://127.0.0.1:{port}/dir", roots, proof_port),
            *(f"https://127.0.0.1:{management}", log, process),
        )
        try:
            _until_it_answers(made)
            yield made
        finally:
            made.stop()


def weak_certificate() -> bytes:
    """Return one in PEM that OpenSSL takes into no chain, since its key of RSA has 1024 bits."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=1024)  # noqa: S505  # weak
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@contextmanager
def _resolving(port: int) -> Iterator[None]:
    """Answer every name with the loopback."""
    off = [
        word for challenge in ("http01", "https01", "tlsalpn01") for word in (f"-{challenge}", "")
    ]
    place = f"127.0.0.1:{port}"
    manage = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        ["pebble-challtestsrv", "-dns01", place, "-defaultIPv6", "", "-management", manage, *off],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _until_it_answers(pebble: Pebble) -> None:
    deadline = time.monotonic() + HANG_S
    while True:
        try:
            pebble.issuer()
        except OSError:
            assert time.monotonic() < deadline, pebble.said()
            time.sleep(0.02)
        else:
            return
