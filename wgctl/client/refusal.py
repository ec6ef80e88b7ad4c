"""What a refusal of an API is here: the same kind as where it was raised, with its message."""

from pydantic import ValidationError

from wgctl.core.errors import REFUSALS, Refusal
from wgctl.core.schema import Problem

__all__ = ["refusal_in"]

_KINDS = {codes.name: kind for kind, codes in REFUSALS.items()}


def refusal_in(body: bytes) -> Exception | None:
    """Return the refusal that a problem document tells of; None for a body that is none."""
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        return None
    return _KINDS.get(problem.type, Refusal)(problem.detail)
