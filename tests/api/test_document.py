import json
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.asking import Door
from wgctl.api.document import describe
from wgctl.core.access import SCOPES, Asker


@pytest.fixture
def document(operators: Door) -> Any:
    return operators.get("/v1/openapi.json").json()


def _operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_says_its_scope_and_its_name(document: Any) -> None:
    operations = [operation for _, _, operation in _operations(document)]

    assert {one["x-scope"] for one in operations} <= set(SCOPES[Asker.OPERATOR])
    assert len({one["operationId"] for one in operations}) == len(operations) > 20


def test_every_refusal_is_a_problem_document(document: Any) -> None:
    for method, path, operation in _operations(document):
        refusals = {code: told for code, told in operation["responses"].items() if code >= "400"}
        assert {"400", "403", "404", "409", "412", "413", "500", "503"} <= set(refusals)
        for code, told in refusals.items():
            assert told == {"$ref": f"#/components/responses/Problem{code}"}, (method, path)
    for told in document["components"]["responses"].values():
        assert list(told["content"]) == ["application/problem+json"]


def test_every_reference_leads_somewhere(document: Any) -> None:
    parts = document["components"]
    kept = {f"#/components/{kind}/{name}" for kind in parts for name in parts[kind]}
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}

    assert named <= kept
    assert "ValidationError" not in text


def test_what_may_be_changed_takes_if_match(document: Any) -> None:
    for method, path, operation in _operations(document):
        takes = any(one["name"] == "if-match" for one in operation.get("parameters", []))
        assert takes == (method in {"patch", "put", "delete"}), (method, path)


def test_the_document_is_made_once(context: object, applications: dict[str, FastAPI]) -> None:
    app = applications["operators"]

    assert describe(app) is describe(app)
