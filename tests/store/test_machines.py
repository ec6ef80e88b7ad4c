from dataclasses import replace

from tests.store.samples import CHECK
from wgctl.core.feed import Kind, Put
from wgctl.core.model import MachineState
from wgctl.store.store import Store


def test_a_state_that_is_so_already_is_no_change(furnished: Store) -> None:
    with furnished.writing() as deployment:
        before = deployment.revision
        door = deployment.owned_by("acme")
        machine = door.machine(door.network("default"), "one")
        door.set_machine_state(machine, MachineState.STARTED)
    with furnished.reading() as deployment:
        assert deployment.revision == before - 1


def test_a_check_takes_the_place_of_the_last_one_and_the_same_again_is_no_change(
    furnished: Store,
) -> None:
    for interval_s, news in ((10, 0), (5, 1), (5, 0)):
        with furnished.writing() as deployment:
            since = deployment.revision - 1
            door = deployment.owned_by("acme")
            machine = door.machine(door.network("default"), "one")
            last, check = (
                door.check(machine),
                door.set_check(machine, replace(CHECK, interval_s=interval_s)),
            )
            told = list(
                deployment.changes(since=since, until=since + 1, kinds=frozenset({Kind.CHECK}))
            )

        assert check is not None
        assert last is not None
        assert (check.id, check.machine_id, check.interval_s) == (last.id, machine.id, interval_s)
        assert told == [Put(Kind.CHECK, check)] * news
