from pydantic import TypeAdapter, ValidationError

from wgctl.core import health_shape, schema
from wgctl.core.shape import Moment, Shape, finish

_SHAPES: list[type[Shape]] = [
    *(getattr(schema, name) for name in schema.__all__),
    *(getattr(health_shape, name) for name in health_shape.__all__),
]


def test_finished_shapes_are_built_before_their_first_use() -> None:
    """Threads that meet an unbuilt shape at once would build it at once."""
    finish()

    assert all(issubclass(shape, Shape) for shape in _SHAPES)
    assert all(TypeAdapter(shape).pydantic_complete for shape in _SHAPES)
    assert all(shape.__pydantic_complete__ for shape in _SHAPES)


def test_a_moment_is_one_that_a_date_can_show() -> None:
    adapter = TypeAdapter(Moment)
    refused = []
    for seconds in (-1, 0, 253_402_300_799, 253_402_300_800):
        try:
            adapter.validate_python(seconds)
        except ValidationError:
            refused.append(seconds)

    assert refused == [-1, 253_402_300_800]
