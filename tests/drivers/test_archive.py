import io
import json
import lzma
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wgctl.core.errors import Invalid, Unavailable
from wgctl.drivers.archive import CONFIG, KEY, STORE, Manifest, pack, unpack

_MANIFEST = Manifest(wgctl="0.1.0", made_at=1_800_000_000, epoch="e", revision=7)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A back-up of a store of three chunks and a config."""
    (tmp_path / "store").write_bytes(bytes(range(256)) * 12_000)
    (tmp_path / "toml").write_text("a = 1\n")
    path = tmp_path / "backup.tar.xz"
    with path.open("wb") as into:
        pack(into, _MANIFEST, {STORE: tmp_path / "store", CONFIG: tmp_path / "toml"})
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _tar(path: Path, members: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(path, "w:xz") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.type = len(content), kind
            tar.addfile(header, io.BytesIO(content))


def _manifest(**changed: object) -> bytes:
    document = {"format": 1, "wgctl": "1", "made_at": 5, "epoch": "e", "revision": 7}
    return json.dumps({**document, **changed}).encode()


def test_what_was_packed_is_unpacked_for_the_owner_alone(packed: Path, out: Path) -> None:
    assert unpack(packed, out) == _MANIFEST
    assert sorted(path.name for path in out.iterdir()) == [STORE, CONFIG]
    assert (out / STORE).read_bytes() == (packed.parent / "store").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}


def test_any_tar_opens_it(packed: Path) -> None:
    listed = subprocess.run(
        ["tar", "tf", packed], capture_output=True, text=True, check=True
    ).stdout.split()

    assert listed == [f"wgctl-backup/{name}" for name in ("manifest.json", STORE, CONFIG)]


@pytest.mark.parametrize("tenth", range(10))
def test_a_file_that_was_cut_off_is_refused(packed: Path, out: Path, tenth: int) -> None:
    content = packed.read_bytes()
    packed.write_bytes(content[: len(content) * tenth // 10])

    with pytest.raises(Invalid, match="no whole back-up"):
        unpack(packed, out)
    assert list(out.iterdir()) == []


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_file_in_which_one_bit_has_turned_is_refused(
    packed: Path, out: Path, place: float, bit: int
) -> None:
    content = bytearray(packed.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    damaged = packed.with_name("damaged")
    damaged.write_bytes(content)

    with pytest.raises(Invalid):
        unpack(damaged, out)
    assert list(out.iterdir()) == []


def test_a_file_with_something_behind_its_end_is_refused(packed: Path, out: Path) -> None:
    packed.write_bytes(packed.read_bytes() + b"more")

    with pytest.raises(Invalid, match="something follows its end"):
        unpack(packed, out)


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\0", lzma.compress(b"text"), bytes(4096)]
)
def test_what_is_no_back_up_is_refused(tmp_path: Path, out: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)

    with pytest.raises(Invalid, match="expected a file that wgctl backup made"):
        unpack(tmp_path / "f", out)


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"etc/passwd": b""}, "no back-up of wgctl's"),
        ({"wgctl-backup/manifest.json": b"{"}, "manifest cannot be read"),
        ({"wgctl-backup/manifest.json": b"[]"}, "names no format"),
        ({"wgctl-backup/manifest.json": b"{}"}, "names no format"),
        ({"wgctl-backup/manifest.json": b'{"format": 1}'}, "no back-up of wgctl's"),
        ({"wgctl-backup/manifest.json": _manifest()}, "has no store"),
        ({"wgctl-backup/manifest.json": _manifest(revision="x")}, "manifest cannot be read"),
        (
            {"wgctl-backup/manifest.json": _manifest(), "wgctl-backup/../../etc/cron.d/x": b"x"},
            "no part of a back-up",
        ),
        ({"wgctl-backup/manifest.json": _manifest(), "/tmp/gateway.key": b"x"}, "no part"),  # noqa: S108 - a path that must not be written
    ],
)
def test_other_archives_are_refused(
    tmp_path: Path, out: Path, members: dict[str, bytes], rule: str
) -> None:
    _tar(tmp_path / "f", members)

    with pytest.raises(Invalid, match=rule):
        unpack(tmp_path / "f", out)
    assert list(out.iterdir()) == []


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path, out: Path) -> None:
    with tarfile.open(tmp_path / "f", "w:xz") as tar:
        manifest = tarfile.TarInfo("wgctl-backup/manifest.json")
        manifest.size = len(_manifest())
        tar.addfile(manifest, io.BytesIO(_manifest()))
        link = tarfile.TarInfo(f"wgctl-backup/{KEY}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(link)

    with pytest.raises(Invalid, match="no part of a back-up"):
        unpack(tmp_path / "f", out)


def test_a_back_up_of_a_later_format_names_the_cure(tmp_path: Path, out: Path) -> None:
    _tar(tmp_path / "f", {"wgctl-backup/manifest.json": _manifest(format=2)})

    with pytest.raises(Unavailable, match="a newer wgctl made it"):
        unpack(tmp_path / "f", out)
