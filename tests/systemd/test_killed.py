"""A server under systemd, at this machine's speed: how soon a killed role serves again.

With the kernel's own WireGuard, and the rest of the guide, it is `tests/kernel/test_server.py`.
"""

import re
import sys

import pytest

from tests.drivers.kernel_release import turns_differ
from tests.kernel.guest import CACHE, Outcome
from tests.systemd import namespaced
from tests.systemd.server import CA, FIRST, KILLS, ROLES, pings, restarts

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    if not (CACHE / "wheels").exists():
        pytest.skip("make test fetches what the server installs")
    return namespaced.run(f"{FIRST}\n{KILLS}\n{CA}", within_s=500)


def test_the_guide_holds_on_this_kernel_too(outcome: Outcome) -> None:
    assert outcome.status == 0, outcome.said
    assert "0 loaded units listed" in outcome.said
    assert "Traceback" not in outcome.journal + outcome.said


def test_the_doctor_takes_no_tunnel_of_ours_for_an_uplink(outcome: Outcome) -> None:
    assert re.search(r"^  ok +router advertisements: kept", outcome.said, re.MULTILINE)


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_role_serves_again_within_five_seconds(
    outcome: Outcome, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five of the processor's: how many of the clock's depends on what else the machine does."""
    restart = restarts(outcome.said)[role]
    with capsys.disabled():
        sys.stdout.write(f"\n  {role}: {restart}\n")

    assert restart.processor_s < 5
    assert restart.serving_s < 60


def test_a_userspace_tunnel_drops_no_ping_meanwhile(outcome: Outcome) -> None:
    """Five are sent a second, for as long as the roles take to come back one after the other."""
    sent, received = pings(outcome.said, "kills")

    assert sent == received > len(ROLES)


def test_what_answers_names_goes_before_what_asks_elsewhere(outcome: Outcome) -> None:
    """A batch process interrupts nobody, and all interrupt it that have shorter turns."""
    found = re.findall(r"^scheduled +(\S+) +(\d+) (\d*)", outcome.said, re.MULTILINE)
    (asking, behind, usual), (answering, before, turn) = found

    assert (asking, answering) == ("B", "TS")
    assert int(behind) == int(before) + 5
    if turns_differ():
        assert int(turn) < int(usual)


def test_a_role_with_the_rights_of_its_unit_gets_a_certificate_for_port_443(
    outcome: Outcome,
) -> None:
    kept = re.findall(
        r"^kept /var/lib/wgctl/controller/(\S+) (\S+) (\d+)", outcome.said, re.MULTILINE
    )

    assert "a CA vouches for vpn.example.org" in outcome.said
    assert set(kept) == {
        ("acme", "wgctl-controller", "700"),
        ("acme/account.key", "wgctl-controller", "600"),
        ("acme/certificate.pem", "wgctl-controller", "600"),
        ("acme/standing.json", "wgctl-controller", "600"),
    }
    assert re.search(
        r"^before: .* API from elsewhere: no certificate is", outcome.said, re.MULTILINE
    )
    assert re.search(r"^after: +ok +API from elsewhere: \[::\]:443", outcome.said, re.MULTILINE)
    assert "certificate issued" in outcome.journal
    assert "PRIVATE KEY" not in outcome.journal
