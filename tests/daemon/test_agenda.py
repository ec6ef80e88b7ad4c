from wgctl.daemon.agenda import TICK_S, Agenda
from wgctl.drivers.netlink.watch import Notice


def passed(*, at: float = 100.0, took_s: float = 0.01, settled: bool = True) -> Agenda:
    agenda = Agenda(0.0)
    agenda.passed(at, took_s=took_s, settled=settled)
    return agenda


def due(agenda: Agenda) -> float:
    """When the next pass is due, to a hundredth."""
    return next(at / 100 for at in range(100_00, 200_00) if agenda.pass_is_due(at / 100 + 1e-6))


def test_a_pass_is_due_at_once_and_no_look() -> None:
    agenda = Agenda(5.0)

    assert agenda.pass_is_due(5.0)
    assert not agenda.look_is_due(5.0)
    assert agenda.wait_s(5.0) == 0


def test_a_pass_rests_in_proportion_to_what_it_took() -> None:
    assert due(passed(took_s=0.01)) == 103.0
    assert due(passed(took_s=0.45)) == 109.0
    assert due(passed(took_s=9.0)) == 130.0


def test_what_a_pass_wrote_makes_no_rest_longer() -> None:
    agenda = passed(took_s=0.2)
    agenda.passed(110.0, took_s=5.0, settled=True, wrote=True)

    assert due(agenda) == 114.0


def test_what_could_not_be_done_is_tried_again_soon() -> None:
    agenda = passed(took_s=9.0)
    agenda.refused(101.0)

    assert due(passed(took_s=9.0, settled=False)) == 102.0
    assert due(agenda) == 103.0


def test_changes_in_a_row_are_verified_together_but_not_later_than_without() -> None:
    agenda = passed(took_s=9.0)
    agenda.changed(110.0)
    agenda.changed(110.5)
    assert due(agenda) == 111.5

    agenda.changed(129.9)
    assert due(agenda) == 130.0


def test_a_word_of_the_tunnel_brings_the_pass_forward() -> None:
    agenda = passed(took_s=0.9)

    assert agenda.noticed(Notice.TUNNEL, 110.0)
    assert due(agenda) == 110.1
    assert not agenda.noticed(Notice.TUNNEL, 110.05)
    assert due(agenda) == 110.1


def test_words_without_end_leave_rests_but_never_longer_than_five_seconds() -> None:
    for took_s, at in ((0.01, 101.0), (0.1, 102.0), (4.0, 105.0)):
        agenda = passed(took_s=took_s)
        agenda.noticed(Notice.TUNNEL, 100.0)
        assert due(agenda) == at


def test_a_word_of_the_table_has_it_looked_at_at_once_but_not_more_than_four_times_a_second() -> (
    None
):
    agenda = passed()

    assert agenda.noticed(Notice.FIREWALL, 101.0)
    assert agenda.look_is_due(101.0)
    agenda.looked(101.1)
    assert not agenda.look_is_due(101.1)
    assert agenda.noticed(Notice.FIREWALL, 101.1)
    assert not agenda.noticed(Notice.FIREWALL, 101.2)
    assert not agenda.look_is_due(101.3)
    assert agenda.look_is_due(101.36)
    assert due(agenda) == 103.0


def test_nobody_waits_past_what_is_due_nor_longer_than_a_tick() -> None:
    agenda = passed()

    assert agenda.wait_s(100.0) == TICK_S
    assert abs(agenda.wait_s(102.9) - 0.1) < 1e-6
    assert agenda.wait_s(104.0) == 0
    agenda.noticed(Notice.FIREWALL, 100.0)
    assert agenda.wait_s(100.0) == 0
