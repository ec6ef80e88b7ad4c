"""Certificates of a real CA, pebble, whose clock is told and whose proofs a real server shows."""

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.daemon.running import free_port, until
from tests.drivers.pebble import NAME, Pebble, running_pebble
from tests.drivers.serving import served
from tests.patience import HANG_S
from wgctl.core.issued import Issued
from wgctl.core.renewal import FIRST_S, Standing, Wanted
from wgctl.daemon.issuing import ACCOUNT, CERTIFICATE, STANDING, Issuing

_DAY_S = 86_400


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with running_pebble(tmp_path_factory.mktemp("pebble"), good_for_s=3 * _DAY_S) as made:
        yield made


@dataclass
class Host:
    """Where a certificate is kept, the host's clock, and what it is shown anew."""

    folder: Path
    pebble: Pebble
    directory: str = ""
    now: int = field(default_factory=lambda: int(time.time()))
    shown: int = 0

    def issuing(self, *names: str, longest_s: float = HANG_S) -> Issuing:
        """Start as a role that starts does."""
        return Issuing(
            Wanted(self.directory or self.pebble.directory, names or (NAME,)),
            self.folder,
            roots=self.pebble.roots,
            now=lambda: self.now,
            chance=lambda: 0.0,
            look_s=0.02,
            longest_s=longest_s,
        )

    @asynccontextmanager
    async def running(self, issuing: Issuing) -> AsyncIterator[None]:
        """Run it for the block, with the API's port beside it."""

        async def show() -> None:
            self.shown += 1

        async with served(proofs=issuing.proofs, port=self.pebble.proof_port):
            task = asyncio.create_task(issuing.run(show))
            try:
                yield
            finally:
                task.cancel()

    def run(self, issuing: Issuing, until: Callable[[], bool], *, then_s: float = 0.0) -> None:
        """Run it until something holds, and for a while after that."""

        async def scene() -> None:
            async with self.running(issuing), asyncio.timeout(HANG_S):
                while not until():  # noqa: ASYNC110  # it has no event
                    await asyncio.sleep(0.02)
                await asyncio.sleep(then_s)

        asyncio.run(scene())

    def standing(self) -> Standing:
        """Return what is on the disk of the last try."""
        return Standing.parse((self.folder / STANDING).read_bytes())


@pytest.fixture
def host(tmp_path: Path, pebble: Pebble) -> Host:
    return Host(tmp_path / "acme", pebble)


def _hears(pebble: Pebble) -> Callable[[], str]:
    before = pebble.said()
    return lambda: pebble.said().removeprefix(before)


def test_the_first_is_asked_for_at_once_and_kept_for_the_role_alone(host: Host) -> None:
    issuing = host.issuing()
    before = issuing.certified

    with capture_logs() as logs:
        host.run(issuing, lambda: host.shown == 1)

    assert (before, issuing.problem) == (None, None)
    kept = Issued.parse((host.folder / CERTIFICATE).read_bytes())
    assert issuing.certified == kept.certified
    assert (host.standing().failures, host.standing().problem) == (0, "")
    assert kept.begins + 2 * _DAY_S - 1 <= host.standing().again_at <= kept.begins + 2 * _DAY_S + 1
    files = {path.name: path.stat().st_mode & 0o777 for path in host.folder.iterdir()}
    assert files == {ACCOUNT: 0o600, CERTIFICATE: 0o600, STANDING: 0o600}
    assert host.folder.stat().st_mode & 0o777 == 0o700
    assert [log["event"] for log in logs if log["log_level"] != "debug"] == ["certificate issued"]
    assert "PRIVATE" not in str(logs)


def test_a_restart_uses_what_is_there_and_asks_nobody(host: Host) -> None:
    first = host.issuing()
    host.run(first, lambda: host.shown == 1)
    hears = _hears(host.pebble)
    again = host.issuing()

    assert again.certified == first.certified
    host.run(again, lambda: True, then_s=0.3)
    assert hears() == ""
    assert host.shown == 1


def test_it_is_renewed_at_two_thirds_of_its_time_with_another_key(host: Host) -> None:
    issuing = host.issuing()
    host.run(issuing, lambda: host.shown == 1)
    first, due = issuing.certified, host.standing().again_at
    assert first is not None
    hears = _hears(host.pebble)

    host.now = due - 1
    host.run(issuing, lambda: True, then_s=0.3)
    assert hears() == ""
    host.now = due
    host.run(issuing, lambda: host.shown == 2)

    assert issuing.certified is not None
    assert issuing.certified.certificate != first.certificate
    assert issuing.certified.key != first.key
    assert Issued.parse((host.folder / CERTIFICATE).read_bytes()).certified == issuing.certified


def test_a_ca_that_is_down_takes_nothing_away_and_is_not_pressed_by_restarts(
    tmp_path: Path,
) -> None:
    port = free_port()
    with running_pebble(tmp_path, port=port) as pebble:
        host = Host(tmp_path / "acme", pebble)
        host.run(host.issuing(), lambda: host.shown == 1)
    issuing = host.issuing()
    kept = issuing.certified
    assert kept is not None

    host.now = host.standing().again_at
    with capture_logs() as logs:
        host.run(issuing, lambda: issuing.problem is not None, then_s=0.3)
    assert issuing.certified == kept
    assert issuing.problem is not None
    assert "not reached: Connection refused; tried again at " in issuing.problem
    assert "; the one shown ends at 20" in issuing.problem
    assert [log["event"] for log in logs if log["log_level"] == "error"] == [
        "no certificate issued"
    ]
    assert host.standing().again_at == host.now + FIRST_S

    # Another CA at the same place, which has never heard of the account.
    with running_pebble(tmp_path, port=port) as pebble:
        host.pebble = pebble
        hears = _hears(pebble)
        again = host.issuing()
        assert again.problem == issuing.problem
        host.now += FIRST_S - 1
        host.run(again, lambda: True, then_s=0.3)
        assert hears() == ""
        host.now += 1
        host.run(again, lambda: host.shown == 2)

    assert host.standing().problem == ""
    assert again.certified != kept


def test_a_ca_that_is_down_at_first_is_told_and_tried_again(host: Host) -> None:
    host.directory = f"https://127.0.0.1:{free_port()}/dir"
    for failures in (1, 2, 3):
        issuing = host.issuing()
        host.run(issuing, partial(_refused, host, failures))

        assert "tried again at" in str(issuing.problem)
        assert not (host.folder / CERTIFICATE).exists()
        assert host.standing().again_at == host.now + (FIRST_S << (failures - 1))
        host.now = host.standing().again_at


def _refused(host: Host, failures: int) -> bool:
    if not (host.folder / STANDING).exists():
        return False
    standing = host.standing()
    return standing.failures == failures and "refused" in standing.problem


def test_a_try_is_on_the_disk_before_the_ca_hears_of_it(host: Host) -> None:
    """A role that is killed while it asks must not ask again at each start."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host.directory = f"https://127.0.0.1:{silent.getsockname()[1]}/dir"
        host.run(host.issuing(), lambda: bool(select.select([silent], [], [], 0)[0]))
        begun, again = host.standing(), host.issuing()
        host.run(again, lambda: True, then_s=0.2)

        assert begun.failures == 1
        assert again.problem is not None
        assert "the last try came to no end; tried again at " in again.problem
        assert host.standing() == begun
        silent.accept()[0].close()
    until(lambda: host.standing() != begun)


def test_a_ca_that_never_comes_to_an_end_is_told_and_left_alone(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host.directory = f"https://127.0.0.1:{silent.getsockname()[1]}/dir"
        issuing = host.issuing(longest_s=0.3)
        before = issuing.problem
        with capture_logs() as logs:
            host.run(issuing, lambda: issuing.problem is not None, then_s=0.5)
        begun, problem = host.standing(), issuing.problem
        silent.accept()[0].close()

        assert before is None
        assert "the last try came to no end" in str(problem)
        assert [log["event"] for log in logs].count("no certificate issued") == 1
        assert begun.failures == 1
    until(lambda: host.standing() != begun)


@pytest.mark.parametrize("other", ["names", "directory"])
def test_what_else_is_wanted_is_asked_for_at_once_and_the_old_one_stays_until_then(
    host: Host, tmp_path: Path, other: str
) -> None:
    host.run(host.issuing(), lambda: host.shown == 1)
    if other == "names":
        issuing = host.issuing("other.example.org")
    else:
        host.directory = f"https://127.0.0.1:{free_port()}/dir"
        issuing = host.issuing()
    old = issuing.certified
    assert old is not None

    if other == "names":
        host.run(issuing, lambda: host.shown == 2)
        assert issuing.certified != old
    else:
        host.run(issuing, lambda: issuing.problem is not None)
        assert issuing.certified == old


def test_nobody_is_asked_where_nothing_can_be_kept(host: Host) -> None:
    host.folder.write_text("a file")
    hears = _hears(host.pebble)
    issuing = host.issuing()

    with capture_logs() as logs:
        host.run(issuing, lambda: issuing.problem is not None, then_s=0.2)

    assert issuing.problem is not None
    assert str(host.folder) in issuing.problem
    assert hears() == ""
    assert [log["event"] for log in logs if log["log_level"] == "error"].count(
        "no certificate asked for"
    ) == 1


def test_what_is_damaged_is_told_and_asked_for_anew(host: Host) -> None:
    host.run(host.issuing(), lambda: host.shown == 1)
    (host.folder / CERTIFICATE).write_bytes(b"-----BEGIN secret")
    (host.folder / f".{CERTIFICATE}.0123abcd").write_bytes(b"half a key")

    with capture_logs() as logs:
        issuing = host.issuing()
        before = issuing.certified
        host.run(issuing, lambda: host.shown == 2)

    assert before is None
    assert issuing.certified is not None
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["not what was kept"]
    assert "secret" not in str(logs)
    assert not list(host.folder.glob(".*"))
