import json
from dataclasses import fields
from ipaddress import IPv6Address, IPv6Network
from types import MappingProxyType, NoneType
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.endpoint import Endpoint
from peers.errors import Invalid, InvalidKey
from peers.keys import PublicKey
from peers.seal import SEALED_BYTES, SealedKey
from wgctl.core.check import Page, Target
from wgctl.core.feed import (
    NEEDS,
    Beat,
    Commit,
    Delete,
    Event,
    Kind,
    Put,
    Row,
    Snapshot,
    decode_row,
    encode_row,
    parse_line,
    render_line,
)
from wgctl.core.model import (
    App,
    Check,
    Gateway,
    Machine,
    MachineState,
    Member,
    MemberRole,
    Network,
    Org,
    Peer,
    Port,
    Protocol,
    Role,
    Seal,
    Token,
    TokenKind,
)

_numbers = st.integers(0, 2**63 - 1)
_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_networks = st.none() | st.lists(_labels, max_size=3).map(tuple)
_addresses = st.integers(0, 2**128 - 1).map(IPv6Address)
_prefixes = st.integers(0, 2**48 - 1).map(lambda n: IPv6Network((n << 80, 48)))
_endpoints = st.builds(
    lambda host, port: Endpoint.parse(f"{host}:{port}"),
    st.sampled_from(["203.0.113.7", "[2001:db8::1]", "vpn.example.com"]),
    st.integers(1, 65535),
)


def _is_key(raw: bytes) -> bool:
    try:
        PublicKey.from_bytes(raw)
    except InvalidKey:
        return False
    return True


_keys = st.binary(min_size=32, max_size=32).filter(_is_key).map(PublicKey.from_bytes)
_ports = st.builds(Port, _labels, st.integers(1, 65535), st.sampled_from(Protocol))
_ROWS: dict[Kind, st.SearchStrategy[Row]] = {
    Kind.ORG: st.builds(Org, _numbers, _labels, _numbers),
    Kind.NETWORK: st.builds(Network, _numbers, _numbers, _labels, _prefixes, _numbers),
    Kind.GATEWAY: st.builds(
        Gateway,
        id=_numbers,
        number=_numbers,
        name=_labels,
        region=_labels,
        endpoint=_endpoints,
        public_key=_keys,
        mtu_bytes=_numbers,
        forwards=st.booleans(),
        created_at=_numbers,
    ),
    Kind.PEER: st.builds(
        Peer,
        id=_numbers,
        org_id=_numbers,
        network_id=_numbers,
        gateway_id=_numbers,
        name=_labels,
        owner=st.text(),
        public_key=_keys,
        address=_addresses,
        created_at=_numbers,
        expires_at=st.none() | _numbers,
        ephemeral=st.booleans(),
        tags=st.lists(_labels, max_size=3).map(tuple),
    ),
    Kind.SEAL: st.builds(
        Seal,
        id=_numbers,
        org_id=_numbers,
        network_id=_numbers,
        peer_id=_numbers,
        sealed=st.binary(min_size=SEALED_BYTES, max_size=SEALED_BYTES).map(SealedKey),
    ),
    Kind.APP: st.builds(
        App, _numbers, _numbers, _numbers, _labels, _numbers, st.none() | st.ip_addresses(v=6)
    ),
    Kind.MACHINE: st.builds(
        Machine,
        id=_numbers,
        org_id=_numbers,
        network_id=_numbers,
        app_id=_numbers,
        peer_id=_numbers,
        name=_labels,
        region=_labels,
        process_group=_labels,
        ports=st.lists(_ports, max_size=3).map(tuple),
        metadata=st.dictionaries(_labels, _labels, max_size=3).map(MappingProxyType),
        state=st.sampled_from(MachineState),
        created_at=_numbers,
    ),
    Kind.CHECK: st.builds(
        Check,
        id=_numbers,
        org_id=_numbers,
        network_id=_numbers,
        machine_id=_numbers,
        target=st.builds(
            Target,
            st.integers(1, 65535),
            st.none() | st.builds(Page, _labels, _labels.map(lambda word: f"/{word}")),
        ),
        interval_s=_numbers,
        timeout_s=_numbers,
        grace_s=_numbers,
        rise=_numbers,
        fall=_numbers,
    ),
    Kind.MEMBER: st.builds(
        Member, _numbers, _numbers, _labels, st.sampled_from(MemberRole), _networks, _numbers
    ),
    Kind.TOKEN: st.builds(
        Token,
        id=_numbers,
        org_id=_numbers,
        name=_labels,
        kind=st.sampled_from(TokenKind),
        owner=_labels,
        added_by=_labels,
        networks=_networks,
        only_peer_id=st.none() | _numbers,
        uses_left=st.none() | _numbers,
        created_at=_numbers,
        expires_at=_numbers,
        tags=st.lists(_labels, max_size=3).map(tuple),
    ),
}
puts = st.sampled_from(Kind).flatmap(
    lambda kind: _ROWS[kind].map(lambda row: Put(kind, row)),
)
_events: st.SearchStrategy[Event] = st.one_of(
    puts,
    st.builds(Delete, st.sampled_from(Kind), _numbers),
    st.builds(Commit, _numbers),
    st.builds(
        *(Snapshot, st.text(), st.none() | _numbers, st.frozensets(st.sampled_from(Kind))),
        rows=_numbers,
    ),
    st.just(Beat()),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(_events)
def test_a_rendered_line_is_read_back(event: Event) -> None:
    line = render_line(event)

    assert parse_line(line) == event
    assert parse_line(line.decode()) == event


@given(_events)
def test_a_line_is_one_line_of_ascii_however_it_is_split(event: Event) -> None:
    text = render_line(event).decode("ascii")

    assert text.splitlines() == [text.removesuffix("\n")]


@given(st.binary() | st.text() | _json.map(json.dumps))
def test_what_is_no_line_of_the_feed_is_refused(line: bytes | str) -> None:
    try:
        event = parse_line(line)
    except Invalid:
        return
    assert parse_line(render_line(event)) == event


@given(puts, st.data())
def test_a_row_with_a_wrong_value_is_refused_or_is_a_value_of_its_type(
    put: Put, data: st.DataObject
) -> None:
    """Nothing from a line may fail later, in the middle of a role's work."""
    values = encode_row(put.kind, put.row)
    field = data.draw(st.sampled_from(sorted(values)))
    values[field] = data.draw(_json)
    try:
        row = decode_row(put.kind, values)
    except Invalid:
        return
    found, good = getattr(row, field), getattr(put.row, field)

    may_be_none = NoneType in get_args(get_type_hints(type(put.row))[field])
    assert isinstance(found, type(good)) or may_be_none
    assert decode_row(put.kind, encode_row(put.kind, row)) == row


@given(_ROWS[Kind.TOKEN])
def test_a_token_without_an_end_is_refused(token: Row) -> None:
    with pytest.raises(Invalid, match="number"):
        decode_row(Kind.TOKEN, encode_row(Kind.TOKEN, token) | {"expires_at": None})


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ('{"snapshot":"e"}', set()),
        ('{"snapshot":"e","kinds":["org","dragon",["peer"],7],"later":1}', {Kind.ORG}),
    ],
    ids=["an earlier controller", "a later one"],
)
def test_a_snapshot_of_another_version_is_of_the_kinds_that_are_known(
    line: str, kinds: set[Kind]
) -> None:
    assert parse_line(line) == Snapshot("e", kinds=frozenset(kinds))


LATER_FIELDS = {"service_address", "lease_s", "ephemeral", "tags"}
"""Rows that were written before there were these are read as without."""


@given(puts, st.data())
def test_a_row_with_a_field_too_few_or_too_many_is_refused(put: Put, data: st.DataObject) -> None:
    values = encode_row(put.kind, put.row)
    field = data.draw(st.sampled_from(sorted(values)))

    with pytest.raises(Invalid, match="unexpected"):
        decode_row(put.kind, values | {"colour": 1})
    del values[field]
    if field in LATER_FIELDS:
        decode_row(put.kind, values)
    else:
        with pytest.raises(Invalid, match=field):
            decode_row(put.kind, values)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[1]",
        "null",
        '{"put": "dragon", "row": {}}',
        '{"put": "org", "row": []}',
        '{"put": ["org"], "row": {}}',
        '{"delete": "org", "id": "1"}',
        '{"delete": "org", "id": true}',
        '{"delete": "org", "id": 1.0}',
        '{"commit": null}',
        '{"commit": true}',
        '{"snapshot": 1}',
        '{"snapshot": "e", "cut": null}',
        '{"snapshot": "e", "kinds": "org"}',
        '{"beat": false}',
        "[" * 100_000,
        '{"commit": ' + "9" * 5_000 + "}",
        b'{"snapshot": "\xff"}',
        '{"put": "peer", "row": {"endpoint": 5}}',
    ],
    ids=repr,
)
def test_a_line_of_another_shape_is_refused(line: bytes | str) -> None:
    with pytest.raises(Invalid, match="the feed"):
        parse_line(line)


@given(puts)
def test_every_field_of_a_row_is_told(put: Put) -> None:
    assert list(encode_row(put.kind, put.row)) == [field.name for field in fields(put.row)]


def test_every_kind_of_row_has_a_law() -> None:
    assert len(get_args(Row)) == len(Kind) == len(_ROWS)


def test_no_role_is_told_more_than_it_needs() -> None:
    """A resolver knows no gateway; only who says who one is knows orgs, and no app.

    Only who can open a preshared key gets it, sealed as it is.
    """
    assert NEEDS.keys() == set(Role) - {Role.CONTROLLER}
    assert {role for role, kinds in NEEDS.items() if Kind.ORG in kinds} == {Role.INTERNAL_API}
    assert {role for role, kinds in NEEDS.items() if Kind.APP in kinds} == {
        Role.GATEWAY,
        Role.RESOLVER,
    }
    assert {role for role, kinds in NEEDS.items() if Kind.CHECK in kinds} == {Role.RESOLVER}
    assert {role for role, kinds in NEEDS.items() if Kind.GATEWAY in kinds} == {Role.GATEWAY}
    assert {role for role, kinds in NEEDS.items() if Kind.SEAL in kinds} == {Role.GATEWAY}
