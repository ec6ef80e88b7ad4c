import os
import pwd
from pathlib import Path

import pytest

from wgctl.core.model import Role
from wgctl.daemon.users import ROLE_USERS, may_act, senders

SYSUSERS = (Path(__file__).parents[2] / "systemd" / "wgctl.sysusers").read_text()


def test_every_role_has_a_user_that_the_installation_makes() -> None:
    assert set(ROLE_USERS) == set(Role)
    for user in ROLE_USERS.values():
        assert f"\nu {user} " in SYSUSERS


def test_this_process_and_the_roles_that_there_are_may_send() -> None:
    there = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    ours = {ROLE_USERS[role] for role in Role if role is not Role.CONTROLLER}

    assert senders() == {os.geteuid()} | {there[name] for name in ours & there.keys()}


@pytest.mark.parametrize("role", Role)
def test_root_this_user_and_the_roles_own_may_speak_for_a_role(role: Role) -> None:
    there = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    allowed = {0, os.geteuid(), there.get(ROLE_USERS[role], 0)}

    assert all(may_act(uid, role) for uid in allowed)
    others = {*there.values(), max(there.values()) + 1} - allowed
    assert not any(may_act(uid, role) for uid in others)
