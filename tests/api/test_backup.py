from pathlib import Path

from tests.api.asking import Door
from tests.store.samples import add_peer
from tests.store.walk import EVERYTHING, rows_of
from wgctl.api.backup import forget_copies
from wgctl.store import snapshot
from wgctl.store.store import Store


def test_the_store_comes_whole_and_leaves_nothing_behind(
    operators: Door, store: Store, tmp_path: Path
) -> None:
    add_peer(store, "acme", 1)
    response = operators.get("/v1/store")
    (tmp_path / "copy").write_bytes(response.content)
    snapshot.check(tmp_path / "copy")
    copy = Store(tmp_path / "copy")
    copied = rows_of(copy, EVERYTHING)
    copy.close()

    assert response.status_code == 200
    assert response.headers["content-length"] == str(len(response.content))
    assert copied == rows_of(store, EVERYTHING)
    assert list(store.path.parent.glob(".copy-*")) == []


def test_roles_may_not_have_the_store(nodes: Door) -> None:
    assert nodes.get("/v1/store").status_code == 404


def test_what_a_killed_controller_left_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / ".copy-abc").write_text("half")
    (tmp_path / "store.sqlite").write_text("whole")
    forget_copies(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["store.sqlite"]
