"""Certificates of a real CA, pebble, whose clock is told and whose proofs a real server shows."""

import asyncio
import select
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.daemon.running import free_port, until
from tests.drivers.pebble import NAME, Pebble, running_pebble, weak_certificate
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

    def issuing(
        self, *names: str, longest_s: float = HANG_S, now: Callable[[], int] | None = None
    ) -> Issuing:
        """Start as a role that starts does."""
        return Issuing(
            Wanted(self.directory or self.pebble.directory, names or (NAME,)),
            self.folder,
            roots=self.pebble.roots,
            now=now or (lambda: self.now),
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
            async with self.running(issuing):
                await _until(until)
                await asyncio.sleep(then_s)

        asyncio.run(scene())

    def standing(self) -> Standing:
        """Return what is on the disk of the last try."""
        return Standing.parse((self.folder / STANDING).read_bytes())


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.02)


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
        host.run(host.issuing(), lambda: _is_called(silent))
        begun, again = host.standing(), host.issuing()
        host.run(again, lambda: True, then_s=0.2)

        assert begun.failures == 1
        assert again.problem is not None
        assert "the last try came to no end; tried again at " in again.problem
        assert host.standing() == begun
        silent.accept()[0].close()
    until(_nobody_asks)


def _nobody_asks() -> bool:
    return all(thread.name != "issuing" for thread in threading.enumerate())


def _is_called(listener: socket.socket) -> bool:
    return bool(select.select([listener], [], [], 0)[0])


def test_a_ca_that_never_comes_to_an_end_is_told_and_left_alone(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host.directory = f"https://127.0.0.1:{silent.getsockname()[1]}/dir"
        issuing = host.issuing(longest_s=0.3)
        before = issuing.problem
        with capture_logs() as logs:
            host.run(issuing, lambda: issuing.problem is not None, then_s=0.5)
        given_up, problem = host.standing(), issuing.problem
        silent.accept()[0].close()

        assert before is None
        assert "the last try came to no end" in str(problem)
        assert [log["event"] for log in logs].count("no certificate issued") == 1
        assert given_up.failures == 1
        until(_nobody_asks)
        assert host.standing() == given_up


def test_a_try_that_was_given_up_has_a_pause_and_an_end_before_the_next(host: Host) -> None:
    took_s = 2 * FIRST_S

    async def scene(silent: socket.socket) -> None:
        host.directory = f"https://127.0.0.1:{silent.getsockname()[1]}/dir"
        issuing = host.issuing(longest_s=1.0)
        async with host.running(issuing):
            await _until((host.folder / STANDING).exists)
            begun = host.standing()
            host.now += took_s
            await _until(lambda: issuing.problem is not None)
            await _until(lambda: host.standing() != begun)
            assert host.standing().again_at == begun.again_at + took_s

            await _until(lambda: _is_called(silent))
            held, _ = silent.accept()
            with held:
                assert "tried again at 20" in str(issuing.problem)
                host.now = host.standing().again_at
                assert "tried again once that try has ended" in str(issuing.problem)
                await asyncio.sleep(0.3)
                assert not _is_called(silent)
            await _until(lambda: _is_called(silent))
            silent.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as silent, capture_logs():
        asyncio.run(scene(silent))
    until(_nobody_asks)


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
        "certificate not as it should be"
    ) == 1


def test_one_that_cannot_be_kept_is_shown_and_asked_for_anew_by_a_restart(host: Host) -> None:
    (host.folder / CERTIFICATE).mkdir(parents=True)
    with capture_logs():
        issuing = host.issuing()
        host.run(issuing, lambda: host.shown == 1)

    assert issuing.certified is not None
    assert "the certificate that was issued is not kept: " in str(issuing.problem)
    assert host.standing().failures == 1

    (host.folder / CERTIFICATE).rmdir()
    host.now += FIRST_S
    again = host.issuing()
    host.run(again, lambda: host.shown == 2)

    assert again.problem is None
    assert Issued.parse((host.folder / CERTIFICATE).read_bytes()).certified == again.certified


def test_what_nobody_has_foreseen_is_told_and_ends_nothing(host: Host) -> None:
    told = iter([OverflowError("no such time")])

    def now() -> int:
        for error in told:
            raise error
        return host.now

    issuing = host.issuing(now=now)
    with capture_logs() as logs:
        host.run(issuing, lambda: host.shown == 1)

    assert issuing.problem is None
    assert "OverflowError('no such time')" in str(logs[0]["reason"])


@pytest.mark.parametrize("how", ["damaged", "weak"])
def test_what_cannot_be_used_is_told_and_asked_for_anew(host: Host, how: str) -> None:
    host.run(host.issuing(), lambda: host.shown == 1)
    kept = (host.folder / CERTIFICATE).read_bytes()
    (host.folder / CERTIFICATE).write_bytes(
        b"-----BEGIN secret" if how == "damaged" else kept + weak_certificate()
    )
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
