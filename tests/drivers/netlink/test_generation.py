import pytest

from tests.drivers.namespaces import Namespace
from wgctl.drivers.netlink.generation import follows, generation


@pytest.mark.network
def test_each_change_of_the_rules_counts_one_and_reading_counts_none(namespace: Namespace) -> None:
    first = namespace.run(generation)
    namespace.shell("nft", "list", "ruleset")
    read = namespace.run(generation)
    namespace.shell("nft", "add table inet one; add table inet two")
    written = namespace.run(generation)

    assert first == read
    assert follows(written, read)


@pytest.mark.network
def test_another_namespaces_rules_do_not_count(namespace: Namespace) -> None:
    before = generation()

    namespace.shell("nft", "add table inet one")

    assert generation() == before


@pytest.mark.parametrize(
    ("after", "before", "one"),
    [
        (6, 5, True),
        (7, 5, False),
        (5, 5, False),
        (1, 2**32 - 1, True),
        (None, 5, False),
        (6, None, False),
        (None, None, False),
    ],
)
def test_one_change_is_the_next_number(after: int | None, before: int | None, *, one: bool) -> None:
    assert follows(after, before) is one
