"""What must hold of a thing, within the transaction that changes it, for the change to be made.

Who sets the condition says what it raises: the change is then as if it had never been asked for.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

__all__ = ["Condition", "always"]

_Facts = TypeVar("_Facts")

Condition: TypeAlias = Callable[[_Facts], None]
"""Is given the facts as they are before the change."""


def always(_facts: object) -> None:
    """Let every change be made."""
