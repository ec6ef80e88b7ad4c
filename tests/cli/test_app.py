from tests.cli.conftest import Wgctl


def test_an_app_is_told_with_its_name_in_dns(acme: Wgctl) -> None:
    added = acme("app", "add", "web")

    assert added.stderr == "app web added: web.internal\n"
    assert acme("app", "show", "web").stdout == added.stdout


def test_the_list_is_of_all_networks_or_of_one(acme: Wgctl) -> None:
    acme("network", "add", "ci")
    acme("app", "add", "web")
    acme("app", "add", "builds", "--network", "ci")

    everywhere = acme("app", "list", "--json").document
    of_one = acme("app", "list", "--network", "ci", "--json").document

    assert {(app["network"], app["name"]) for app in everywhere} == {
        ("default", "web"),
        ("ci", "builds"),
    }
    assert [app["name"] for app in of_one] == ["builds"]


def test_a_taken_name_is_a_conflict_and_a_missing_one_not_found(acme: Wgctl) -> None:
    acme("app", "add", "web")

    assert acme("app", "add", "web").exit_code == 5
    assert acme("app", "show", "db").exit_code == 4
    assert acme("app", "remove", "db", "-y").exit_code == 4


def test_a_removed_app_is_gone(acme: Wgctl) -> None:
    acme("app", "add", "web")

    assert acme("app", "remove", "web", "-y", "--json").document == {"removed": "web"}
    assert acme("app", "list", "--json").document == []
