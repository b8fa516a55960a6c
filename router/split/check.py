"""Whether a typed part fits its model, without making the model: the check takes a third of the time.

Each model becomes the shape of a mapping with the same fields, so nothing is built and no default is filled in. Agrees with
the model on every value (tests/property/test_split.py). Must never change a part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12


def checker(model: type[BaseModel]) -> Callable[[object], object]:
    """Raises pydantic's ValidationError for a mapping that the model would refuse."""
    adapter: TypeAdapter[Any] = TypeAdapter(_shape(model))
    return adapter.validator.validate_python


@cache
def _shape(model: type[BaseModel]) -> Any:
    """The model as a typed mapping; models inside it likewise."""
    make: Any = TypedDict  # Made at run time, which type checkers do not follow.
    fields = {}
    for name, field in model.model_fields.items():
        inner = _inside(field.annotation)
        fields[name] = inner if field.is_required() else NotRequired[inner]
    return make(model.__name__, fields)


def _inside(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _shape(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return Union[tuple(_inside(each) for each in inner)]  # noqa: UP007 - Made at run time.
    if origin is tuple:
        element: Any = _inside(inner[0])
        return tuple[element, ...]
    return annotation
