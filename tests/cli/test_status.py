from tests.cli.conftest import Deployment, Wgctl


def test_status_counts_what_there_is(wgctl: Wgctl, deployment: Deployment) -> None:
    before = wgctl("status", "--json").document
    wgctl("org", "add", "counted")
    after = wgctl("status", "--json").document

    assert after["orgs"] == before["orgs"] + 1
    assert after["revision"] > before["revision"]
    assert after["store"].startswith(str(deployment.folder))


def test_status_reads_as_facts_and_a_table_of_roles(wgctl: Wgctl) -> None:
    shown = wgctl("status").stdout

    for title in ("version", "revision", "pool      fdaa::/16", "store", "online"):
        assert title in shown
    for title in ("ROLE", "ALIVE", "INTERFACE", "BACKEND", "DRIFT"):
        assert title in shown
