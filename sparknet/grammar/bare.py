"""Trees without their places, to compare what two texts say."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def bare(value: Any) -> Any:
    """A tree as nested tuples, its spans left out; `1` and `1.0` differ, as they do in the text."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return type(value).__name__, *(bare(getattr(value, name)) for name in fields if name != "span")
    if isinstance(value, tuple | list):
        return tuple(bare(item) for item in value)
    return type(value), value


def same(first: BaseModel, second: BaseModel) -> bool:
    """Whether two trees say the same, wherever their parts stand."""
    return bool(bare(first) == bare(second))
