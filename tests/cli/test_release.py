import sys
from pathlib import Path

from wgctl.cli.manual import pages
from wgctl.cli.release import documents, main


def test_a_page_for_every_command_and_a_script_for_every_shell_are_where_they_are_looked_for() -> (
    None
):
    found = documents()

    assert {Path(place).name for place in found if "/man1/" in place} == set(pages())
    scripts = {place: text for place, text in found.items() if "/man1/" not in place}
    assert scripts.keys() == {
        "share/bash-completion/completions/wgctl",
        "share/zsh/site-functions/_wgctl",
        "share/fish/vendor_completions.d/wgctl.fish",
    }
    for place, text in scripts.items():
        shell = place.split("/")[1].partition("-")[0]
        assert f"_WGCTL_COMPLETE={shell}_complete" in text


def test_everything_is_written_and_loaded(tmp_path: Path) -> None:
    main(tmp_path)

    written = {
        str(path.relative_to(tmp_path)): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert written == documents()
    roles = {f"wgctl.daemon.{name}" for name in ("controller", "gateway", "resolver", "restore")}
    assert roles | {"sqlalchemy.dialects.sqlite.pysqlite"} <= set(sys.modules)
