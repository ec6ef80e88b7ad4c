import dns.message
import pytest

from tests.drivers.upstream.servers import Script, good, running, within_deadline
from wgctl.core.forward.answer import Answer, Failure
from wgctl.core.forward.question import Question
from wgctl.core.forward.upstream import Transport
from wgctl.drivers.upstream.asking import Asking

WWW = Question(b"\3www\x0ea-name-of-many\7example\0", 1)


def always(asked: bytes) -> list[bytes]:
    return [good(asked)]


def lowered(asked: bytes) -> list[bytes]:
    """Reply as a server that does not give back the case of letters."""
    query = dns.message.from_wire(asked)
    return [good(asked[:12] + asked[12 : 12 + len(WWW.name)].lower() + asked[12 + len(WWW.name) :])
            if query.question else b""]  # fmt: skip


def test_one_that_spells_in_its_own_way_is_asked_over_tcp_once_and_plainly_from_then_on() -> None:
    async def work() -> None:
        async with running(lowered, lowered) as (server, upstream):
            asking = Asking(upstream, ours=lambda _: False, tls=None)
            for _ in range(3):
                found = await asking.ask(WWW, asking.spell(WWW))
                assert isinstance(found, Answer)
                assert found.answers.total == 1
            assert server.asked == ["udp", "tcp", "udp", "udp"]
            asking.close()

    within_deadline(work)


def test_a_forger_cannot_make_it_spell_plainly() -> None:
    """Only what came over a connection shows how the upstream spells."""

    async def work() -> None:
        async with running(lowered, always) as (server, upstream):
            asking = Asking(upstream, ours=lambda _: False, tls=None)
            for _ in range(2):
                assert isinstance(await asking.ask(WWW, asking.spell(WWW)), Answer)
            assert server.asked == ["udp", "tcp"] * 2
            asking.close()

    within_deadline(work)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_an_error_is_told_and_asked_nowhere_else(transport: Transport) -> None:
    def broken(asked: bytes) -> list[bytes]:
        return [good(asked)[:-15]]

    async def work() -> None:
        script: Script = broken
        async with running(script, script, transport=transport) as (server, upstream):
            asking = Asking(upstream, ours=lambda _: False, tls=None)
            assert isinstance(await asking.ask(WWW, asking.spell(WWW)), Failure)
            assert server.asked == [transport.value]
            asking.close()

    within_deadline(work)
