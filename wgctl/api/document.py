"""The API in its own words: an OpenAPI document at `/v1/openapi.json`, made of the routes.

Each operation says its scope as `x-scope`. The examples are `wgctl.api.examples`.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from wgctl.api.door import needs, routes
from wgctl.api.examples import NAMES, SHAPES
from wgctl.api.problems import MEDIA_TYPE, STATUSES
from wgctl.core.access import Scope
from wgctl.core.errors import REFUSALS
from wgctl.core.schema import Problem

__all__ = ["describe", "router"]

router = routes()

_ABOUT = """\
Private networks over WireGuard: orgs, their networks, and what is in them.

Who comes over https sends a token, `Authorization: Bearer …`. An ETag names what of a thing can be
changed; a change or removal with `If-Match` is made only if the thing is still as it was. Lists
come in parts: `next` is the `cursor` of the part that follows.
"""

_PROBLEMS = sorted({codes.status for codes in REFUSALS.values()} | set(STATUSES.values()) - {405})
"""What any route may answer besides its own; 405 is for methods that no route has."""


@router.get(
    "/openapi.json",
    dependencies=[needs(Scope.DOCUMENT_READ)],
    response_class=JSONResponse,
    response_model=dict[str, object],
)
def show_document(request: Request) -> JSONResponse:
    """Return this document."""
    return JSONResponse(describe(request.app))


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of `app`; it is made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _described(app)
    return app.openapi_schema


def _described(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes
    )
    parts = document["components"]
    shapes = parts["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        shapes.pop(unused, None)
    shapes["Problem"] = Problem.model_json_schema()
    for name, shape in shapes.items():
        if name in SHAPES:
            shape["examples"] = [SHAPES[name]]
    parts["responses"] = {f"Problem{status}": _refusal(status) for status in _PROBLEMS}
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for operation in _operations(document):
        _finish(operation)
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _finish(operation: dict[str, Any]) -> None:
    """Say which refusals may come, and give the names in a path an example."""
    answers = operation["responses"]
    answers.pop("422", None)
    answers |= {
        str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _PROBLEMS
    }
    for parameter in operation.get("parameters", []):
        if parameter["name"] in NAMES:
            parameter["example"] = NAMES[parameter["name"]]


def _refusal(status: int) -> dict[str, object]:
    names = {codes.name for codes in REFUSALS.values() if codes.status == status}
    names |= {name for name, its in STATUSES.items() if its == status}
    return {
        "description": " or ".join(sorted(names)),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
