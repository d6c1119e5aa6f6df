"""new: the beginnings of a proof file, in the order in which a reader wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InvalidInput, StorageError
from ..shipped import entries
from ..theory.statement import AREAS
from .output import print_json

TEMPLATE = '''"""{key}: one sentence that says what is claimed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nonvacuous.numerics.claims import Agreement, Comparison
from nonvacuous.numerics.store import Rows
from nonvacuous.proofs.result import ByBudget, Check, Control, Result
from nonvacuous.theory.axioms import LINEARITY
from nonvacuous.theory.derivation import Algebra, Axiom
from nonvacuous.theory.statement import Kind, Source, Statement

# The scaffold claims that the mean of (x - mean)^2 is E x^2 - (E x)^2. Replace it part by part: statement, derivation,
# prediction, checks, result. Run `nonvacuous verify {module}:CATALOGUE` after each part, controls first.

STATEMENT = Statement(
    key="{key}",
    title="Title",
    kind=Kind.IDENTITY,
    text="The mean of (x - mean)^2 is the mean of x^2 less the square of the mean.",
    latex=r"\\overline{{(x - \\bar x)^2}} = \\overline{{x^2}} - \\bar x^2",
    source=(Source("here", provenance="derived"),),
)


@dataclass(frozen=True)
class Setting:
    """The theorem's inputs: arrays, never networks."""

    x: np.ndarray


@dataclass(frozen=True)
class Prediction:
    """What the theorem says about them."""

    variance: float


def expand() -> list[tuple[object, object]]:
    import sympy

    x, y = sympy.symbols("x y", real=True)
    mean = (x + y) / 2
    return [(((x - mean) ** 2 + (y - mean) ** 2) / 2, (x**2 + y**2) / 2 - mean**2)]


DERIVATION = (
    Axiom(LINEARITY, "expand the square under the mean"),
    Algebra("two points", expand),
)


def predict(setting: Setting) -> Prediction:
    return Prediction(float(np.mean(setting.x**2) - np.mean(setting.x) ** 2))


def compare(setting: Setting, prediction: Prediction, rows: Rows) -> Comparison:
    """An independent route to the same number, and a derived bound."""
    observed = np.array([np.mean((setting.x - setting.x.mean()) ** 2)])
    # size + 4 roundings of terms no larger than max x^2
    bound = np.array([(setting.x.size + 4) * 2.0**-53 * float(np.max(setting.x**2)) * 2])
    return Comparison(observed, np.array([prediction.variance]), bound, observed)


CHECKS = (
    Check(
        "two routes agree",
        Agreement("rounding"),
        settings=ByBudget(quick=(Setting(np.array([1.0, 2.0, 4.0])),)),
        compare=compare,
        controls=(Control("square of the mean dropped", {{"predict": lambda s: Prediction(float(np.mean(s.x**2)))}}),),
    ),
)

RESULT = Result(STATEMENT, predict=predict, example=Setting(np.array([1.0, 2.0, 4.0])), checks=CHECKS, derivation=DERIVATION)
CATALOGUE = (RESULT,)
'''


def new(
    key: Annotated[str, typer.Argument(help="Key of the new result, for example pb.my_bound.")],
    folder: Annotated[Path, typer.Option(help="Where to write it.")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Scaffold a result: a file that already verifies, to be replaced part by part."""
    prefix, _, name = key.partition(".")
    if prefix not in AREAS or not name.isidentifier():
        raise InvalidInput(
            f"The key {key!r} has no area or no name.", f"Keys look like 'pb.my_bound'; areas are {', '.join(AREAS)}."
        )
    if key in {entry["key"] for entry in entries()}:
        raise InvalidInput(f"The key {key} is taken.", "Verdicts are filed by key: choose another name.")
    path = folder / f"{name}.py"
    if path.exists():
        raise StorageError(f"{path} exists already.", "Choose another key or --folder; nothing was overwritten.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(TEMPLATE.format(key=key, module=name), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}).", "Choose another --folder."
        ) from error
    if json:
        print_json({"schema_version": 1, "key": key, "path": str(path)})
        return
    print(f"{path} written. Next: cd {folder} && nonvacuous verify {name}:CATALOGUE")


def register(app: typer.Typer) -> None:
    app.command()(new)
