"""Identity by content: digests of settings and functions, and of the source code that a measurement or a verdict rests on."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import json
import secrets
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InvalidInput

PACKAGE = "nonvacuous"
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))
# Functions without a source file (typed into a session) have no past: what they measured is used in this process only.
_NO_SOURCE = f"no source file {secrets.token_hex(8)}"


def content_digest(value: Any) -> str:
    """Digest of data and functions. Arrays count dtype, shape and bytes; functions their name, code, defaults and closure.

    Raises `InvalidInput` for an object whose content cannot be read.
    """
    state = hashlib.sha256()
    _feed(state, value, (), {})
    return state.hexdigest()[:32]


def _feed(state: Any, value: Any, above: tuple[int, ...], known: dict[int, bytes]) -> None:
    """`known`: digests of the dataclasses met in this call, by identity. Results use results that use results: fed again at every mention,
    a chain of them would take twice as long for every link."""
    if id(value) in above:  # a function that refers to itself
        state.update(b"<above>")
        return
    inner = (*above, id(value))

    def feed(*parts: Any) -> None:
        for part in parts:
            _feed(state, part, inner, known)

    if value is None or value is ... or isinstance(value, bool | int | float | complex | str | bytes | slice | range):
        state.update(f"<{type(value).__name__}:{value!r}>".encode())
    elif isinstance(value, Enum):
        feed(type(value).__qualname__, value.value)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        state.update(f"<{value.dtype.str}{value.shape}".encode())
        state.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.generic):
        state.update(f"<{value.dtype.str}:{value!r}>".encode())
    elif isinstance(value, Mapping):
        state.update(f"<mapping {len(value)}".encode())
        for key in sorted(value, key=repr):
            feed(key, value[key])
    elif isinstance(value, tuple | list):
        state.update(f"<{len(value)}".encode())
        feed(*value)
    elif isinstance(value, set | frozenset):
        feed(sorted(map(content_digest, value)))
    elif isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | np.ufunc):
        state.update(f"<{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}>".encode())
    elif isinstance(value, functools.partial):
        feed("partial", value.func, value.args, value.keywords)
    elif isinstance(value, types.MethodType):
        feed("method", value.__func__, value.__self__)
    elif isinstance(value, types.FunctionType):
        feed(value.__module__, value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__)
        feed(*(cell.cell_contents for cell in value.__closure__ or ()))
        if _file(value.__module__) is None and not _is_installed(
            value.__module__
        ):  # no source file speaks for its globals
            feed({name: value.__globals__[name] for name in value.__code__.co_names if name in value.__globals__})
    elif isinstance(value, types.CodeType):
        feed(value.co_code, value.co_names, value.co_varnames, value.co_consts)
    elif dataclasses.is_dataclass(value):
        if id(value) not in known:
            own = hashlib.sha256(f"<{type(value).__qualname__}".encode())
            for entry in dataclasses.fields(value):
                for part in (entry.name, getattr(value, entry.name)):
                    _feed(own, part, inner, known)
            known[id(value)] = own.digest()
        state.update(known[id(value)])
    elif hasattr(value, "__wrapped__"):  # functools.cache and the like
        feed("wrapped", value.__wrapped__)
    elif hasattr(value, "__dict__"):
        feed(type(value).__module__, type(value).__qualname__, vars(value))
    else:
        raise InvalidInput(
            f"A {type(value).__name__} cannot be identified by its content.",
            "Use numbers, strings, arrays, tuples, frozen dataclasses and functions.",
        )


def label(function: Any) -> str:
    """A readable name for a function, the same wherever and whenever it runs: what seeds are derived from."""
    if isinstance(function, functools.partial):
        return f"{label(function.func)}({content_digest((function.args, function.keywords))})"
    return (
        f"{function.__module__}.{function.__qualname__}"
        if hasattr(function, "__qualname__")
        else content_digest(function)
    )


def source_modules(functions: Iterable[Callable[..., Any]]) -> tuple[str, ...]:
    """The modules whose source the functions can reach by imports, sorted: all but the standard library and installed packages."""
    found: set[str] = set()
    stack = sorted({module for function in functions for module in _modules(function)})
    while stack:
        name = stack.pop()
        if name in found:
            continue
        path = _file(name)
        if path is None:
            if name in ("__main__", "") or name not in sys.modules or not getattr(sys.modules[name], "__file__", None):
                found.add(name)  # typed into a session: `code_digest` never matches an earlier one
            continue
        found.add(name)
        stack.extend(_imports(name, path))
    return tuple(sorted(found))


def _modules(function: Any) -> set[str]:
    """Where a function and those inside it (partial arguments, closures, bound objects) were defined."""
    if isinstance(function, functools.partial):
        inside = [function.func, *function.args, *function.keywords.values()]
    elif isinstance(function, types.MethodType):
        inside = [function.__func__, type(function.__self__)]
    else:
        inside = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        inside += [function.__wrapped__] if hasattr(function, "__wrapped__") else []
    own = (
        set()
        if isinstance(function, functools.partial)
        else {getattr(function, "__module__", None) or type(function).__module__}
    )
    own = {name for name in own if name != "builtins" and not _is_installed(name)}
    return own.union(*(_modules(part) for part in inside if callable(part)))


def _is_installed(name: str) -> bool:
    """Whether a module belongs to the standard library or to an installed distribution other than this package."""
    top = name.partition(".")[0]
    if top == PACKAGE or name == "__main__":
        return False
    # the top-level package says it: looking a submodule up would import its parents
    path = None if top in sys.stdlib_module_names else _located(top)
    return top in sys.stdlib_module_names or (
        path is not None and any(path.is_relative_to(folder) for folder in _INSTALLED)
    )


def _located(name: str) -> Path | None:
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if module is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec is not None else None
    return Path(origin).resolve() if origin and origin.endswith((".py", ".so", ".pyd")) else None


def _file(name: str) -> Path | None:
    """Source file of a module that counts. Modules of this package are found without importing parents that may need torch."""
    if name.partition(".")[0] == PACKAGE:
        return _own_file(name)
    if _is_installed(name):
        return None
    path = _located(name)
    return path if path is not None and path.suffix == ".py" else None


def _own_file(name: str) -> Path | None:
    return _found_below(name, tuple(sys.modules[PACKAGE].__path__))


@functools.cache
def _found_below(name: str, folders: tuple[str, ...]) -> Path | None:
    parts = name.split(".")[1:]
    for folder in folders:
        base = Path(folder).joinpath(*parts)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if parts and candidate.is_file():
                return candidate
    return None


@functools.cache
def _whole_package() -> tuple[str, ...]:
    """What `import nonvacuous` may lead to: names of it are resolved on use, so that any of its numerics may be meant."""
    found = []
    for folder in sys.modules[PACKAGE].__path__:
        for layer in ("theory", "numerics"):
            for path in sorted(Path(folder, layer).rglob("*.py")):
                parts = path.relative_to(folder).with_suffix("").parts
                found.append(".".join([PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)]))
    return tuple(found)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement, however deep: imports are nothing else, and expressions are most of a tree."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inside = getattr(node, name, ())
            if isinstance(inside, list):  # a lambda's body and a conditional expression's are not
                stack.extend(inside)


@functools.cache
def _imports(name: str, path: Path) -> tuple[str, ...]:
    """Modules that the source of `name` imports anywhere and that count."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    whole = False
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
            whole |= PACKAGE in names
            found |= names
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            whole |= base == PACKAGE and not name.startswith(f"{PACKAGE}.")
            found |= {base} | names
    own = {m for m in found if m != PACKAGE and _file(m) is not None}
    return tuple(sorted(own.union(_whole_package() if whole else ())))


@functools.cache
def _module_digest(name: str) -> str:
    path = _file(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else _NO_SOURCE


def code_digest(modules: Iterable[str]) -> str:
    """Digest of the source files of `modules` as they are on disk (read once per process)."""
    return hashlib.sha256(json.dumps([(name, _module_digest(name)) for name in sorted(modules)]).encode()).hexdigest()[
        :32
    ]
