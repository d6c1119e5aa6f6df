"""Random functions added to ensemble members: Bayesian deep ensembles, and randomised prior functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.gram import GramBlocks
from ....numerics.wide_networks.randomised_priors import bayesian_ensemble_law, randomised_prior_covariance
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.balls.context import exact_fraction, to_ball
from ....theory.balls.linear_training import conditional_covariance, exact_matrix, law, regression_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.posteriors import NTKGP_HE2020, RPF_OSBAND
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result
from ..dynamics import flow
from ..linear_models import (
    DIGITS,
    EPS,
    Law,
    LinearModel,
    exact_kernels,
    flatten,
    gain_error,
    kernels,
    law_width,
    random_model,
    relative,
)
from . import gaussian, sampling


def added_function() -> list[tuple[Any, Any]]:
    """f + b p trained on labels z with p frozen: f0 + b p + G (z - b p(X) - f0(X)) = M (f0 + b p) + G z, one training point."""
    f, fx, p, px, g, z, beta = sympy.symbols("f fx p px g z beta", real=True)
    trained = f + g * (z - beta * px - fx) + beta * p
    return [(trained, (f + beta * p) - g * (fx + beta * px) + g * z)]


def priors_add_up() -> list[tuple[Any, Any]]:
    """Cov(f + b p) = K_f + b^2 K_p for independent f and p; with b = 1 and K_p = T - K_f it is T."""
    k, q, t = sympy.symbols("k q t", real=True)
    beta = sympy.symbols("beta", positive=True)
    row = sympy.Matrix([[1, beta]])
    total = (row * sympy.diag(k, q) * row.T)[0]
    return [(total, k + beta**2 * q), (total.subs({beta: 1, q: t - k}), t)]


# --- ntkgp_he2020 -------------------------------------------------------------------------------------------------


def predict(s: LinearModel, *, label_noise: bool = True) -> Law:
    found = bayesian_ensemble_law(kernels(s)[1], s.labels, noise=s.noise, label_noise=label_noise)
    return Law(found.mean, found.covariance)


FORMULA = Formula(
    gaussian.exact_posterior,
    lambda s: flatten(predict(s)),
    flatten,
    sampling.random_noisy,
    gaussian.posterior_width,
    count=40,
)


def without_added_function(s: LinearModel) -> Law:
    """M K M^T + s2 G G^T: a plain ensemble trained on noisy labels."""
    k, _ = kernels(s)
    found = bayesian_ensemble_law(kernels(s)[1], s.labels, noise=s.noise).smoother
    residual = found.residual_map()
    return Law(found.matrix @ s.labels, residual @ k.joint() @ residual.T + s.noise * found.matrix @ found.matrix.T)


def compare_members(
    s: LinearModel,
    p: Law,
    rows: Rows,
    *,
    readout_of_added: bool = False,
    label_noise: bool = True,
    origin: bool = False,
) -> Comparison:
    """Members trained by least squares in the parameters, on the unit draws of w, theta* and xi."""
    j, n, count = s.jacobian, s.tests, len(s.labels)
    readout, size = s.readout.shape[1], s.jacobian.shape[1]
    added = np.concatenate([np.zeros((size, readout)), np.eye(size)[:, 0 if readout_of_added else readout :]], axis=1)
    extra = np.zeros((size, count + 1))
    start = np.concatenate([np.eye(size, readout), np.zeros((size, added.shape[1] - readout)), extra], axis=1)
    frozen = j @ np.concatenate([added, extra], axis=1)
    noise = label_noise * np.sqrt(s.noise) * np.eye(count)
    goals = np.concatenate([np.zeros((count, added.shape[1])), noise, s.labels[:, None]], axis=1) - frozen[n:]
    trained = sampling.minimise(j[n:], goals, start, s.noise, towards=np.zeros_like(start) if origin else None)
    outputs = j[:n] @ trained + frozen[:n]
    observed = Law(outputs[:, -1], outputs[:, :-1] @ outputs[:, :-1].T)
    gain, error = gain_error(s, kernels(s)[1])
    norm = float(np.linalg.norm(j)) ** 2
    rate = error / gain + 40 * (size + count) * EPS * (s.noise + norm) / s.noise
    scale = np.repeat([(1 + gain) * float(np.linalg.norm(s.labels)), (1 + gain) ** 2 * norm], [n, n**2])
    return Comparison(flatten(observed), flatten(p), 4 * rate * scale, scale)


BAYESIAN = Result(
    NTKGP_HE2020,
    predict,
    sampling.NOISY.quick[0],
    (
        Check(
            "the shipped law is the posterior",
            FORMULA,
            controls=(
                Control("no label noise", flow.mutant(FORMULA, partial(predict, label_noise=False))),
                Control("no added function", flow.mutant(FORMULA, without_added_function)),
                Control("kernel K", flow.mutant(FORMULA, gaussian.nngp_in_its_place)),
            ),
        ),
        Check(
            "members trained in their parameters",
            Agreement("rounding"),
            settings=sampling.NOISY,
            compare=compare_members,
            controls=(
                Control("readout of the added direction kept", {"compare": partial(compare_members, readout_of_added=True)}),
                Control("no label noise", {"compare": partial(compare_members, label_noise=False)}),
                Control("weight decay to the origin", {"compare": partial(compare_members, origin=True)}),
                Control("no added function", {"predict": without_added_function}),
            ),
        ),
    ),
    uses=(sampling.SAMPLED, gaussian.POSTERIOR),
    derivation=(
        Axiom(INDEPENDENCE, "theta* is independent of theta0, so initial function and added one are uncorrelated"),
        Algebra("their covariances K and T - K add up to T", priors_add_up),
        Uses(sampling.SAMPLED, "the penalised minimum of f on z = y + xi less the added function is f0 + G (z - f0(X))"),
        Algebra("adding the frozen function back gives M (f0 + delta) + G (y + xi)", added_function),
        Axiom(GAUSSIAN_AFFINE, "so the member is N(G y, M T M^T + s2 G G^T)"),
        Uses(gaussian.POSTERIOR, "which is the posterior with kernel T and noise s2"),
    ),
)  # fmt: skip

# --- rpf_osband ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PriorModel(LinearModel):
    """A linear model and an independent frozen function `scale * hidden(x) u`, u ~ N(0, I): its kernel is K_p = H H^T = T - K."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not float(finite("scale", self.scale, ndim=0)) >= 0:
            raise InvalidInput(f"scale is {self.scale!r}.", "It must be 0 or more.")


@dataclass(frozen=True)
class PriorPrediction:
    """Covariance (S,S) of members f + scale p at convergence."""

    covariance: Float[np.ndarray, "test test"]


def random_prior(rng: np.random.Generator) -> PriorModel:
    s = random_model(rng)
    return PriorModel(s.readout, s.hidden, s.labels, scale=float(rng.integers(1, 9)) / 4)


def difference(k: GramBlocks, t: GramBlocks) -> GramBlocks:
    return GramBlocks(t.test - k.test, t.cross - k.cross, t.train - k.train)


def predict_prior(s: PriorModel) -> PriorPrediction:
    k, t = kernels(s)
    return PriorPrediction(randomised_prior_covariance(k, difference(k, t), t, scale=s.scale))


def exact_prior(s: PriorModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        k, t = exact_kernels(s)
        h = exact_matrix(s.hidden.tolist())
        total = k + arb_mat(h * h.transpose()) * to_ball(exact_fraction("scale", s.scale)) ** 2
        return law(total, regression_map(t, s.tests), s.labels.tolist())[s.tests :]


def exact_posterior_at_one(s: PriorModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        return conditional_covariance(exact_kernels(s)[1], s.tests, [arb(0)] * len(s.labels)).entries()


def prior_width(s: PriorModel) -> np.ndarray:
    k, t = kernels(s)
    size = (1 + s.scale**2) * float(np.linalg.norm(t.joint())) / float(np.linalg.norm(k.joint()))
    values = predict_prior(s).covariance.ravel()
    widths = law_width(s, k, t, Law(np.ones(s.tests), np.ones((s.tests, s.tests))))[s.tests :]
    return relative(widths * size, values)


def read(p: PriorPrediction) -> np.ndarray:
    return p.covariance.ravel()


PRIOR_FORMULA = Formula(exact_prior, lambda s: read(predict_prior(s)), read, random_prior, prior_width, count=40)
POSTERIOR_FORMULA = replace(
    PRIOR_FORMULA,
    expression=exact_posterior_at_one,
    sample=lambda rng: replace(random_prior(rng), scale=1.0),
)


def compare_prior(s: PriorModel, p: PriorPrediction, rows: Rows, *, trained: bool = False) -> Comparison:
    """Minimum-norm changes of the parameters that interpolate y - scale p(X), on the unit draws of w and u."""
    j, n, count = s.jacobian, s.tests, len(s.labels)
    readout, hidden = s.readout.shape[1], s.hidden.shape[1]
    start = np.concatenate([np.eye(readout + hidden, readout), np.zeros((readout + hidden, hidden))], axis=1)
    frozen = np.concatenate([np.zeros((len(j), readout)), s.scale * s.hidden], axis=1)
    gap = -frozen[n:] - j[n:] @ start
    if trained:  # the added function is trained on its own features as well: the kernel changes
        wide = np.concatenate([j, s.scale * s.hidden], axis=1)
        outputs = frozen[:n] + j[:n] @ start + wide[:n] @ np.linalg.lstsq(wide[n:], gap, rcond=None)[0]
    else:
        outputs = frozen[:n] + j[:n] @ (start + np.linalg.lstsq(j[n:], gap, rcond=None)[0])
    gain, error = gain_error(s, kernels(s)[1])
    norm = (1 + s.scale**2) * float(np.linalg.norm(j)) ** 2
    rate = error / gain + 40 * (len(j.T) + count) * EPS * float(np.linalg.cond(j[n:]))
    scale = (1 + gain) ** 2 * norm
    return Comparison(outputs @ outputs.T, p.covariance, np.full((n, n), 4 * rate * scale), scale)


def with_scale(change: Callable[[float], float]) -> Callable[[PriorModel], PriorPrediction]:
    return lambda s: predict_prior(replace(s, scale=change(s.scale)))


def tangent_posterior(s: PriorModel) -> PriorPrediction:
    return PriorPrediction(gaussian.predict_posterior(s).covariance)


_rng = np.random.default_rng(33)
PRIORS = ByBudget(quick=tuple(replace(random_prior(_rng), scale=beta) for beta in (0.5, 1.0, 2.0)))
NOT_ONE = ByBudget(quick=(PRIORS.quick[0], PRIORS.quick[2]))

RANDOMISED = Result(
    RPF_OSBAND,
    predict_prior,
    PRIORS.quick[0],
    (
        Check(
            "shipped covariance",
            PRIOR_FORMULA,
            controls=(
                Control("scale for its square", flow.mutant(PRIOR_FORMULA, with_scale(np.sqrt))),
                Control("prior function forgotten", flow.mutant(PRIOR_FORMULA, with_scale(lambda b: 0.0))),
                Control("the tangent-kernel posterior at any scale", flow.mutant(PRIOR_FORMULA, tangent_posterior)),
            ),
        ),
        Check(
            "scale 1 and K_p = T - K: the posterior with kernel T",
            POSTERIOR_FORMULA,
            controls=(
                Control("scale 1.001", flow.mutant(POSTERIOR_FORMULA, with_scale(lambda b: 1.001))),
                Control("prior function forgotten", flow.mutant(POSTERIOR_FORMULA, with_scale(lambda b: 0.0))),
            ),
        ),
        Check(
            "interpolation in the parameters",
            Agreement("rounding"),
            settings=NOT_ONE,
            compare=compare_prior,
            controls=(
                Control("scale for its square", {"predict": with_scale(np.sqrt)}),
                Control("added function trained too", {"compare": partial(compare_prior, trained=True)}),
                Control("the tangent-kernel posterior at any scale", {"predict": tangent_posterior}),
            ),
        ),
    ),
    uses=(flow.FLOW, gaussian.POSTERIOR),
    derivation=(
        Uses(flow.FLOW, "f is trained on y - beta p(X), so it ends at f0 + G (y - beta p(X) - f0(X))"),
        Algebra("the member is M (f0 + beta p) + G y", added_function),
        Axiom(INDEPENDENCE, "f0 and p are independent"),
        Algebra("so f0 + beta p has the covariance K_f + beta^2 K_p", priors_add_up),
        Axiom(GAUSSIAN_AFFINE, "and the member M (K_f + beta^2 K_p) M^T"),
        Uses(gaussian.POSTERIOR, "M C M^T is the posterior of kernel T for C = T"),
    ),
)  # fmt: skip

RESULTS = (BAYESIAN, RANDOMISED)
