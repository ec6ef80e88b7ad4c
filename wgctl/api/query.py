"""The query of a request: every parameter is one that its route has, and is there once.

A misspelt `network` would else be a removal from the network `default`.
"""

from collections import Counter

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from wgctl.core.errors import Invalid

__all__ = ["parameters_of", "require_known"]


def parameters_of(route: APIRoute) -> frozenset[str]:
    """Return the names of the parameters that `route` takes in its query."""
    params = get_flat_params(route.dependant)
    return frozenset(param.alias for param in params if isinstance(param.field_info, Query))


def require_known(request: Request, known: frozenset[str]) -> None:
    """Raise Invalid for a parameter that is none of `known`, or that comes twice."""
    if not request.scope["query_string"]:
        return
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            expected = ", ".join(sorted(known)) or "none"
            raise Invalid(f"unknown parameter {name!a}, expected {expected}")
        if times > 1:
            raise Invalid(f"parameter {name!a} {times} times, expected once")
