import json
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core import firewall
from wgctl.core.errors import Unavailable
from wgctl.core.firewall import Element, Ruleset
from wgctl.core.service import Service

ONE, OTHER = IPv6Network("fdaa:0:1::/48"), IPv6Network("fdaa:0:2::/48")
prefixes = st.integers(0, 2**32 - 1).map(lambda id_: IPv6Network(((0xFDAA << 112) | id_ << 80, 48)))


addresses = st.builds(lambda net, number: net[number], prefixes, st.integers(2, 2**40))
services = st.builds(Service, addresses, st.lists(addresses, max_size=3).map(tuple))


def made(
    *networks: IPv6Network,
    services: Sequence[Service] = (),
    uids: frozenset[int] = frozenset({0}),
) -> Ruleset:
    return firewall.ruleset(
        networks, services, interface="wgctl0", listen_port=51820, own_uids=uids
    )


def service(*machines: int) -> Service:
    """Return service address 2 of the network ONE, with its machines' numbers at gateway 16."""
    return Service(ONE[(1 << 64) + 2], tuple(ONE[(16 << 64) + number] for number in machines))


def listing(ruleset: Ruleset, *, packets: int = 0) -> dict[str, object]:
    """What nft prints for `ruleset`: handles, live counters, elements inside of their set."""
    items: list[object] = [
        {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": ruleset.table, "handle": 1}},
    ]
    for handle, rule in enumerate(ruleset.rules, 2):
        ((kind, body),) = json.loads(rule).items()
        if kind in {"set", "map"}:
            members = sorted(e for e in ruleset.elements if e.set_name == body["name"])
            keys = [
                {"concat": [int(value) if value.isdecimal() else value for value in values]}
                if len(values) > 1
                else values[0]
                for _, values, _ in members
            ]
            data = [each.data for each in members]
            body["elem"] = (
                [list(pair) for pair in zip(keys, data, strict=True)] if kind == "map" else keys
            )
        for expression in body.get("expr", []):
            if "counter" in expression:
                expression["counter"] = {"packets": packets, "bytes": packets * 80}
        items.append({kind: {**body, "handle": handle}})
    return {"nftables": items}


def commands(document: firewall.Document) -> list[dict[str, dict[str, dict[str, object]]]]:
    return json.loads(json.dumps(document))["nftables"]  # type: ignore[no-any-return]  # JSON


@given(
    st.lists(prefixes, max_size=5),
    st.lists(services, max_size=2, unique_by=lambda one: one.address),
    st.frozensets(st.integers(0, 2**31), min_size=1, max_size=4),
)
def test_what_is_listed_reads_back_as_what_was_made(
    networks: list[IPv6Network], served: list[Service], uids: frozenset[int]
) -> None:
    wanted = made(*networks, services=served, uids=uids)

    assert firewall.parse_listing(listing(wanted)) == wanted


def test_counters_are_no_difference() -> None:
    wanted = made(ONE)

    assert firewall.parse_listing(listing(wanted, packets=7)) == wanted


def test_the_order_of_a_set_is_no_difference() -> None:
    wanted = made(ONE, uids=frozenset({3, 1, 2}))

    swapped = json.dumps(listing(wanted)).replace("[1, 2, 3]", "[2, 3, 1]")

    assert "[2, 3, 1]" in swapped
    assert firewall.parse_listing(json.loads(swapped)) == wanted


@pytest.mark.parametrize(
    ("found", "changed_to"),
    [
        ('{"drop": null}', '{"accept": null}'),
        ('"wgctl0"}}, {"match"', '"wgctl1"}}, {"match"'),
        ('"right": 53', '"right": 22'),
        ('"policy": "accept"', '"policy": "drop"'),
        ('"prio": -300', '"prio": 0'),
        ('"ffff:ffff:ffff::"', '"ffff::"'),
        ('"right": 0', '"right": 1000'),
    ],
)
def test_a_changed_rule_is_a_difference(found: str, changed_to: str) -> None:
    text = json.dumps(listing(made(ONE)))

    assert found in text
    listed = firewall.parse_listing(json.loads(text.replace(found, changed_to, 1)))
    assert listed.rules != made(ONE).rules


def test_a_network_is_one_pair_and_one_resolver() -> None:
    more = made(ONE, OTHER).elements - made(ONE).elements

    assert more == {
        Element("networks", ("fdaa:0:2::", "fdaa:0:2::")),
        Element("resolvers", ("fdaa:0:2::3",)),
    }


def test_rules_do_not_depend_on_the_networks() -> None:
    assert made().rules == made(ONE, OTHER).rules


def test_a_replacement_is_one_transaction_that_begins_with_a_clean_table() -> None:
    done = commands(firewall.replace(made(ONE)))

    table = {"family": "inet", "name": "wgctl0"}
    assert done[:3] == [
        {"add": {"table": table}},
        {"delete": {"table": table}},
        {"add": {"table": table}},
    ]
    assert {verb for command in done[3:] for verb in command} == {"add"}


def test_a_removed_element_is_added_first_so_that_its_absence_is_no_fault() -> None:
    gone = made(ONE).elements

    done = commands(firewall.change("wgctl0", added=frozenset(), removed=gone))

    assert [(verb, *body) for command in done for verb, body in command.items()] == [
        ("add", "element"),
        ("add", "element"),
        ("delete", "element"),
        ("delete", "element"),
    ]


def test_a_map_loses_what_it_had_at_a_key_before_it_gets_another() -> None:
    before, after = made(services=[service(2)]).elements, made(services=[service(3)]).elements

    done = commands(
        firewall.change("wgctl0", added=after - before, removed=before - after),
    )

    assert [verb for command in done for verb in command] == ["add"] * 2 + ["delete"] * 2 + [
        "add"
    ] * 2


@pytest.mark.parametrize("count", [1, 2, 3, 40, 64, 65])
def test_machines_of_a_service_have_as_many_slots_as_any_other(count: int) -> None:
    found = made(services=[service(*range(2, 2 + count))]).elements
    slots = [element for element in found if element.set_name == "slots"]
    shares = Counter(element.data for element in slots)

    assert {int(element.values[1]) for element in slots} == set(range(0, 128, 2))
    assert len(shares) == min(count, 64)
    assert max(shares.values()) - min(shares.values()) <= 1


def test_a_service_without_machines_leads_nowhere() -> None:
    assert made(services=[service()]).elements == frozenset()


def test_a_machine_that_reaches_itself_hears_its_own_network_s_resolver() -> None:
    hairpins = {one for one in made(services=[service(2, 3)]).elements if one.set_name != "slots"}

    assert hairpins == {
        Element("hairpins", (address, address), "fdaa:0:1::3")
        for address in ("fdaa:0:1:10::2", "fdaa:0:1:10::3")
    }


def test_every_drop_is_counted() -> None:
    for rule in made(ONE).rules:
        expressions = json.loads(rule).get("rule", {}).get("expr", [])
        if {"drop": None} in expressions:
            assert {"counter": None} in expressions


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"nftables": {}}, {"nftables": ["x"]}, {"nftables": [{"a": {}, "b": {}}]}],
)
def test_a_listing_of_another_form_is_refused(document: object) -> None:
    with pytest.raises(Unavailable, match="nft listed"):
        firewall.parse_listing(document)
