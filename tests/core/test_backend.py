import pytest

from wgctl.core.backend import choose
from wgctl.core.errors import Conflict, Unavailable
from wgctl.core.settings import Backend

AUTO, KERNEL, USERSPACE = Backend.AUTO, Backend.KERNEL, Backend.USERSPACE


@pytest.mark.parametrize(
    ("wanted", "standing", "has_kernel", "expected"),
    [
        (AUTO, None, True, KERNEL),
        (AUTO, None, False, USERSPACE),
        (KERNEL, None, True, KERNEL),
        (USERSPACE, None, True, USERSPACE),
        (USERSPACE, None, False, USERSPACE),
        (AUTO, USERSPACE, True, USERSPACE),
        (AUTO, KERNEL, False, KERNEL),
        (KERNEL, KERNEL, False, KERNEL),
        (USERSPACE, USERSPACE, True, USERSPACE),
    ],
)
def test_the_kernels_is_chosen_where_it_is_there_and_nothing_else_stands(
    *, wanted: Backend, standing: Backend | None, has_kernel: bool, expected: Backend
) -> None:
    assert choose(wanted, standing=standing, has_kernel=has_kernel) is expected


def test_a_kernel_without_wireguard_is_refused_with_what_to_write() -> None:
    with pytest.raises(Unavailable, match='backend = "auto" or "userspace"'):
        choose(KERNEL, standing=None, has_kernel=False)


@pytest.mark.parametrize(("wanted", "standing"), [(KERNEL, USERSPACE), (USERSPACE, KERNEL)])
def test_a_device_that_stands_is_not_replaced_by_one_of_the_other_kind(
    wanted: Backend, standing: Backend
) -> None:
    with pytest.raises(Conflict, match=f"runs in {standing} .* wgctl down"):
        choose(wanted, standing=standing, has_kernel=True)
