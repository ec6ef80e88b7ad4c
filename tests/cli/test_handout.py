from pathlib import Path

import pytest

from peers.errors import Invalid
from peers.names import Label
from wgctl.cli.form import Form
from wgctl.cli.handout import Handout, Wish, wanted

NAME = Label("alice")


def wish(
    *,
    out: str | None = None,
    form: str = "wg-quick",
    interface: str | None = None,
    dns: str = "split",
    qr: bool = False,
) -> Wish:
    return Wish(out, form, interface, dns, qr)


def handout(given: Wish, *, name: Label = NAME) -> Handout:
    return wanted(given, name, as_json=False, own_key=False)


@pytest.mark.parametrize(("dns", "needed"), [("split", False), ("full", True), ("none", False)])
def test_only_full_dns_needs_a_resolver_that_forwards(
    dns: str,
    needed: bool,  # noqa: FBT001 - a case
) -> None:
    assert handout(wish(dns=dns)).needs_forwarding is needed


def test_dash_and_nothing_are_both_stdout() -> None:
    for out in (None, "-"):
        assert handout(wish(out=out, qr=True)).path is None


def test_a_code_has_no_hooks() -> None:
    assert handout(wish(qr=True)).form == Form("wg-quick", "alice", "split", hooks=False)
    assert handout(wish()).form.hooks


@pytest.mark.parametrize("form", ["networkd", "networkmanager", "json"])
def test_the_interface_is_the_peers_name_unless_it_is_told(form: str) -> None:
    long = Label("build-machine-frankfurt-7")

    assert handout(wish(form=form)).form.interface == "alice"
    assert handout(wish(form=form, interface="wg7")).form.interface == "wg7"
    assert handout(wish(form=form), name=long).form.interface.startswith("wg-build-m-")


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (wish(interface="wg7"), "wg-quick takes the name of its file"),
        (wish(form="networkd", interface="wg 7"), "^--interface: interface 'wg 7'"),
        (wish(form="networkd", out="missing"), "'missing' is no folder: make it first"),
        (wish(form="json", qr=True), "--qr is a wg-quick config"),
    ],
)
def test_what_does_not_go_together_is_refused(given: Wish, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        handout(given)


def test_a_folder_gets_a_file_for_each_document(tmp_path: Path) -> None:
    asked = handout(wish(form="networkd", out=str(tmp_path)))

    with asked.opened() as files:
        assert [file.path.name for file in files] == ["alice.netdev", "alice.network"]
        assert all(file.path.exists() for file in files)
    assert list(tmp_path.iterdir()) == []


def test_a_second_name_that_is_taken_frees_the_first(tmp_path: Path) -> None:
    (tmp_path / "alice.network").write_text("kept")
    asked = handout(wish(form="networkd", out=str(tmp_path)))

    with pytest.raises(Invalid, match="exists already"), asked.opened():
        pytest.fail("the files were opened")

    assert [path.name for path in tmp_path.iterdir()] == ["alice.network"]
