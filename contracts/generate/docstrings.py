"""Reads the strings under fields and the docstrings of models, for descriptions that outsiders read.

Must never import what it describes by name: models are arguments.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from functools import cache
from typing import Final

from pydantic import BaseModel, RootModel

_INTERNAL: Final = re.compile(
    r"\s*\(?(?:META|DESIGN|PRIVACY|STYLE)(?:\.md)? sections? [\d.§]+(?:(?:, | and |-|–)[\d.]*\d)*(?:, rows? [\d, and]+|, last row)?"
    r"(?:\)(?=\.)|\)|\.)?"
)

_NONE: Final = re.compile(r"\bNone\b")


def plain(text: str) -> str:
    """The text on one line in JSON's words, without references to documents that a reader outside does not have."""
    outside = _INTERNAL.sub("", " ".join(text.split()))
    return " ".join(_NONE.sub("null", outside).split())


def of_model(model: type[BaseModel]) -> str:
    """The model's own docstring, or ""."""
    return plain(model.__doc__ or "") if "__doc__" in vars(model) else ""


@cache
def of_fields(model: type[BaseModel]) -> dict[str, str]:
    """What stands under each field of the model and of its parents; fields without a string are absent."""
    found: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if parent is BaseModel or not issubclass(parent, BaseModel) or issubclass(parent, RootModel):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(parent)))
        body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
        for field, below in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[field.target.id] = plain(below.value.value)
    return found
