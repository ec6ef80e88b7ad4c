import pytest

from tests.cli.conftest import Wgctl


@pytest.fixture
def web(acme: Wgctl) -> Wgctl:
    """An org with an app `web` and a peer `server`."""
    acme("peer", "add", "server")
    acme("app", "add", "web")
    return acme


def test_a_machine_is_what_the_options_say(web: Wgctl) -> None:
    added = web(
        *("machine", "add", "web", "web-1", "--peer", "server", "--region", "fra"),
        *("--process-group", "worker", "--port", "http=8080", "--port", "dns=53/udp"),
        *("--port", "dns=53/tcp", "--metadata", "version=2", "--metadata", "vm_role=all"),
        "--json",
    ).document

    assert added["name"] == "web-1"
    assert (added["region"], added["process_group"]) == ("fra", "worker")
    assert added["ports"] == [
        {"name": "http", "number": 8080, "protocol": "tcp"},
        {"name": "dns", "number": 53, "protocol": "udp"},
        {"name": "dns", "number": 53, "protocol": "tcp"},
    ]
    assert added["metadata"] == {"version": "2", "vm_role": "all"}
    assert added["state"] == "started"


def test_what_is_left_out_is_chosen(web: Wgctl) -> None:
    added = web("machine", "add", "web", "--peer", "server", "--json").document

    assert added["name"]
    assert (added["region"], added["process_group"], added["ports"]) == ("ams", "app", [])


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--port", "http"], "--port 'http', expected NAME=PORT"),
        (["--metadata", "v=1.2"], "metadata value '1.2': expected only"),
    ],
)
def test_options_that_break_a_rule_change_nothing(web: Wgctl, words: list[str], rule: str) -> None:
    result = web("machine", "add", "web", "--peer", "server", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert rule in result.stderr
    assert web("machine", "list", "--json").document == []


def test_a_machine_needs_a_peer(web: Wgctl) -> None:
    assert web("machine", "add", "web").exit_code == 2
    assert web("machine", "add", "web", "--peer", "nobody").exit_code == 4
    assert web("machine", "add", "db", "--peer", "server").exit_code == 4


def test_a_machine_stops_and_starts(web: Wgctl) -> None:
    web("machine", "add", "web", "web-1", "--peer", "server")

    assert "state     stopped" in web("machine", "stop", "web-1").stdout
    assert ["started", "0"] in [
        line.split() for line in web("app", "show", "web").stdout.splitlines()
    ]
    assert web("machine", "start", "web-1", "--json").document["state"] == "started"
    assert ["started", "1"] in [
        line.split() for line in web("app", "show", "web").stdout.splitlines()
    ]


def test_a_machine_is_probed_until_it_is_not(web: Wgctl) -> None:
    web("machine", "add", "web", "web-1", "--peer", "server")
    words = ("--http", "http://web.internal:8080/health", "--interval", "5s", "--grace", "0s")
    put = web("machine", "check", "web-1", *words, "--fall", "2")
    shown = web("machine", "show", "web-1", "--json").document
    off = web("machine", "check", "web-1", "--off", "--json")

    assert "machine web-1 is probed: http://web.internal:8080/health" in put.stderr
    assert "health    unknown" in put.stdout
    assert "http://web.internal:8080/health every 5s, timeout 2s, grace 0s" in put.stdout
    assert (shown["check"]["interval_s"], shown["check"]["fall"]) == (5, 2)
    assert (shown["health"], shown["events"]) == ("unknown", [])
    assert (off.document["check"], off.document["health"]) == (None, None)
    assert "machine web-1 is not probed" in off.stderr


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ((), "expected one of --tcp PORT, --http URL and --off"),
        (("--tcp", "0"), "0 is not in the range"),
        (("--tcp", "80", "--interval", "soon"), "--interval: 'soon', expected a time"),
    ],
)
def test_a_check_that_breaks_a_rule_changes_nothing(
    web: Wgctl, words: tuple[str, ...], rule: str
) -> None:
    web("machine", "add", "web", "web-1", "--peer", "server")
    result = web("machine", "check", "web-1", *words)

    assert result.exit_code == 2
    assert rule in result.stderr
    assert web("machine", "show", "web-1", "--json").document["check"] is None


def test_the_list_is_of_all_apps_or_of_one(web: Wgctl) -> None:
    web("app", "add", "db")
    web("machine", "add", "web", "web-1", "--peer", "server")
    web("machine", "add", "db", "db-1", "--peer", "server")

    everything = web("machine", "list").stdout.splitlines()[1:]
    of_one = web("machine", "list", "db").stdout.splitlines()[1:]

    assert [line.split()[0] for line in everything] == ["db-1", "web-1"]
    assert [line.split()[0] for line in of_one] == ["db-1"]
    assert web("machine", "list", "nope").exit_code == 4


def test_a_removed_machine_is_gone(web: Wgctl) -> None:
    web("machine", "add", "web", "web-1", "--peer", "server")

    assert web("machine", "remove", "web-1", "-y", "--json").document == {"removed": "web-1"}
    assert web("machine", "show", "web-1").exit_code == 4
