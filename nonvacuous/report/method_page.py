"""The page of one method, from the text and the signatures in its source: the method's framework is never imported."""

from __future__ import annotations

import ast
import importlib.util
import textwrap
from collections.abc import Collection
from pathlib import Path

from ..numerics.methods import Method
from ..theory.errors import StorageError
from .markup import Html, document, el, page_name, prose, text
from .parts import copyable, facts, section, table

GRAMMAR = ("fit", "predict", "sample", "save", "load")
PACKAGE = "nonvacuous.numerics.methods"


def method_file(method: Method) -> str:
    """File name of the page."""
    return page_name(f"method.{method.name}")


def method_page(method: Method, results: Collection[str]) -> str:
    """The whole page. `results` are the keys that have pages of their own."""
    module = f"{PACKAGE}.{method.module}"
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise StorageError(f"The source of {module} cannot be found.", "Reinstall the package.")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    theorems = [
        el("a", el("code", key), href=page_name(key)) if key in results else el("code", key) for key in method.theorems
    ]
    return document(
        f"{method.name}: {method.title}",
        el("nav", el("a", "All results", href="index.html"), " / ", el("span", "methods"), cls="crumbs"),
        el("div", el("p", method.name, cls="key"), el("h1", method.title), cls="title"),
        facts(
            [
                ("Module", el("code", module)),
                ("Needs", el("code", f"nonvacuous[{method.extra}]")),
                ("Theorems about it", text([[el("span", t), " "] for t in theorems])),
            ],
            cls="facts wide",
        ),
        section("What it does", _manual(ast.get_docstring(tree) or "")),
        _configuration(tree, method.config),
        section("Functions", copyable("\n\n".join(_signatures(tree)), "Signatures")),
    )


def _manual(docstring: str) -> Html:
    """Paragraphs as they are; indented or aligned blocks keep their layout."""
    blocks = []
    for block in docstring.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if len(lines) > 1 and all(line.startswith(" ") for line in lines[1:]) and not lines[0].startswith(" "):
            blocks += [el("p", prose(lines[0])), el("pre", textwrap.dedent("\n".join(lines[1:])))]
        elif lines[0].startswith(" "):
            blocks.append(el("pre", textwrap.dedent("\n".join(lines))))
        else:
            blocks.append(el("p", prose(block)))
    return el("div", blocks, cls="manual")


def _configuration(tree: ast.Module, name: str) -> Html | None:
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if found is None:
        return None
    rows = [
        (
            el("code", ast.unparse(field.target)),
            el("code", ast.unparse(field.annotation)),
            el("code", ast.unparse(field.value)) if field.value else "required",
        )
        for field in found.body
        if isinstance(field, ast.AnnAssign)
    ]
    return section(f"Configuration: {name}", table(("field", "type", "default"), rows))


def _signatures(tree: ast.Module) -> list[str]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = []
    for name in GRAMMAR:
        if name in functions:
            node = functions[name]
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            found.append(f"{name}({ast.unparse(node.args)}){returns}" + (f"\n    {first}" if first else ""))
    return found
