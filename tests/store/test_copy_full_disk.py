"""A role's copy on a disk that has no room left: the role starts from it, and goes on."""

import os
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from peers.names import Label
from tests.drivers.mounts import in_private_mounts, mount_small
from wgctl.core.errors import Unavailable
from wgctl.core.feed import Kind, Put
from wgctl.core.model import Org
from wgctl.store.copy import Copy


def put(number: int) -> Put:
    return Put(Kind.ORG, Org(number, Label(f"org-{number}"), 0))


def leave(path: Path, *, killed: bool) -> None:
    """Let a process make a copy and end, by itself or not."""
    child = os.fork()
    if child == 0:
        copy = Copy(path)
        copy.write([put(1)], epoch="e", revision=1)
        if not killed:
            copy.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def starts_without_room(folder: Path, *, killed: bool) -> None:
    mount_small(folder, size_bytes=1 << 20)
    path, ballast = folder / "copy.sqlite", folder / "ballast"
    leave(path, killed=killed)
    with suppress(OSError), ballast.open("wb", buffering=0) as full:
        while True:
            full.write(bytes(4096))

    many = [put(number) for number in range(1, 2_000)]
    with closing(Copy(path)) as copy:
        assert (list(copy.orgs()), copy.position) == ([put(1).row], ("e", 1))
        with pytest.raises(Unavailable, match="full"):
            copy.write(many, epoch="e", revision=2)
        assert len(list(copy.orgs())) == len(many)
        ballast.unlink()
        copy.write([], epoch="e", revision=3)
    with closing(Copy(path)) as again:
        assert (len(list(again.orgs())), again.position) == (len(many), ("e", 3))


@pytest.mark.network
@pytest.mark.parametrize("killed", [False, True])
def test_a_role_starts_from_its_copy_where_the_disk_is_full(
    tmp_path: Path, *, killed: bool
) -> None:
    """However the last one ended."""
    in_private_mounts(partial(starts_without_room, tmp_path, killed=killed))
