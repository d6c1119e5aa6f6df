"""Settings and predictions as JSON: read by type hints, so a new result needs no code here.

Non-finite numbers are the strings "inf", "-inf" and "nan" on the way out; only the infinities are accepted on the way in.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from .errors import InvalidInput


def to_json(value: Any) -> Any:
    """Plain data from a setting or prediction."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: to_json(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [to_json(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    return value


def from_json(cls: type, data: Any, where: str = "the setting") -> Any:
    """An instance of the frozen dataclass `cls` from a JSON object. Unknown, missing and ill-typed fields are errors."""
    if not isinstance(data, Mapping):
        raise InvalidInput(
            f"{where} is {type(data).__name__}, not a JSON object.", f"It needs {', '.join(schema(cls))}."
        )
    hints = get_type_hints(cls)
    fields = {entry.name: entry for entry in dataclasses.fields(cls)}
    if unknown := sorted(set(data) - set(fields)):
        raise InvalidInput(f"{where} has the unknown field(s) {unknown}.", f"Its fields are {', '.join(fields)}.")
    missing = [
        n
        for n, f in fields.items()
        if n not in data and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InvalidInput(f"{where} lacks {missing}.", f"Its fields are {', '.join(fields)}.")
    return cls(**{name: _read(hints[name], value, f"{where}: {name}") for name, value in data.items()})


def schema(cls: type) -> dict[str, str]:
    """Field names and what they hold, in words."""
    return {
        name: _describe(hint)
        for name, hint in get_type_hints(cls).items()
        if name in {f.name for f in dataclasses.fields(cls)}
    }


def _is_array(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return origin is np.ndarray or getattr(hint, "array_type", None) is np.ndarray


def _describe(hint: Any) -> str:
    if _is_array(hint):
        return "array of numbers"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(arm) for arm in get_args(hint))
    if dataclasses.is_dataclass(hint):
        return "{" + ", ".join(f"{k}: {v}" for k, v in schema(hint).items()) + "}"  # type: ignore[arg-type]
    return {float: "number", int: "whole number", str: "text", bool: "true or false", type(None): "null"}.get(
        hint, str(hint)
    )


def _read(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if _is_array(hint):
        return _numbers(value, where)
    if origin is Literal:
        if value not in get_args(hint):
            raise InvalidInput(f"{where} is {value!r}.", f"It must be {_describe(hint)}.")
        return value
    if origin in (Union, types.UnionType):
        return _read_union(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InvalidInput(f"{where} is {value!r}.", "It must be a list.")
        arms = get_args(hint)
        return tuple(
            _read(arms[0] if arms[-1] is ... else arms[min(i, len(arms) - 1)], v, where) for i, v in enumerate(value)
        )
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, where)  # type: ignore[arg-type]
    if hint is float:
        number = _numbers(value, where)
        if number.ndim:
            raise InvalidInput(f"{where} is a list.", "It must be one number.")
        return float(number)
    if hint is int and isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer():
        return int(value)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    if hint is type(None) and value is None:
        return None
    raise InvalidInput(f"{where} is {value!r}.", f"It must be a {_describe(hint)}.")


def _read_union(hint: Any, value: Any, where: str) -> Any:
    problems = []
    for arm in get_args(hint):
        try:
            return _read(arm, value, where)
        except InvalidInput as error:
            problems.append(error.problem)
    raise InvalidInput(f"{where} fits none of: {_describe(hint)}.", " / ".join(problems))


def _numbers(value: Any, where: str) -> np.ndarray:
    def one(item: Any) -> Any:
        if isinstance(item, list):
            return [one(inner) for inner in item]
        if isinstance(item, bool) or not (isinstance(item, int | float) or item in ("inf", "-inf")):
            raise InvalidInput(f"{where} holds {item!r}.", 'Use numbers, or the strings "inf" and "-inf".')
        return float(item)

    try:
        array = np.array(one(value), dtype=np.float64)
    except ValueError as error:
        raise InvalidInput(f"{where} is ragged.", "All rows must have the same length.") from error
    if np.isnan(array).any():
        raise InvalidInput(f"{where} contains NaN.", "Find where it comes from.")
    return array
