"""Linearised Laplace in function space: J(x) H^-1 J(x')^T = k - k_xX R (I + R^T K R)^-1 R^T k_Xx'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ...numerics.claims import Agreement, Comparison, Formula
from ...numerics.store import Rows
from ...theory.axioms import GAUSSIAN_AFFINE
from ...theory.balls.laplace import weight_space_blocks
from ...theory.derivation import Algebra, Axiom
from ...theory.errors import InvalidInput
from ...theory.statements.function_space import LLA_FUNCTION
from ...theory.validation import finite
from ..result import ByBudget, Check, Control, Result
from .trained_network import CLASSES, PLAN, REGRESSION, TrainingData, train_and_invert

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class LaplaceSetting:
    """Jacobians and outputs at the training data, Jacobians at the test inputs, prior precision, and the noise variance of a
    Gaussian likelihood (None: a softmax, whose logits are the outputs)."""

    jacobian: Float[NDArray[np.float64], "data outputs parameters"]
    outputs: Float[NDArray[np.float64], "data outputs"]
    test_jacobian: Float[NDArray[np.float64], "tests outputs parameters"]
    prior_precision: float
    noise_variance: float | None

    def __post_init__(self) -> None:
        train, test = finite("jacobian", self.jacobian, ndim=3), finite("test_jacobian", self.test_jacobian, ndim=3)
        if (
            not train.size
            or finite("outputs", self.outputs, ndim=2).shape != train.shape[:2]
            or test.shape[1:] != train.shape[1:]
        ):
            raise InvalidInput(
                "The Jacobians and outputs do not fit.", "Shapes: (N, C, P), (N, C) and (M, C, P), none of them empty."
            )
        for name, value in (("prior_precision", self.prior_precision), ("noise_variance", self.noise_variance)):
            if value is not None and float(finite(name, value, ndim=0)) <= 0:
                raise InvalidInput(f"{name} is {value!r}.", "It must be a finite number larger than 0.")


@dataclass(frozen=True, eq=False)
class LaplacePrediction:
    """Joint covariance of all outputs at all test inputs."""

    covariance: Float[NDArray[np.float64], "tests outputs tests outputs"]


# --- derivation ---------------------------------------------------------------------------------------------------


def inverse_of_the_precision() -> list[tuple[Any, Any]]:
    import sympy as sp

    w, wt, g = sp.symbols("W Wt G", commutative=False)
    d = sp.symbols("d", positive=True)
    x = (1 - wt * g * w / d) / d
    return [((wt * w + d) * x - 1, wt * (1 - (1 + w * wt / d) * g) * w / d)]


def covariance_by_the_kernel() -> list[tuple[Any, Any]]:
    import sympy as sp

    j, jt, w, wt, g = sp.symbols("J Jt W Wt G", commutative=False)
    d = sp.symbols("d", positive=True)
    x = (1 - wt * g * w / d) / d
    return [(j * x * jt, j * jt / d - (j * wt / d) * g * (w * jt / d))]


def invertible_curvature() -> list[tuple[Any, Any]]:
    import sympy as sp

    r, rt, p, q, k, g = sp.symbols("R Rt Rinv Rtinv K G", commutative=False)
    left = (q * p + k) * r * g * rt - q * (1 + rt * k * r) * g * rt
    return [(left, q * (p * r - 1) * g * rt + (1 - q * rt) * k * r * g * rt)]


def softmax_curvature() -> list[tuple[Any, Any]]:
    import sympy as sp

    f = sp.symbols("f1:4", real=True)
    total = sum(sp.exp(value) for value in f)
    p = [sp.exp(value) / total for value in f]
    loss = sp.log(total) - f[0]
    return [(sp.diff(loss, f[i], f[j]), p[i] * int(i == j) - p[i] * p[j]) for i in range(3) for j in range(i, 3)]


def softmax_factor() -> list[tuple[Any, Any]]:
    import sympy as sp

    r = sp.symbols("r1:3", positive=True)
    r = sp.Matrix([*r, sp.sqrt(1 - sum(value**2 for value in r))])
    p = r.applyfunc(lambda value: value**2)
    factor = sp.diag(*r) - p * r.T
    left, right = factor * factor.T, sp.diag(*p) - p * p.T
    return [(left[i, j], right[i, j]) for i in range(3) for j in range(i, 3)]


def generic_matrices() -> list[tuple[Any, Any]]:
    import sympy as sp

    w = sp.Matrix(2, 2, sp.symbols("w1:5", real=True))
    one, two = sp.Matrix(1, 2, sp.symbols("x1:3", real=True)), sp.Matrix(1, 2, sp.symbols("y1:3", real=True))
    d = sp.symbols("d", positive=True)
    weight = one * (w.T * w + d * sp.eye(2)).inv() * two.T
    function = one * two.T / d - one * w.T / d * (sp.eye(2) + w * w.T / d).inv() * w * two.T / d
    return [(weight[0, 0], function[0, 0])]


DERIVATION = (
    Axiom(
        GAUSSIAN_AFFINE,
        "f(x,T) + J(x)(t - T) with t ~ N(T, H^-1) has covariance J(x) H^-1 J(x')^T; H = W^T W + d I with W = R^T J",
    ),
    Algebra(
        "for every G, H (I - W^T G W/d)/d - I = W^T (I - (I + W W^T/d) G) W/d, non-commuting symbols for matrices of any size; "
        "so G = (I + W W^T/d)^-1 gives the inverse of H",
        inverse_of_the_precision,
    ),
    Algebra(
        "between the test Jacobians it is k - k_xX R G R^T k_Xx', with R^T K R = W W^T/d", covariance_by_the_kernel
    ),
    Algebra(
        "if R has an inverse, R^-1 R = R^T R^-T = I leaves (Lam^-1 + K) R G R^T = R^-T R^T = I", invertible_curvature
    ),
    Algebra("the Hessian of -ln softmax is diag(p) - p p^T, for three classes", softmax_curvature),
    Algebra(
        "R R^T = diag(p) - p p^T for R = diag(sqrt p) - p sqrt(p)^T, for three classes",
        softmax_factor,
        (("r1", 0, 0.5), ("r2", 0, 0.5)),
    ),
    Algebra(
        "the whole identity, entry by entry on generic matrices with two parameters and two data", generic_matrices
    ),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def curvature_factor(outputs: NDArray[np.float64], noise_variance: float | None) -> NDArray[np.float64]:
    """R_n with R_n R_n^T = L_n, for each example."""
    identity = np.eye(outputs.shape[1])
    if noise_variance is not None:
        return np.tile(identity / np.sqrt(noise_variance), (len(outputs), 1, 1))
    p = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    root = np.sqrt(p)
    return root[:, :, None] * identity - p[:, :, None] * root[:, None, :]


def covariance(
    s: LaplaceSetting, *, factor: Any = curvature_factor, identity: float = 1.0, sign: float = -1.0
) -> LaplacePrediction:
    """k + sign k_xX R (identity I + R^T K R)^-1 R^T k_Xx'. The theorem's values are the defaults; controls change them."""
    test = s.test_jacobian.reshape(-1, s.test_jacobian.shape[2])
    rows = np.einsum("ncr,ncp->nrp", factor(s.outputs, s.noise_variance), s.jacobian).reshape(-1, test.shape[1])
    gram = identity * np.eye(len(rows)) + rows @ rows.T / s.prior_precision
    cross = rows @ test.T / s.prior_precision
    # without the identity the Gram matrix is singular: the wrong variant takes its pseudo-inverse
    inner = np.linalg.solve(gram, cross) if identity else np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ cross
    joint = test @ test.T / s.prior_precision + sign * cross.T @ inner
    return LaplacePrediction(joint.reshape(*s.test_jacobian.shape[:2], *s.test_jacobian.shape[:2]))


def predict(s: LaplaceSetting) -> LaplacePrediction:
    return covariance(s)


def diagonal_factor(outputs: NDArray[np.float64], noise_variance: float | None) -> NDArray[np.float64]:
    """A wrong one for a softmax: the curvature reduced to its diagonal p (1 - p)."""
    full = curvature_factor(outputs, noise_variance)
    return np.sqrt(np.einsum("ncr,ncr->nc", full, full))[:, :, None] * np.eye(outputs.shape[1])


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> LaplaceSetting:
    data, outputs, parameters = (int(rng.integers(low, high)) for low, high in ((1, 5), (2, 4), (2, 6)))
    return LaplaceSetting(
        rng.normal(size=(data, outputs, parameters)),
        rng.normal(size=(data, outputs)),
        rng.normal(size=(2, outputs, parameters)),
        float(np.exp(rng.uniform(-3, 3))),
        float(np.exp(rng.uniform(-3, 1))) if rng.random() < 0.5 else None,
    )


def shipped(s: LaplaceSetting, **changes: float) -> NDArray[np.float64]:
    """The public method on the torch model o(x) + J(x) t at t = 0, whose outputs and Jacobians are those of the setting."""
    import torch

    from ...numerics.methods import laplace

    class Affine(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.t = torch.nn.Parameter(torch.zeros(s.jacobian.shape[2], dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 0] + x[:, :, 1:] @ self.t

    def inputs(outputs: NDArray[np.float64], jacobian: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([outputs[:, :, None], jacobian], axis=2))

    likelihood = "softmax" if s.noise_variance is None else "gaussian"
    targets = (
        torch.zeros(len(s.outputs), dtype=torch.int64) if s.noise_variance is None else torch.from_numpy(s.outputs)
    )
    route = "weight" if len(s.outputs) % 2 else "function"  # the two shipped routes take turns
    given = {"prior_precision": s.prior_precision, "noise_variance": s.noise_variance, **changes}
    config = laplace.LaplaceConfig(likelihood=likelihood, route=route, link="probit", **given)  # type: ignore[arg-type]
    posterior = laplace.fit(Affine(), (inputs(s.outputs, s.jacobian), targets), config, seed=0, device="cpu")
    found = laplace.predict(posterior, inputs(np.zeros(s.test_jacobian.shape[:2]), s.test_jacobian))
    return np.asarray(found.variance).ravel()


def marginal_blocks(p: LaplacePrediction) -> NDArray[np.float64]:
    return np.einsum("ncnd->ncd", p.covariance).ravel()


def width(s: LaplaceSetting) -> NDArray[np.float64]:
    """A solve's 100 eps cond(H) on the scale of the prior kernel, which is what the function route subtracts from."""
    rows = np.einsum("ncr,ncp->nrp", curvature_factor(s.outputs, s.noise_variance), s.jacobian)
    condition = 1 + np.linalg.norm(rows.reshape(-1, rows.shape[2]), 2) ** 2 / s.prior_precision
    prior = np.einsum("ncp,ncp->nc", s.test_jacobian, s.test_jacobian) / s.prior_precision
    scale = np.sqrt(prior[:, :, None] * prior[:, None, :]).ravel()
    return 100 * EPS * condition * scale / np.abs(marginal_blocks(covariance(s)))


FORMULA = Formula(
    expression=lambda s: weight_space_blocks(
        s.jacobian, s.outputs, s.test_jacobian, s.prior_precision, s.noise_variance
    ),
    shipped=shipped,
    read=marginal_blocks,
    sample=sample,
    width=width,
    count=60,
)


def _noise_off(s: LaplaceSetting) -> NDArray[np.float64]:
    return shipped(s) if s.noise_variance is None else shipped(s, noise_variance=s.noise_variance * (1 + 1e-5))


# --- checks: a trained network ------------------------------------------------------------------------------------


Route = Callable[[LaplaceSetting], LaplacePrediction]


def route(data: TrainingData) -> Route:
    """What is compared: a function, because its arrays exist only once the experiment has trained a network."""
    return predict


def _other_route(wrong: Route) -> dict[str, Any]:
    return {"predict": lambda data: wrong}


def compare(data: TrainingData, prediction: Route, rows: Rows) -> Comparison:
    """Both routes lose 100 eps cond(H), on the scale of the prior kernel; all pairs of test outputs are compared."""
    n, m = len(data.x), len(data.test_x)
    outputs = rows["outputs"].reshape(n, -1)
    train, test = rows["jacobian"].reshape(*outputs.shape, -1), rows["test_jacobian"].reshape(m, outputs.shape[1], -1)
    found = prediction(LaplaceSetting(train, outputs, test, data.prior_precision, data.noise_variance))
    observed = rows["covariance"].reshape(m * outputs.shape[1], -1)
    prior = np.linalg.norm(test, axis=2).ravel() / np.sqrt(data.prior_precision)
    spread = np.sqrt(np.diag(observed))
    bound = 100 * EPS * rows["condition"].item() * np.outer(prior, prior)
    return Comparison(observed, found.covariance.reshape(observed.shape), bound, np.outer(spread, spread))


WRONG_ROUTES = (
    Control("K^-1 in place of (Lam^-1 + K)^-1", _other_route(lambda s: covariance(s, identity=0.0))),
    Control("2 d in place of d", _other_route(lambda s: covariance(replace(s, prior_precision=2 * s.prior_precision)))),
    Control("the correction added instead of subtracted", _other_route(lambda s: covariance(s, sign=1.0))),
)
OFF_DIAGONAL_DROPPED = "diag(p) - p p^T reduced to its diagonal"

CHECKS = (
    Check(
        "weight space at 50 digits: the shipped method (both routes) and the prediction",
        FORMULA,
        controls=(
            Control("prior precision off by 1e-5", {"claim": replace(FORMULA, shipped=lambda s: shipped(s, prior_precision=s.prior_precision * (1 + 1e-5)))}),
            Control("noise variance off by 1e-5", {"claim": replace(FORMULA, shipped=_noise_off)}),
            Control(OFF_DIAGONAL_DROPPED, {"predict": lambda s: covariance(s, factor=diagonal_factor)}),
        ),
    ),
    Check(
        "a trained regression network: function space against its dense weight-space inverse",
        Agreement("rounding"),
        settings=ByBudget(quick=(REGRESSION,)),
        compare=compare,
        experiment=train_and_invert,
        plan=PLAN,
        predict=route,
        controls=WRONG_ROUTES,
    ),
    Check(
        "a trained classifier: function space against its dense weight-space inverse",
        Agreement("rounding"),
        settings=ByBudget(quick=(CLASSES,)),
        compare=compare,
        experiment=train_and_invert,
        plan=PLAN,
        predict=route,
        controls=(*WRONG_ROUTES, Control(OFF_DIAGONAL_DROPPED, _other_route(lambda s: covariance(s, factor=diagonal_factor)))),
    ),
)  # fmt: skip

RESULT = Result(
    LLA_FUNCTION,
    predict=predict,
    example=LaplaceSetting(
        np.array([[[1.0, 0.5]], [[-0.3, 2.0]]]), np.array([[0.2], [-0.1]]), np.array([[[1.0, 1.0]]]), 0.5, 0.09
    ),
    checks=CHECKS,
    derivation=DERIVATION,
)
