"""Expected losses of a Gaussian linear model, their gradients by Price's identity, and the spread that cannot grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.expected_losses import Loss, expected_hessian, expected_loss
from ....theory.axioms import DIFFERENTIATION, FUBINI, GAUSSIAN_AFFINE, GAUSSIAN_INDEPENDENCE, LINEARITY
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.statements.implicit_bias.gaussian_family import GAUSS_IDENTITIES
from ...result import ByBudget, Check, Control, Result
from . import price_algebra
from .expected_losses_evidence import (
    ExpectedLossPrediction,
    ExpectedLossSetting,
    compare_gradients,
    compare_spread,
    descend,
    differentiate,
    exact,
    flat,
    random_setting,
    rounding,
)

DERIVATION = (
    Axiom(GAUSSIAN_AFFINE, "u = x^T (mu + S z) is N(m, v) with m = x^T mu and v = ||S^T x||^2"),
    Algebra("E (y-u)^2/2 = (y-m)^2/2 + v/2, which needs only mean and variance", price_algebra.squared_average),
    Algebra("p' = -z p, so p(z) = int_z^inf t p(t) dt; and e^{-s z} p(z) = e^{v/2} p(z + s), whence E e^{-u} = e^{-m+v/2}", price_algebra.density_is_its_own_integral),
    Axiom(DIFFERENTIATION, "L may be differentiated under the expectation, phi' and phi'' growing at most exponentially"),
    Algebra("dL/dmu = sum E[phi'(u)] x and dL/dS = sum E[phi'(u) x z^T] by the chain rule", price_algebra.chain_rule),
    Algebra("z_r = (a_r/s) zeta + a rest that is uncorrelated with zeta = (u - m)/s, a = S^T x", price_algebra.noise_along_the_margin),
    Axiom(GAUSSIAN_INDEPENDENCE, "so the rest is independent of u and E[phi'(u) z_r] = (a_r/s) E[phi'(m + s zeta) zeta]"),
    Axiom(FUBINI, "writing phi' as the integral of phi'' and exchanging: E[phi'(m + s zeta) zeta] = s E phi''(m + s zeta)"),
    Enumeration("E[z f(z)] = E f'(z) on powers of m + s z, exactly", price_algebra.price_on_powers),
    Axiom(LINEARITY, "hence dL/dS = sum E[phi''(u_n)] x_n x_n^T S = G S; both gradients lie in the span of the rows"),
    Algebra("S' = -G S with G >= 0 gives d/dt v^T S^T S v = -2 sum c_n (x_n^T S v)^2 <= 0, and for the trace", price_algebra.spread_decreases),
    Algebra("a step keeps S^T S - S^T (I - eta G)^2 S >= 0 while 0 <= eta g <= 2 for the eigenvalues g of G", price_algebra.one_step_shrinks),
)  # fmt: skip


def predict(s: ExpectedLossSetting) -> ExpectedLossPrediction:
    found = expected_loss(s.design, s.law, loss=s.loss, targets=s.given)
    hessian = expected_hessian(s.design, s.law, loss=s.loss, targets=s.given)
    return ExpectedLossPrediction(found.value, found.mean_gradient, found.factor_gradient, hessian)


# --- checks -------------------------------------------------------------------------------------------------------

LOSSES: tuple[Loss, ...] = get_args(Loss)


def sample(rng: np.random.Generator) -> ExpectedLossSetting:
    return random_setting(rng, LOSSES[int(rng.integers(3))], rank=int(rng.integers(1, 4)), widest=3.5)


def shipped(s: ExpectedLossSetting) -> np.ndarray:
    return flat(predict(s))


FORMULA = Formula(
    expression=exact,
    shipped=shipped,
    read=flat,
    sample=sample,
    width=lambda s: rounding(s) / np.abs(shipped(s)),
    count=24,
)


def changed(change: Callable[[ExpectedLossSetting], ExpectedLossSetting]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: shipped(change(s)))}


def by(change: Callable[[ExpectedLossSetting, ExpectedLossPrediction], ExpectedLossPrediction]) -> Mapping[str, Any]:
    return {"predict": lambda s: change(s, predict(s))}


def gauss_newton(s: ExpectedLossSetting, p: ExpectedLossPrediction) -> ExpectedLossPrediction:
    """phi'^2 in place of phi''."""
    slope = expected_loss(s.design, s.law, loss=s.loss, targets=s.given).slope
    return replace(p, factor_gradient=s.design.T @ (slope[:, None] ** 2 * (s.design @ s.factor)))


def at_the_mean(s: ExpectedLossSetting, p: ExpectedLossPrediction) -> ExpectedLossPrediction:
    """The loss of the mean weights passed off as the mean of the loss."""
    return predict(replace(s, factor=1e-9 * s.factor))


RNG = np.random.default_rng(5)
SETTINGS = ByBudget(
    quick=tuple(random_setting(RNG, loss, rank=2, widest=1.0) for loss in LOSSES for _ in range(2)),
    standard=tuple(random_setting(RNG, loss, rank=2, widest=1.0) for loss in LOSSES for _ in range(12)),
)
WIDE = tuple(
    ExpectedLossSetting(np.array([[1.0, 2.0, 0.5], [-0.5, 1.0, 0.3]]), np.array([-0.4, -0.2, 0.1]), factor, loss, np.zeros(2))
    for loss in LOSSES
    for factor in (np.array([[0.3, 0.1], [-0.2, 0.4], [0.5, 0.1]]), np.array([[0.05, 0.0], [0.3, -0.2], [0.1, 0.6]]))
)  # fmt: skip

EXAMPLE = ExpectedLossSetting(
    np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([0.3, 0.1]), np.array([[0.5], [0.2]]), "logistic", np.zeros(2)
)

CHECKS = (
    Check(
        "shipped values and gradients",
        FORMULA,
        controls=(
            Control("all off by 1e-10", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-10) * shipped(s))}),
            Control("factor 1e-9 too wide", changed(lambda s: replace(s, factor=s.factor * (1 + 1e-9)))),
            Control("variance doubled: v for v/2", changed(lambda s: replace(s, factor=s.factor * np.sqrt(2)))),
            Control("margin's sign", changed(lambda s: replace(s, mean=-s.mean))),
        ),
    ),
    Check(
        "the gradients are those of the loss",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=differentiate,
        compare=compare_gradients,
        controls=(
            Control("phi'^2 in place of phi'' (Gauss-Newton)", by(gauss_newton)),
            Control("loss of the mean", by(at_the_mean)),
            Control("factor's gradient halved", by(lambda s, p: replace(p, factor_gradient=p.factor_gradient / 2))),
        ),
    ),
    Check(
        "the spread of real descent never grows and nothing leaves the rows",
        Inequality(),
        settings=ByBudget(quick=WIDE),
        experiment=descend,
        compare=compare_spread,
        controls=(
            Control("a loss that is not convex", {"experiment": partial(descend, loss="sigmoid")}),
            Control("with the entropy term of the ELBO", {"experiment": partial(descend, entropy=0.1)}),
            Control("with weight decay", {"experiment": partial(descend, decay=0.1)}),
        ),
    ),
)

RESULT = Result(GAUSS_IDENTITIES, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
