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


def test_an_app_has_a_service_address_when_it_is_asked_for(acme: Wgctl) -> None:
    acme("app", "add", "web")
    given = acme("app", "set", "web", "--flycast", "--json")
    shown = acme("app", "show", "web", "--json")
    taken = acme("app", "set", "web", "--no-flycast")
    added = acme("app", "add", "db", "--flycast")

    assert given.document["service_address"].endswith(":1::2")
    assert given.document == shown.document
    assert given.stderr == "app web: web.internal, web.flycast\n"
    assert taken.stderr == "app web: web.internal\n"
    assert added.stderr == "app db added: db.internal, db.flycast\n"
    assert "service address  fd" in added.stdout
    assert acme("app", "set", "web").exit_code == 2
    assert acme("app", "set", "none", "--flycast").exit_code == 4


def test_a_removed_app_is_gone(acme: Wgctl) -> None:
    acme("app", "add", "web")

    assert acme("app", "remove", "web", "-y", "--json").document == {"removed": "web"}
    assert acme("app", "list", "--json").document == []
