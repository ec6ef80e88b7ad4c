"""The names below one top: all of them, those between, and none before somebody asks."""

from wgctl.core.names.branch import Branch, Names, Stands
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
