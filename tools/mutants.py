"""Mutants of a Python module: one constant, operator, term or rounding changed, in the running process.

`mutants` lists them from the syntax tree, skipping messages, annotations and docstrings; `apply` exchanges the code of the module's
functions in place, so that every reference to them sees the change.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

PLAIN = (int, float, str, tuple, list, dict, frozenset, Fraction, np.ndarray)
OPERATORS: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And}  # fmt: skip
PAIRS = (("min", "max"), ("minimum", "maximum"), ("floor", "ceil"), ("argmin", "argmax"), ("add_up", "sub_up"), ("mul_up", "div_up"), ("mul_down", "div_down"), ("kl_upper", "kl_lower"), ("log", "log1p"), ("exp", "expm1"))  # fmt: skip
EXCHANGED = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class Mutant:
    """The `variant`-th replacement of the node at `span` in `file` (spans are line, column, end line, end column)."""

    file: str
    function: str  # the enclosing top-level function or Class.method; "" at module level
    node: str
    span: tuple[int, int, int, int]
    variant: int
    lines: tuple[int, int]  # of the statement, whose execution is what counts as reaching it
    names: tuple[str, ...]  # at module level: what the statement assigns
    line: str
    original: str
    mutated: str

    @property
    def identity(self) -> str:
        return f"{self.file}|{self.function}|{self.line}|{self.span[1]}|{self.original}|{self.mutated}"


def counterpart(name: str, module: ModuleType) -> tuple[str, Any] | None:
    """The function next to the one called `name` that rounds the other way or does the opposite."""
    wanted = [EXCHANGED[name]] if name in EXCHANGED else []
    wanted += [re.sub("_up$", "_down", name) if name.endswith("_up") else re.sub("_down$", "_up", name)]
    called = vars(module).get(name)
    home = sys.modules.get(getattr(called, "__module__", None) or "builtins")
    for other in wanted:
        if other != name and (found := getattr(home, other, None)) is not None:
            return other, found
    return None


def variants(node: ast.AST, module: ModuleType) -> list[ast.AST]:
    """What may stand in this node's place: each differs in one constant, operator, term or rounding."""
    match node:
        case ast.Constant(value=bool()):
            return []
        case ast.Constant(value=int() | float() as c):
            if c and abs(c) < 1e-6:
                return [ast.Constant(0.0)]
            new = (
                0.001
                if c == 0 and isinstance(c, float)
                else 1.01 * c
                if c != int(c) or (c == 1.0 and isinstance(c, float))
                else c + 1
            )
            return [ast.Constant(new)]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return [ast.BinOp(left, OPERATORS[type(op)](), right)]
        case ast.BoolOp(op=op, values=values):
            return [ast.BoolOp(OPERATORS[type(op)](), values)]
        case ast.Compare(left=left, ops=ops, comparators=right):
            swaps = [i for i, op in enumerate(ops) if type(op) in OPERATORS]
            return [
                ast.Compare(left, [OPERATORS[type(op)]() if i == j else op for j, op in enumerate(ops)], right)
                for i in swaps
            ]
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            return [operand]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name) as called, args=args, keywords=keywords):
            found: list[ast.AST] = []
            if re.match("_?(log|expm1)", name):
                found.append(ast.Constant(0.0))
            if re.match("_?sqrt|abs|fabs", name) or re.search("float_up$", name):
                found.append(args[-1] if args else called.value)  # of a method, its object
            if name in ("add_up", "add_down") and len(args) > 1:
                found += [
                    ast.Call(called, args[:i] + args[i + 1 :], keywords)
                    for i in range(len(args))
                    if len(args) != 3 or not isinstance(args[0], ast.Name) or args[0].id != "ops"
                ]
            if isinstance(called, ast.Attribute):
                if name in EXCHANGED:
                    found.append(ast.Call(ast.Attribute(called.value, EXCHANGED[name], ast.Load()), args, keywords))
            elif other := counterpart(name, module):
                vars(module).setdefault(*other)
                if not (other[0].startswith("sub") and len(args) != 2):
                    found.append(ast.Call(ast.Name(other[0], ast.Load()), args, keywords))
                down = re.sub("_up$", "_down", name)
                if name in EXCHANGED and down != name and hasattr(sys.modules[vars(module)[name].__module__], down):
                    vars(module).setdefault(down, getattr(sys.modules[vars(module)[name].__module__], down))
                    found.append(ast.Call(ast.Name(down, ast.Load()), args, keywords))
            return found
    return []


def tiny(node: ast.AST) -> bool:
    """A rounding slack such as 4 * 2.0**-53, which is mutated as a whole, to nothing."""
    if not isinstance(node, ast.BinOp) or any(
        isinstance(n, ast.Name | ast.Call | ast.Attribute) for n in ast.walk(node)
    ):
        return False
    with contextlib.suppress(Exception):
        return 0 < abs(eval(compile(ast.Expression(node), "", "eval"))) < 1e-6
    return False


def mutants(file: str, module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of one module, in the order of the source."""
    source = (Path.cwd() / file).read_text(encoding="utf-8")
    text = source.splitlines()

    def visit(node: ast.AST, function: str, statement: ast.stmt | None) -> Iterator[Mutant]:
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and "." not in function
            and not (function and isinstance(statement, ast.FunctionDef))
        ):
            function = f"{function}.{node.name}" if function else node.name
        if isinstance(node, ast.stmt):
            statement = node
        found = [ast.Constant(0.0)] if tiny(node) else variants(node, module)
        if found and statement is not None:
            span = tuple(getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
            body = (
                statement.body[0].lineno if isinstance(statement, ast.FunctionDef | ast.ClassDef) else statement.lineno
            )
            compound = isinstance(statement, ast.If | ast.For | ast.While | ast.With)
            last = statement.end_lineno if not compound else statement.lineno
            targets = (
                [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
                if not function
                else []
            )
            for index, new in enumerate(found):
                original = ast.get_source_segment(source, node) or ""
                mutated = ast.unparse(ast.fix_missing_locations(new))
                yield Mutant(
                    file,
                    function,
                    type(node).__name__,
                    span,
                    index,
                    (body, last or body),
                    tuple(targets),
                    text[span[0] - 1].strip(),
                    original,
                    mutated,
                )
        if not tiny(node):
            for name, field in ast.iter_fields(node):
                if name not in ("annotation", "returns", "decorator_list", "msg") and not (
                    isinstance(node, ast.keyword) and node.arg in ("ndim", "strict", "axis")
                ):
                    for child in field if isinstance(field, list) else [field]:
                        if isinstance(child, ast.AST):
                            yield from visit(child, function, statement)

    yield from visit(ast.parse(source), "", None)


class Exchange(ast.NodeTransformer):
    def __init__(self, mutant: Mutant, module: ModuleType) -> None:
        self.mutant, self.module = mutant, module

    def visit(self, node: ast.AST) -> Any:
        span = tuple(getattr(node, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
        if span == self.mutant.span and type(node).__name__ == self.mutant.node:
            new = ast.Constant(0.0) if tiny(node) else variants(node, self.module)[self.mutant.variant]
            return ast.copy_location(new, node)
        return self.generic_visit(node)


def underlying(member: Any) -> Any:
    """The plain function behind a cache, a property or a static method."""
    member = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
    return inspect.unwrap(member) if callable(member) else member


def transplant(old: Any, new: Any) -> None:
    """Give a live function the code and the plain default values of its mutated twin."""
    old, new = underlying(old), underlying(new)
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        old.__code__ = new.__code__
        if old.__defaults__ and new.__defaults__:
            old.__defaults__ = tuple(
                b if isinstance(b, PLAIN) else a for a, b in zip(old.__defaults__, new.__defaults__, strict=True)
            )
        for name, value in (new.__kwdefaults__ or {}).items():
            if isinstance(value, PLAIN) and old.__kwdefaults__:
                old.__kwdefaults__[name] = value


def apply(mutant: Mutant, module: ModuleType) -> None:
    """Make the running process behave as if the module had been written as the mutant has it."""
    tree = Exchange(mutant, module).visit(ast.parse(Path(mutant.file).read_text(encoding="utf-8")))
    rewrite(tree, mutant.file, module, mutant.names)


def rewrite(tree: ast.Module, file: str, module: ModuleType, names: tuple[str, ...]) -> None:
    """Exchange the code of a live module's functions, and its plain constants, for those of another version of its source."""
    ast.fix_missing_locations(tree)
    path = Path.cwd() / file
    missing = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    fresh: dict[str, Any] = {
        "__name__": module.__name__,
        "__package__": module.__package__,
        "__file__": str(path),
        **missing,
    }
    exec(compile(tree, str(path), "exec"), fresh)
    assigned = {
        n.id
        for s in tree.body
        if isinstance(s, ast.Assign | ast.AnnAssign)
        for n in ast.walk(s)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    for name in assigned:
        old, new = vars(module).get(name), fresh.get(name)
        if name in names or (isinstance(new, PLAIN) and repr(old) != repr(new)):
            for user in [
                m for m in list(sys.modules.values()) if getattr(m, "__name__", "").startswith(("nonvacuous", "test"))
            ]:
                if vars(user).get(name) is old:
                    setattr(user, name, new)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            transplant(vars(module)[statement.name], fresh[statement.name])
        elif isinstance(statement, ast.ClassDef):
            live, twin = vars(module)[statement.name], fresh[statement.name]
            for member in [s.name for s in statement.body if isinstance(s, ast.FunctionDef)] + ["__init__"]:
                if member in vars(live):
                    transplant(vars(live)[member], vars(twin)[member])


class Marks(ast.NodeTransformer):
    """Puts a call before every statement of every function, which notes that the statement is reached."""

    def __init__(self, file: str) -> None:
        self.file = file

    def visit(self, node: ast.AST) -> Any:
        self.generic_visit(node)
        if not isinstance(node, ast.Module | ast.ClassDef):
            for name in ("body", "orelse", "finalbody"):
                if isinstance(statements := getattr(node, name, None), list):
                    marked = [(ast.parse(f"_reached.add(({self.file!r}, {s.lineno}))").body[0], s) for s in statements]
                    setattr(node, name, [s for pair in marked for s in pair])
        return node
