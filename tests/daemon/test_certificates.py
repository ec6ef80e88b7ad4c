import time
from pathlib import Path

import pytest
from cryptography import x509

from tests.daemon.running import host
from wgctl.core import authority
from wgctl.core.authority import LIFETIME_S
from wgctl.core.errors import Unavailable
from wgctl.core.settings import AUTHORITY_KEY_NAME, ApiSettings, Settings
from wgctl.daemon.certificates import KEY_CREDENTIAL, NO_KEY, Certificates

_NOW = int(time.time())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return host(tmp_path)


def _with(settings: Settings, credentials: Path | None = None, /, **api: object) -> Certificates:
    changed = settings.model_copy(update={"api": ApiSettings.model_validate(api)})
    return Certificates(changed, credentials)


def _hosts(certificate: bytes) -> set[str]:
    leaf = x509.load_pem_x509_certificate(certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.DNSName)) | {
        str(address) for address in names.get_values_for_type(x509.IPAddress)
    }


def test_the_own_authority_vouches_for_every_name_of_the_host(settings: Settings) -> None:
    certificates = _with(settings, listen="192.0.2.5:8443", names=["vpn.example.org"])
    shown = certificates.present(now=_NOW)

    assert shown.certificate.endswith(settings.authority_file.read_bytes())
    assert _hosts(shown.certificate) >= {
        settings.gateway.endpoint.host,
        "192.0.2.5",
        "vpn.example.org",
        "localhost",
        "::1",
    }


def test_every_address_of_the_host_is_no_name(settings: Settings) -> None:
    assert "::" not in _hosts(_with(settings, listen="[::]:8443").present(now=_NOW).certificate)


def test_a_certificate_is_kept_for_a_third_of_its_time(settings: Settings) -> None:
    certificates = _with(settings, listen="[::]:8443")
    shown = [
        certificates.present(now=_NOW + later).certificate
        for later in (0, LIFETIME_S // 3, LIFETIME_S // 3 + 1)
    ]

    assert shown[0] == shown[1] != shown[2]


def test_what_is_given_is_read_anew_each_time(settings: Settings, tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificates = _with(settings, certificate=str(chain), key=str(key))
    for text in (b"one", b"two"):
        chain.write_bytes(text)
        key.write_bytes(text)
        shown = certificates.present(now=_NOW)

        assert (shown.certificate, shown.key) == (text, text)


def test_a_key_that_systemd_hands_over_goes_first(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / KEY_CREDENTIAL).write_bytes(b"handed")
    settings.authority_key_file.rename(tmp_path / AUTHORITY_KEY_NAME)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(b"chain")

    given = _with(settings, tmp_path, certificate=str(chain), key="/nonexistent").present(now=_NOW)

    assert given.key == b"handed"
    assert _with(settings, tmp_path).present(now=_NOW).certificate


def test_the_credential_of_a_file_that_is_not_there_stands_for_none(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / AUTHORITY_KEY_NAME).write_bytes(NO_KEY)

    assert _with(settings, tmp_path).present(now=_NOW).certificate


@pytest.mark.parametrize("broken", ["missing", "another's key"])
def test_what_cannot_be_used_is_named(settings: Settings, broken: str) -> None:
    if broken == "missing":
        settings.authority_file.unlink()
    else:
        settings.authority_key_file.write_bytes(b"x")

    with pytest.raises(Unavailable, match=r"authority\.pem"):
        _with(settings).present(now=_NOW)


def test_an_authority_of_the_deployment_is_made_once(settings: Settings) -> None:
    assert authority.fingerprint(settings.authority_file.read_bytes()).startswith("SHA256:")
    assert settings.authority_key_file.stat().st_mode & 0o777 == 0o600


def test_a_handed_key_that_cannot_be_read_is_unavailable(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / AUTHORITY_KEY_NAME).mkdir()

    with pytest.raises(Unavailable, match="Is a directory"):
        _with(settings, tmp_path, listen="[::]:8443").present(now=_NOW)
