"""What a method's source says about it, without importing its framework: text, choices with their origins, configuration, functions."""

from __future__ import annotations

import ast
import importlib.util
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..numerics.methods import METHODS, Method
from ..theory.errors import StorageError

PACKAGE = "nonvacuous.numerics.methods"
GRAMMAR = ("fit", "predict", "sample", "save", "load")
CHOICES = "Choices and their origin."
_ENTRY = re.compile(r"^  (?P<names>\S.*?) {2,}(?P<origin>\S.*)$")
_AS_IN = re.compile(r"as in `(\w+)`")
_NAME = re.compile(r"(\w+)(?: = (\"[^\"]*\"|[^,]+))?(?:, |$)")


@dataclass(frozen=True)
class Field:
    """One field of the configuration; `default` and `origin` are None where the source gives none."""

    name: str
    annotation: str
    default: str | None
    origin: str | None


@dataclass(frozen=True)
class MethodSource:
    """`paragraphs`: the module's text without its list of choices. `fields`: those of the base classes first. `functions`: those of the
    grammar, and `further` ones, as signatures with the first line of their text."""

    paragraphs: tuple[str, ...]
    fields: tuple[Field, ...]
    functions: tuple[str, ...]
    further: tuple[str, ...]


def method_source(method: Method) -> MethodSource:
    """Raises `StorageError` where the source is missing."""
    tree = _tree(method.module)
    blocks = _blocks(tree)
    listed = _listed(blocks)
    fields = tuple(
        Field(name, annotation, default, _origin(method, name))
        for name, (annotation, default) in _fields(tree, method.config).items()
    )
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    further = [name for name in functions if name not in GRAMMAR and not name.startswith("_")]
    return MethodSource(
        tuple(block for block in blocks if block and block is not listed),
        fields,
        tuple(_signature(functions[name]) for name in GRAMMAR if name in functions),
        tuple(_signature(functions[name]) for name in further),
    )


def _blocks(tree: ast.Module) -> list[str]:
    return (ast.get_docstring(tree) or "").split("\n\n")


def _listed(blocks: list[str]) -> str:
    return next((block for block in blocks if block.startswith(CHOICES)), "")


def _origin(method: Method, name: str) -> str | None:
    """In the method's own words, followed by those of the method that they refer to."""
    own = choices(_listed(_blocks(_tree(method.module)))).get(name)
    if own is None:
        return None
    other = _AS_IN.fullmatch(own[1])
    shared = next((m for m in METHODS if other is not None and m.name == other[1] and m is not method), None)
    return own[1] if shared is None else f"{own[1]}: {_origin(shared, name)}"


def choices(block: str) -> dict[str, tuple[str | None, str]]:
    """Stated default, if any, and origin of each choice in a list of lines "  name, other = value   origin", continued by deeper lines."""
    found: dict[str, tuple[str | None, str]] = {}
    names: list[tuple[str, str | None]] = []
    for line in block.split("\n")[1:]:
        entry = _ENTRY.match(line)
        if entry is not None and not line.startswith("   "):
            names = [(name, value or None) for name, value in _NAME.findall(entry["names"])]
            words = entry["origin"].strip()
        else:
            words = line.strip()
        for name, value in names:
            before = found[name][1] + " " if name in found else ""
            found[name] = (value, before + words)
    return found


def _tree(module: str) -> ast.Module:
    name = f"{PACKAGE}.{module}"
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StorageError(f"The source of {name} cannot be found.", "Reinstall the package.")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _fields(tree: ast.Module, name: str) -> dict[str, tuple[str, str | None]]:
    """Annotation and default by field of the class called `name`; a base class may live in a module beside this one."""
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if found is None:
        home = next((module for module, names in _imports(tree) if name in names), None)
        return _fields(_tree(home), name) if home is not None else {}
    fields: dict[str, tuple[str, str | None]] = {}
    for base in found.bases:
        fields |= _fields(tree, ast.unparse(base))
    for node in found.body:
        if isinstance(node, ast.AnnAssign):
            default = ast.unparse(node.value) if node.value is not None else None
            fields[ast.unparse(node.target)] = (ast.unparse(node.annotation), default)
    return fields


def _imports(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            yield node.module, {alias.name for alias in node.names}


def _signature(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = ast.unparse(node.args)
    whole = f"{node.name}({arguments}){returns}"
    if len(whole) > 100:
        parts = textwrap.wrap(arguments, 92, break_long_words=False, break_on_hyphens=False)
        whole = f"{node.name}(\n    " + "\n    ".join(parts) + f"\n){returns}"
    first = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return whole + "".join(f"\n    # {line}" for line in textwrap.wrap(first, 94))
