"""Roundings moved one at a time, further in the direction that they promise: none may then make a result less safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from nonvacuous.numerics.certified import outward

OUTWARD = tuple(name for name in vars(outward) if name.endswith(("_up", "_down")) and not name.startswith("_"))


def exaggerated(patch: pytest.MonkeyPatch, module: ModuleType, run: Callable[[], Any]) -> Iterator[Any]:
    """What `run` returns as it is, then with the result of one outward operation after another moved further outward by 1e-7 of it."""
    calls = 0
    chosen = -1

    def wrap(name: str) -> Any:
        function, sign = getattr(outward, name), 1 if name.endswith("_up") else -1

        def moved(*arguments: float) -> float:
            nonlocal calls
            calls += 1
            result = function(*arguments)
            return result + sign * 1e-7 * abs(result) if calls - 1 == chosen else result

        return moved

    for name in filter(vars(module).__contains__, OUTWARD):
        patch.setattr(module, name, wrap(name))
    yield run()
    total = calls
    for chosen in range(total):  # noqa: B007
        calls = 0
        yield run()
