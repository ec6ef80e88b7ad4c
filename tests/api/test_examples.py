from typing import Any

import pytest
from pydantic import BaseModel

from tests.api.asking import Door
from wgctl.api.examples import NAMES, SHAPES
from wgctl.core import access_schema, health_shape, schema

_PARTS = (schema, health_shape, access_schema)


@pytest.fixture
def document(operators: Door) -> Any:
    return operators.get("/v1/openapi.json").json()


def _shape(name: str) -> type[BaseModel]:
    page, _, item = name.removesuffix("_").partition("_")
    found: type[BaseModel] = (
        getattr(schema, page).__class_getitem__(_shape(item))
        if item
        else next(getattr(part, name) for part in _PARTS if hasattr(part, name))
    )
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_an_example_is_what_it_stands_for(name: str) -> None:
    shape = _shape(name)

    read = shape.model_validate(SHAPES[name])

    assert read.model_dump(mode="json", exclude_unset=True) == SHAPES[name]


def test_every_shape_and_every_name_in_a_path_has_an_example(document: Any) -> None:
    shapes = document["components"]["schemas"]
    objects = {name for name, shape in shapes.items() if shape.get("type") == "object"}
    places = {
        parameter["name"]
        for path in document["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "path"
    }

    assert objects == set(SHAPES)
    assert places <= set(NAMES)


def test_requests_as_in_the_examples_are_met_in_their_order(operators: Door) -> None:
    org = "/v1/orgs/acme"
    operators.delete(org)
    steps = [
        ("POST", "/v1/orgs", "NewOrg", 201),
        ("POST", f"{org}/networks", "NewNetwork", 201),
        ("POST", f"{org}/peers", "NewPeer", 201),
        ("POST", f"{org}/members", "NewMember", 201),
        ("PATCH", f"{org}/members/{NAMES['member']}", "MemberChange", 200),
        ("POST", f"{org}/tokens", "NewToken", 201),
        ("PUT", f"{org}/peers/{NAMES['peer']}/key", "NewKey", 200),
        ("POST", f"{org}/apps", "NewApp", 201),
        ("PATCH", f"{org}/apps/{NAMES['app']}", "AppChange", 200),
        ("POST", f"{org}/machines", "NewMachine", 201),
        ("PUT", f"{org}/machines/{NAMES['machine']}/check", "Check", 200),
        ("PATCH", f"{org}/machines/{NAMES['machine']}", "NewState", 200),
    ]
    met = [
        operators.request(method, path, json=SHAPES[name]).status_code
        for method, path, name, _ in steps
    ]

    assert met == [status for *_, status in steps]
