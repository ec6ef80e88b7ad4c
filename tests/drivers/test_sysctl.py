from pathlib import Path

import pytest

from tests.drivers.namespaces import Namespace
from wgctl.core.errors import Unavailable
from wgctl.drivers import sysctl


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with three uplinks that treat router advertisements in three ways."""
    switches = {"all": 1, "default": 1, "lo": 1, "eth0": 1, "eth1": 0, "eth2": 2}
    for name, accept_ra in switches.items():
        folder = tmp_path / "net/ipv6/conf" / name
        folder.mkdir(parents=True)
        (folder / "accept_ra").write_text(f"{accept_ra}\n")
        (folder / "forwarding").write_text("0\n")
    return tmp_path


def value(root: Path, switch: str) -> str:
    return (root / "net/ipv6/conf" / switch).read_text().strip()


def test_forwarding_goes_on_and_an_uplink_keeps_its_default_route(root: Path) -> None:
    changed = sysctl.switch_forwarding_on(root=root)

    assert changed == ("eth0.accept_ra=2", "all.forwarding=1")
    assert sysctl.forwards(root=root)
    assert sysctl.accept_ra(root=root) == {"eth0": 2, "eth1": 0, "eth2": 2}
    assert value(root, "default/accept_ra") == "1"


def test_where_it_is_on_nothing_is_written(root: Path) -> None:
    (root / "net/ipv6/conf/all/forwarding").write_text("1\n")

    assert sysctl.switch_forwarding_on(root=root) == ()
    assert value(root, "eth0/accept_ra") == "1"


def test_switches_that_systemd_hides_are_not_there(root: Path) -> None:
    assert sysctl.are_there(root=root)
    assert not sysctl.are_there(root=root / "sys")


def test_a_hidden_switch_is_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="IPv6"):
        sysctl.switch_forwarding_on(root=tmp_path)


def test_a_switch_that_cannot_be_written_is_refused_with_a_cure(root: Path) -> None:
    """Not even root can write the number of the loopback interface, which is 1."""
    switch = root / "net/ipv6/conf/eth0/accept_ra"
    switch.unlink()
    switch.symlink_to("/sys/class/net/lo/ifindex")

    with pytest.raises(Unavailable, match=r"set net\.ipv6\.conf\.eth0\.accept_ra to 2"):
        sysctl.switch_forwarding_on(root=root)


@pytest.mark.network
def test_the_real_switches_are_where_we_look(namespace: Namespace) -> None:
    namespace.shell("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")

    before = namespace.run(sysctl.forwards)
    namespace.run(sysctl.switch_forwarding_on)

    assert before is False
    assert namespace.run(sysctl.forwards) is True
    assert namespace.run(sysctl.accept_ra) == {"up0": 2, "up1": 2}
