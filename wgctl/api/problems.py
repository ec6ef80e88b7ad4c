"""Refusals as problem documents (RFC 9457), each with its status from one table.

What each kind of refusal becomes is `wgctl.core.errors.REFUSALS`; what HTTP alone knows to refuse
is `STATUSES`.
"""

from collections.abc import Mapping
from types import MappingProxyType

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from wgctl.core.errors import REFUSALS, Invalid, Refusal, Unidentified
from wgctl.core.schema import Problem

__all__ = [
    "MEDIA_TYPE",
    "STATUSES",
    "HttpRefusal",
    "answer_with_problems",
    "problem",
    "refusal",
]

_log = structlog.get_logger()

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")

MEDIA_TYPE = "application/problem+json"

STATUSES: Mapping[str, int] = MappingProxyType(
    {
        "method-not-allowed": 405,
        "length-required": 411,
        "changed": 412,
        "too-large": 413,
        "too-many-requests": 429,
        "internal": 500,
    }
)
"""The status of each problem that is no refusal of the house, by its name."""


class HttpRefusal(Exception):
    """A request that is refused for what HTTP says of it: `name` is one of `STATUSES`."""

    def __init__(self, name: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.name = name
        self.headers = headers


def answer_with_problems(app: FastAPI) -> None:
    """Make `app` answer every exception with a problem document."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(Invalid, _refused)
    app.add_exception_handler(HttpRefusal, _unmet)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def problem(
    status: int, name: str, detail: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the problem `name` as a response."""
    document = Problem(type=name, title=name.replace("-", " "), status=status, detail=detail)
    return JSONResponse(
        document.model_dump(),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def refusal(error: Exception) -> JSONResponse:
    """Return a refusal as a response; `error` must be of a kind that REFUSALS has."""
    codes = next(codes for kind, codes in REFUSALS.items() if isinstance(error, kind))
    # RFC 9110, section 11.6.1: a 401 says how one is to identify.
    headers = {"www-authenticate": "Bearer"} if isinstance(error, Unidentified) else None
    return problem(codes.status, codes.name, str(error), headers=headers)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    return refusal(error)


async def _unmet(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HttpRefusal):
        raise error
    return problem(STATUSES[error.name], error.name, str(error), headers=error.headers)


async def _malformed(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    codes = REFUSALS[Invalid]
    first = error.errors()[0]
    # The name of an unknown field is whatever the asker wrote.
    place = ascii(".".join(str(part) for part in first["loc"][1:]))[1:-1]
    said = str(first["msg"]).removeprefix("Value error, ")
    return problem(codes.status, codes.name, f"{place}: {said}" if place else said)


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == STATUSES["method-not-allowed"]:
        return _not_allowed(request)
    name = {400: "invalid", 404: "not-found"}.get(error.status_code, "http")
    return problem(error.status_code, name, str(error.detail), headers=error.headers)


def _not_allowed(request: Request) -> JSONResponse:
    """Name every method of the path: Starlette names those of the first route that has it."""
    methods = [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    found, expected = request.method, ", ".join(methods)
    return problem(
        STATUSES["method-not-allowed"],
        "method-not-allowed",
        f"method {found!a}, expected {expected}",
        headers={"allow": expected},
    )


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return problem(500, "internal", "the request failed inside wgctl: its log says why")
