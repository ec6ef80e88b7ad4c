import json
from pathlib import Path

import pytest

from tests.cli.conftest import Wgctl


def test_what_was_done_is_listed_the_latest_last(acme: Wgctl) -> None:
    acme("network", "add", "lab")
    acme("app", "add", "web")
    table = acme("audit", "list", "--last", "2").stdout.splitlines()

    assert table[0].split() == ["PLACE", "AT", "WHO", "TOKEN", "FROM", "OUTCOME", "DID", "WHAT"]
    assert [line.split()[-2:] for line in table[1:]] == [["+network", "lab"], ["+app", "web"]]
    last = acme("audit", "list", "--json").document[-1]
    assert (last["who"], last["did"]) == ("operator", "app:write")
    assert last["changes"][0]["after"]["name"] == "web"


def test_an_export_is_verified_elsewhere_and_shows_a_change(
    acme: Wgctl, bare: Wgctl, tmp_path: Path
) -> None:
    acme("app", "add", "web")
    here = acme("audit", "verify", "--json").document
    acme("app", "remove", "web", "--yes")
    file = tmp_path / "trail.jsonl"
    file.write_text(acme("audit", "export").stdout)
    verify = ["audit", "verify", "--file", str(file)]

    assert bare(*verify, "--head", here["head"], "--json").document["records"] > here["records"]
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[: here["records"] - 1]))
    assert bare(*verify).exit_code == 0
    assert bare(*verify, "--head", here["head"]).exit_code == 2
    forged = json.loads(lines[1])
    forged["body"] = forged["body"].replace("operator", "nobody")
    file.write_text("\n".join([lines[0], json.dumps(forged), *lines[2:]]))
    broken = bare(*verify)
    assert (broken.exit_code, broken.stdout) == (2, "")
    assert "record 2 does not follow from record 1" in broken.stderr


def test_an_operator_reads_what_no_org_owns(wgctl: Wgctl, org: str) -> None:
    kinds = [
        change["kind"]
        for record in wgctl("audit", "list", "--json", env={"WGCTL_ORG": ""}).document
        for change in record["changes"]
    ]

    assert "org" in kinds
    assert wgctl("audit", "verify").exit_code == 0


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"place": 1}'])
def test_a_file_that_is_no_export_is_refused(bare: Wgctl, tmp_path: Path, text: str) -> None:
    file = tmp_path / "trail.jsonl"
    file.write_text(text)
    result = bare("audit", "verify", "--file", str(file))

    assert result.exit_code == (2 if text else 0)
    assert bare("audit", "verify", "--file", str(tmp_path / "none")).exit_code == 2
    assert bare("audit", "verify", "--file", str(file), "--head", "x").exit_code == 2
