from tests.cli.conftest import ENDPOINT, Wgctl


def test_the_gateway_of_init_is_listed_and_shown(wgctl: Wgctl) -> None:
    (listed,) = wgctl("gateway", "list", "--json").document

    assert (listed["region"], listed["endpoint"]) == ("ams", ENDPOINT)
    assert f"endpoint    {ENDPOINT}\n" in wgctl("gateway", "show", listed["name"]).stdout


def test_a_missing_gateway_is_not_found(wgctl: Wgctl) -> None:
    assert wgctl("gateway", "show", "nowhere-1").exit_code == 4
