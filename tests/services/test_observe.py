from dataclasses import replace

from wgctl.core.health import Health, Record
from wgctl.core.model import ONLINE_S, Observation, Role
from wgctl.services.observe import ALIVE_S, Observations, RoleFacts

_FACTS = RoleFacts(role=Role.GATEWAY, revision=7, started_at=50, reported_at=100)


def _seen(peer_id: int, *, at: int | None) -> Observation:
    return Observation(peer_id, "192.0.2.1:5", at, received_bytes=1, sent_bytes=2)


def test_nothing_is_seen_at_first() -> None:
    seen = Observations()

    assert seen.roles() == []
    assert seen.role(Role.GATEWAY) is None
    assert seen.of_peer(1) == Observation(1, None, None, 0, 0)
    assert seen.online(now=0) == frozenset()


def test_the_last_report_of_each_role_counts() -> None:
    seen = Observations()
    later = replace(_FACTS, revision=8)
    resolver = replace(_FACTS, role=Role.RESOLVER)
    for facts in (resolver, _FACTS, later):
        seen.note(facts, [])

    assert seen.roles() == [later, resolver]
    assert seen.role(Role.GATEWAY) == later


def test_a_later_sight_of_a_peer_replaces_the_earlier_one_and_no_other() -> None:
    seen = Observations()
    seen.note(_FACTS, [_seen(1, at=10), _seen(2, at=10)])
    seen.note(_FACTS, [_seen(2, at=20)])

    assert seen.of_peer(1) == _seen(1, at=10)
    assert seen.of_peer(2) == _seen(2, at=20)


def test_peers_with_a_live_session_are_counted() -> None:
    seen = Observations()
    seen.note(_FACTS, [_seen(1, at=100), _seen(2, at=50), _seen(3, at=None)])

    assert seen.online(now=100) == {1, 2}
    assert seen.online(now=50 + ONLINE_S) == {1}
    assert seen.online(now=100 + ONLINE_S) == frozenset()


def test_what_probes_found_is_kept_by_machine_and_the_last_word_counts() -> None:
    seen = Observations()
    one, two = Record(1, Health.HEALTHY), Record(2, Health.UNHEALTHY)
    seen.note(_FACTS, [], [one, two])
    later = one.moved(Health.UNHEALTHY, at=100, reason="tcp 80: connection refused")
    seen.note(_FACTS, [], [later])

    assert seen.of_machine(1) == later
    assert seen.of_machine(2) == two
    assert seen.of_machine(3) == Record(3, Health.UNKNOWN)


def test_a_machine_that_no_report_names_for_an_hour_is_forgotten() -> None:
    """So that machines which come and go leave nothing behind."""
    seen = Observations()
    seen.note(_FACTS, [], [Record(1, Health.HEALTHY), Record(2, Health.HEALTHY)])
    seen.note(replace(_FACTS, reported_at=100 + 3600), [], [Record(1, Health.HEALTHY)])
    assert seen.of_machine(2).health is Health.HEALTHY
    seen.note(replace(_FACTS, reported_at=101 + 3600), [])

    assert seen.of_machine(2).health is Health.UNKNOWN
    assert seen.of_machine(1).health is Health.HEALTHY


def test_peers_that_are_gone_can_be_forgotten() -> None:
    seen = Observations()
    seen.note(_FACTS, [_seen(1, at=100)])
    seen.forget([1, 2])

    assert seen.of_peer(1) == Observation(1, None, None, 0, 0)


def test_a_role_is_alive_while_its_report_is_fresh() -> None:
    assert _FACTS.alive(now=100 + ALIVE_S)
    assert not _FACTS.alive(now=101 + ALIVE_S)
