"""A Kronecker factor as the weight is stored: the order in which its two sides enter the covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison
from ....numerics.implicit_bias.least_squares import UNIT_ROUNDOFF
from ....numerics.store import Rows
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Run


@dataclass(frozen=True, eq=False)
class KroneckerSetting:
    """A (outputs, columns) and B (inputs, columns) of a weight M + A Z B^T of shape (outputs, inputs)."""

    output: Float[np.ndarray, "outputs first"]
    input: Float[np.ndarray, "inputs second"]

    def __post_init__(self) -> None:
        for name in ("output", "input"):
            if not finite(name, getattr(self, name), ndim=2).size:
                raise InvalidInput(f"{name} is empty.", "Pass a factor of at least one row and column.")


# --- derivation ---------------------------------------------------------------------------------------------------


def stored_by_rows() -> list[tuple[Any, Any]]:
    """Entry (i, j) of A Z B^T is row (i, j), last index fastest, of (A x B) vec(Z): two by two."""
    import sympy

    a, b, z = (sympy.Matrix(2, 2, sympy.symbols(f"{name}1:5", real=True)) for name in "abz")
    by_rows = sympy.kronecker_product(a, b) * sympy.Matrix(list(z))
    return list(zip(a * z * b.T, by_rows, strict=True))


# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: KroneckerSetting) -> Float[np.ndarray, "size size"]:
    """(A A^T) x (B B^T)."""
    return np.kron(s.output @ s.output.T, s.input @ s.input.T)


# --- checks -------------------------------------------------------------------------------------------------------


def draw(setting: KroneckerSetting, run: Run, *, by_rows: bool = True) -> dict[str, Any]:
    """The covariance of the stored weight from what the shipped family adds to it at every unit vector of the noise."""
    import torch

    from ....numerics.variational.family import family
    from ....numerics.variational.kronecker import Kronecker

    (outputs, first), (inputs, second) = setting.output.shape, setting.input.shape
    net = torch.nn.Linear(inputs, outputs, bias=False).double()
    shape = Kronecker(second, first)
    x = torch.zeros(1, inputs, dtype=torch.float64)
    found = family(net, x, shape, parametrisation="sp", device="cpu")
    tensors = {"weight.output": torch.from_numpy(setting.output), "weight.input": torch.from_numpy(setting.input)}
    columns = []
    for z in torch.eye(found.noise_size, dtype=torch.float64):
        moved = shape.perturbation(found.layers[0], tensors, z)["weight"]
        columns.append((moved if by_rows else moved.T.contiguous()).reshape(-1))
    factor = torch.stack(columns, dim=1).numpy()
    return {"covariance": factor @ factor.T}


def stored_by_columns(setting: KroneckerSetting, run: Run) -> dict[str, Any]:
    """Entries that run down the columns, read as if they ran along the rows."""
    return draw(setting, run, by_rows=False)


def compare(s: KroneckerSetting, prediction: np.ndarray, rows: Rows) -> Comparison:
    # one product for each entry of the factor, then sums of R_1 R_2 products; the prediction sums R_1 and R_2 products and multiplies
    terms = s.output.shape[1] * s.input.shape[1] + s.output.shape[1] + s.input.shape[1] + 4
    size = np.kron(np.abs(s.output) @ np.abs(s.output).T, np.abs(s.input) @ np.abs(s.input).T)
    return Comparison(rows["covariance"], prediction, terms * UNIT_ROUNDOFF * size, size)


def random_setting(seed: int) -> KroneckerSetting:
    rng = np.random.default_rng(seed)
    outputs, inputs = (int(v) for v in rng.choice([2, 3, 4, 5], size=2, replace=False))
    first, second = int(rng.integers(1, outputs + 1)), int(rng.integers(1, inputs + 1))
    return KroneckerSetting(rng.normal(size=(outputs, first)), rng.normal(size=(inputs, second)))


def with_order(change: Callable[[KroneckerSetting], np.ndarray]) -> dict[str, Any]:
    return {"predict": change}


CHECK = Check(
    "covariance of a weight with a Kronecker factor, as it is stored",
    Agreement("rounding"),
    settings=ByBudget(quick=tuple(map(random_setting, range(4))), standard=tuple(map(random_setting, range(40)))),
    predict=predict,
    experiment=draw,
    compare=compare,
    controls=(
        Control("entries reshaped in the other order", {"experiment": stored_by_columns}),
        Control("(B B^T) x (A A^T)", with_order(lambda s: np.kron(s.input @ s.input.T, s.output @ s.output.T))),
        Control("independent entries", with_order(lambda s: np.diag(np.diag(predict(s))))),
    ),
)
