"""The names below one top: all of them, those between, and none before somebody asks."""

import weakref

from wgctl.core.names.branch import Branch, Names, Stands
from wgctl.core.names.record_set import RecordSet
from wgctl.core.wire import Labels

TOP: Labels = (b"web", b"internal")


def test_names_between_exist_and_hold_nothing() -> None:
    branch = Branch(1, lambda: [((b"m1", b"vm", *TOP), {28: ...})])  # type: ignore[dict-item]

    assert branch.find((b"vm", *TOP)) == {}
    assert branch.find(TOP) == {}
    assert branch.find((b"ams", *TOP)) is None
    assert (b"internal",) not in branch.names


def test_nothing_is_put_together_before_somebody_asks_and_then_once() -> None:
    written = []

    def write() -> Names:
        written.append(1)
        return [(TOP, {})]

    branch = Branch(1, write)
    assert not written
    found = [branch.find(TOP), branch.find((b"x", *TOP))]

    assert (found, written) == ([{}, None], [1])


def test_what_is_not_written_down_is_found_by_rule() -> None:
    def rule(labels: Labels) -> Stands | None:
        return {} if labels[0].startswith(b"top") else None

    branch = Branch(1, lambda: [(TOP, {})], rule=rule)

    assert branch.find((b"top3", *TOP)) == {}
    assert branch.find((b"least", *TOP)) is None


def test_of_very_many_branches_the_names_are_put_together_again_when_they_are_asked_for() -> None:
    written = []

    def write() -> Names:
        written.append(1)
        return [(TOP, {})]

    branches = [Branch(number, write) for number in range(3_000)]
    found = [branch.find(TOP) for branch in branches]
    assert len(written) == len(branches)
    found += [branch.find(TOP) for branch in (branches[0], branches[-1])]

    assert found == [{}] * 3_002
    assert len(written) == len(branches) + 1


def test_what_was_put_together_goes_with_its_branch() -> None:
    class Stood(dict[int, RecordSet]):
        """What stands somewhere, and can be seen to go."""

    branch = Branch(1, lambda: [(TOP, Stood())])
    found = branch.find(TOP)
    assert isinstance(found, Stood)
    left = weakref.ref(found)
    del found, branch

    assert left() is None
