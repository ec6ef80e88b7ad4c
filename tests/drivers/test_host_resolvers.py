from pathlib import Path

import pytest

from wgctl.drivers.host_resolvers import host_resolvers


@pytest.mark.parametrize(
    ("own", "resolved", "found"),
    [
        ("nameserver 192.0.2.1\n", "nameserver 192.0.2.2\n", ["192.0.2.1:53"]),
        ("nameserver 127.0.0.53\n", "nameserver 192.0.2.2\n", ["192.0.2.2:53"]),
        ("nameserver 127.0.0.53\n", None, []),
        (None, "nameserver 192.0.2.2\n", []),
    ],
)
def test_behind_a_stub_stands_what_resolved_asks(
    tmp_path: Path, own: str | None, resolved: str | None, found: list[str]
) -> None:
    for name, text in (("own", own), ("resolved", resolved)):
        if text is not None:
            (tmp_path / name).write_text(text)
    upstreams = host_resolvers(own=tmp_path / "own", resolved=tmp_path / "resolved")

    assert [str(upstream) for upstream in upstreams] == found
