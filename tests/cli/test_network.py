from tests.cli.conftest import Wgctl


def test_each_network_has_a_prefix_of_its_own(acme: Wgctl) -> None:
    acme("network", "add", "ci")

    found = acme("network", "list", "--json").document

    assert [network["name"] for network in found] == ["ci", "default"]
    assert len({network["prefix"] for network in found}) == 2
    assert all(network["resolver"].endswith("::3") for network in found)


def test_show_is_what_add_printed(acme: Wgctl) -> None:
    added = acme("network", "add", "ci").stdout

    assert added.startswith("name      ci\n")
    assert acme("network", "show", "ci").stdout == added


def test_a_taken_name_is_a_conflict_and_a_missing_one_not_found(acme: Wgctl) -> None:
    assert acme("network", "add", "default").exit_code == 5
    assert acme("network", "show", "ci").exit_code == 4
    assert acme("network", "remove", "ci", "-y").exit_code == 4


def test_only_an_empty_network_is_removed(acme: Wgctl) -> None:
    acme("network", "add", "ci")
    acme("peer", "add", "runner", "--network", "ci")

    assert acme("network", "remove", "ci", "--yes").exit_code == 5

    acme("peer", "remove", "runner", "--network", "ci", "--yes")
    assert acme("network", "remove", "ci", "--yes", "--json").document == {"removed": "ci"}
    assert acme("network", "show", "ci").exit_code == 4
