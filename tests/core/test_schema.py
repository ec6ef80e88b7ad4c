import json
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from peers.endpoint import Endpoint
from peers.keys import PrivateKey, PublicKey
from wgctl.core import schema
from wgctl.core.schema import (
    NewApp,
    NewGateway,
    NewKey,
    NewMachine,
    NewNetwork,
    NewOrg,
    NewPeer,
    NewState,
    Port,
    RoleReport,
)

_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
_GOOD: dict[type[BaseModel], dict[str, object]] = {
    NewOrg: {"slug": "acme"},
    NewNetwork: {"name": "lab"},
    NewApp: {"name": "web"},
    NewPeer: {"name": "laptop", "public_key": _KEY},
    NewKey: {"public_key": _KEY},
    NewMachine: {"app": "web", "peer": "laptop"},
    NewState: {"state": "stopped"},
    NewGateway: {
        "region": "ams",
        "endpoint": "203.0.113.7:51820",
        "public_key": _KEY,
        "mtu_bytes": 1420,
        "forwards": False,
    },
    RoleReport: {"role": "gateway", "revision": 1, "started_at": 1},
}
_SHAPES: list[type[BaseModel]] = [getattr(schema, name) for name in schema.__all__]
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("shape", _GOOD)
def test_a_request_is_read_and_written_alike(shape: type[BaseModel]) -> None:
    read = shape.model_validate(_GOOD[shape])

    assert shape.model_validate_json(read.model_dump_json()) == read
    assert shape.model_validate(json.loads(read.model_dump_json())) == read
    assert _GOOD[shape].items() <= read.model_dump(mode="json").items()


@pytest.mark.parametrize("shape", _GOOD)
def test_an_unknown_field_is_refused(shape: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="colour"):
        shape.model_validate(_GOOD[shape] | {"colour": "red"})


def test_every_shape_refuses_unknown_fields_and_cannot_be_changed() -> None:
    assert all(shape.model_config["extra"] == "forbid" for shape in _SHAPES)
    assert all(shape.model_config["frozen"] for shape in _SHAPES)


@given(st.sampled_from(list(_GOOD)), st.data())
def test_no_json_makes_a_shape_raise_anything_but_a_validation_error(
    shape: type[BaseModel], data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(sorted(shape.model_fields)))
    try:
        shape.model_validate(_GOOD[shape] | {field: data.draw(_anything)})
    except ValidationError as error:
        place = error.errors()[0]["loc"][0]
    else:
        place = field

    assert place == field


@pytest.mark.parametrize(
    ("shape", "change", "said"),
    [
        (NewOrg, {"slug": "Acme"}, "upper-case"),
        (NewOrg, {"slug": "internal"}, "reserved"),
        (NewOrg, {"slug": 5}, "string"),
        (NewOrg, {"slug": "a" * 64}, "64 characters"),
        (NewNetwork, {"name": "a\n[Peer]"}, "expected only a-z"),
        (NewApp, {"network": "../x"}, "expected only a-z"),
        (NewPeer, {"public_key": "short"}, "base64"),
        (NewPeer, {"public_key": "A" * 43 + "="}, "low order"),
        (NewPeer, {"public_key": 5}, "PublicKey"),
        (NewPeer, {"expires_in_s": 0}, "greater than or equal to 1"),
        (NewPeer, {"expires_in_s": True}, "valid integer"),
        (NewPeer, {"expires_in_s": "60"}, "valid integer"),
        (NewPeer, {"expires_in_s": 101 * 366 * 86400}, "less than"),
        (NewPeer, {"needs_forwarding": "yes"}, "valid boolean"),
        (NewMachine, {"ports": [{"name": "http", "number": 0}]}, "greater than or equal to 1"),
        (NewMachine, {"ports": [{"name": "http", "number": 65536}]}, "less than or equal"),
        (NewMachine, {"ports": [{"name": "h", "number": 1, "protocol": "icmp"}]}, "'tcp' or 'udp'"),
        (NewMachine, {"ports": [{"name": "h", "number": 1}] * 65}, "at most 64"),
        (NewMachine, {"ports": [{"name": "h", "number": 1}] * 2}, "port 'h/tcp' twice"),
        (NewMachine, {"ports": [{"name": "p" * 16, "number": 1}]}, "expected 1 to 15"),
        (NewMachine, {"metadata": {"UP": "x"}}, "upper-case"),
        (NewMachine, {"metadata": {"rack": "a b"}}, "expected only a-z"),
        (NewMachine, {"metadata": {"rack": 5}}, "string"),
        (NewMachine, {"metadata": {f"k{n}": "v" for n in range(65)}}, "at most 64"),
        (NewState, {"state": "paused"}, "'started' or 'stopped'"),
        (NewGateway, {"endpoint": "host"}, "expected"),
        (NewGateway, {"mtu_bytes": 1279}, "1280"),
        (NewGateway, {"forwards": 1}, "valid boolean"),
        (RoleReport, {"started_at": 10**15}, "less than"),
        (RoleReport, {"peers": [{"peer_id": 1, "last_handshake": 10**15}]}, "less than"),
        (RoleReport, {"peers": [{"peer_id": 1, "received_bytes": -1}]}, "greater than"),
    ],
)
def test_bad_input_is_refused_with_its_rule(
    shape: type[BaseModel], change: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        shape.model_validate(_GOOD[shape] | change)


def test_reserved_words_are_free_as_metadata() -> None:
    machine = NewMachine(app="web", peer="laptop", metadata={"of": "internal"})

    assert machine.metadata == {"of": "internal"}


def test_what_is_left_out_is_as_documented() -> None:
    peer = NewPeer.model_validate(_GOOD[NewPeer])
    machine = NewMachine.model_validate(_GOOD[NewMachine])

    assert (peer.network, peer.expires_in_s, peer.needs_forwarding) == ("default", None, False)
    assert (machine.name, machine.region, machine.process_group) == (None, None, "app")
    assert Port(name="http", number=80).protocol == "tcp"


def test_no_shape_can_hold_a_private_key() -> None:
    """Law 1: private keys are made where they are used, and never sent."""
    hints = [get_type_hints(shape) for shape in _SHAPES]

    assert not any(hint is PrivateKey for hinted in hints for hint in hinted.values())
    assert not any("private" in field for hinted in hints for field in hinted)


def test_keys_and_endpoints_are_their_texts_in_json() -> None:
    gateway = NewGateway.model_validate(_GOOD[NewGateway])

    assert gateway.public_key == PublicKey.parse(_KEY)
    assert gateway.endpoint == Endpoint.parse("203.0.113.7:51820")
    assert gateway.model_dump(mode="json")["public_key"] == _KEY
