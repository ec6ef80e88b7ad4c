import pysqlite3
import pytest
from sqlalchemy.exc import IntegrityError

from wgctl.core.errors import Conflict
from wgctl.store.unique import taken


def _violation(said: str) -> IntegrityError:
    return IntegrityError("INSERT", {}, pysqlite3.IntegrityError(said))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("UNIQUE constraint failed: peers.network_id, peers.name", "name"),
        ("UNIQUE constraint failed: peers.public_key", "key"),
    ],
)
def test_a_violated_constraint_is_a_conflict_in_the_callers_words(said: str, message: str) -> None:
    with pytest.raises(Conflict, match=message), taken(peers_name="name", peers_public_key="key"):
        raise _violation(said)


@pytest.mark.parametrize(
    "said",
    [
        "UNIQUE constraint failed: peers.network_id, peers.gateway_number, peers.number",
        "UNIQUE constraint failed: apps.network_id, apps.name",
        "FOREIGN KEY constraint failed",
        "NOT NULL constraint failed: peers.name_of",
    ],
)
def test_any_other_violation_passes_through(said: str) -> None:
    with pytest.raises(IntegrityError), taken(peers_name="name", peers_public_key="key"):
        raise _violation(said)


def test_what_does_not_fail_passes() -> None:
    with taken(peers_name="name"):
        passed = True

    assert passed
