from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.marks import GATEWAYS_GAP, RATE, SLACK_S, Marks, joined, networks_gap, raised

_BITS = 32
_PLACES = st.tuples(st.integers(1, 2**32 - 1), st.integers(16, 65_535))
_MARKS = st.builds(
    Marks,
    revision=st.integers(0, 2**40),
    gateways=st.integers(16, 65_536),
    networks=st.integers(0, 2**32),
    addresses=st.dictionaries(_PLACES, st.integers(2, 2**40), max_size=4),
)
_SPANS = st.integers(0, 100 * 365 * 86_400)


@st.composite
def _later(draw: st.DrawFn, marks: Marks, elapsed_s: int) -> Marks:
    """Draw what a store that stood at `marks` can have come to within the time."""
    most = RATE * elapsed_s
    return Marks(
        revision=marks.revision + draw(st.integers(0, most)),
        gateways=marks.gateways + draw(st.integers(0, GATEWAYS_GAP)),
        networks=marks.networks + draw(st.integers(0, networks_gap(_BITS))),
        addresses={
            place: number + draw(st.integers(0, most)) for place, number in marks.addresses.items()
        },
    )


def _past(marks: Marks, other: Marks) -> bool:
    return (
        marks.revision >= other.revision
        and marks.gateways >= other.gateways
        and marks.networks >= other.networks
        and all(number >= other.addresses.get(p, 0) for p, number in marks.addresses.items())
    )


@given(_MARKS, _SPANS, st.data())
def test_a_restored_store_is_past_all_that_was_given_out_since_the_back_up(
    marks: Marks, elapsed_s: int, data: st.DataObject
) -> None:
    later = data.draw(_later(marks, elapsed_s))

    assert _past(raised(marks, elapsed_s=elapsed_s, network_bits=_BITS), later)


@given(_MARKS, _SPANS, _SPANS, st.data())
def test_it_is_past_what_an_earlier_restore_of_the_same_back_up_gave_out(
    marks: Marks, first_s: int, since_s: int, data: st.DataObject
) -> None:
    """Counts that are plentiful: it ran elsewhere, and nothing of it is known here."""
    first = raised(marks, elapsed_s=first_s, network_bits=_BITS)
    came_to = data.draw(_later(first, since_s))
    second = raised(marks, elapsed_s=first_s + since_s, network_bits=_BITS)

    assert second.revision >= came_to.revision
    assert all(second.addresses[place] >= number for place, number in came_to.addresses.items())


@given(_MARKS, _MARKS)
def test_joined_marks_are_past_both(marks: Marks, other: Marks) -> None:
    both = joined(marks, other)

    assert _past(both, marks)
    assert _past(both, other)
    assert both.addresses.keys() == marks.addresses.keys()


@given(_MARKS)
def test_a_mark_joined_with_itself_is_the_same(marks: Marks) -> None:
    assert joined(marks, marks) == marks


def test_plentiful_counts_last_for_a_thousand_years_of_restores() -> None:
    marks = Marks(revision=0, gateways=16, networks=0, addresses={(1, 16): 2})
    millennium = 1_000 * 366 * 86_400
    found = raised(marks, elapsed_s=millennium, network_bits=_BITS)

    assert found.revision < 2**63
    assert found.addresses[1, 16] < 2**63


def test_scarce_counts_last_for_a_thousand_restores() -> None:
    assert GATEWAYS_GAP * 1_000 < 65_535 - 16
    assert [networks_gap(bits) * 1_000 < 2**bits for bits in (16, 24, 32)] == [True] * 3
    assert SLACK_S > 60
