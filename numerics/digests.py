"""Identity by content: digests of settings, and of the source code that a measurement or a verdict rests on."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "nonvacuous"


def content_digest(value: Any) -> str:
    """Digest of a frozen dataclass, array, scalar, string, tuple or mapping. Arrays count dtype, shape and bytes."""
    state = hashlib.sha256()
    _feed(state, value)
    return state.hexdigest()[:32]


def _feed(state: Any, value: Any) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        state.update(f"<{type(value).__qualname__}".encode())
        for entry in dataclasses.fields(value):
            state.update(entry.name.encode())
            _feed(state, getattr(value, entry.name))
    elif isinstance(value, np.ndarray):
        state.update(f"<{value.dtype.str}{value.shape}".encode())
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value):
            _feed(state, key)
            _feed(state, value[key])
    elif isinstance(value, tuple | list):
        state.update(f"<{len(value)}".encode())
        for item in value:
            _feed(state, item)
    elif isinstance(value, Enum):
        _feed(state, value.value)
    elif isinstance(value, functools.partial):
        _feed(state, (value.func, value.args, value.keywords))
    elif callable(value):
        state.update(f"<{value.__module__}.{value.__qualname__}>".encode())
    else:
        state.update(f"<{type(value).__name__}:{value!r}>".encode())


def source_modules(functions: Iterable[Callable[..., Any]]) -> tuple[str, ...]:
    """The modules of this package (or of a third party's catalogue) that the functions can reach by imports, sorted."""
    found: set[str] = set()
    stack = sorted({_module(function) for function in functions})
    while stack:
        name = stack.pop()
        if name not in found and _file(name) is not None:
            found.add(name)
            stack.extend(_imports(name))
    return tuple(sorted(found))


def _module(function: Callable[..., Any]) -> str:
    if isinstance(function, functools.partial):
        return _module(function.func)
    return getattr(function, "__module__", None) or type(function).__module__


@functools.cache
def _file(name: str) -> Path | None:
    """Source file of a module. Modules of this package are found without importing their parents, which may need torch."""
    if name.partition(".")[0] == PACKAGE:
        return _own_file(name)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _own_file(name: str) -> Path | None:
    import nonvacuous

    parts = name.split(".")[1:]
    for folder in nonvacuous.__path__:
        base = Path(folder).joinpath(*parts)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if parts and candidate.is_file():
                return candidate
    return None


@functools.cache
def _imports(name: str) -> tuple[str, ...]:
    """Modules that the source of `name` imports anywhere, in this package or in the top-level package of `name`."""
    path = _file(name)
    assert path is not None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    roots = {PACKAGE, name.partition(".")[0]}
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return tuple(sorted(m for m in found if m.partition(".")[0] in roots and m != PACKAGE and _file(m) is not None))


@functools.cache
def _module_digest(name: str) -> str:
    path = _file(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else "missing"


def code_digest(modules: Iterable[str]) -> str:
    """Digest of the source files of `modules` as they are on disk (read once per process)."""
    return hashlib.sha256(json.dumps([(name, _module_digest(name)) for name in sorted(modules)]).encode()).hexdigest()[
        :32
    ]
