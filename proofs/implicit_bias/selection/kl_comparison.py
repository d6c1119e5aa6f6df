"""KL-regularised regression beside W2: oblique against orthogonal projection, mean-field collapse, two cold limits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.gaussian_law import covariance
from ....numerics.implicit_bias.kl_regression import (
    conditioning_floor,
    mean_field_posterior,
    noise_free_posterior,
    tempered_posterior,
)
from ....numerics.implicit_bias.variational_regression import regression_limit
from ....theory.axioms import CONVEX_UNIQUE, JENSEN, LINEARITY, SPECTRAL
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.implicit_bias.selection import KL_COMPARE
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..least_squares import minimum_norm
from ..problems import balls, identity, integer_design, pseudo_inverse, rational
from ..regression import nearest_law
from . import metric_dial, on_networks
from .kl_evidence import (
    UNIT_ROUNDOFF,
    KlPrediction,
    KlSetting,
    compare_gap,
    compare_limit,
    compare_objective,
    compare_posterior,
    compare_scales,
    condition,
    descend_scales,
    draw_laws,
    predict,
    project,
    random_setting,
    weaken,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def posterior_excess() -> Equations:
    """One whitened direction, prior N(0, 1) and q = N(m, v): the objective exceeds its least value by lam KL(q || posterior)."""
    import sympy

    m, y, x = sympy.symbols("m y x", real=True)
    v, noise, lam = sympy.symbols("v noise lam", positive=True)

    def kl(m: Any, v: Any, m1: Any, v1: Any) -> Any:
        return (v / v1 + (m - m1) ** 2 / v1 - 1 - sympy.log(v) + sympy.log(v1)) / 2

    spread = 1 / (x**2 / (lam * noise) + 1)
    centre = spread * x * y / (lam * noise)
    value = ((y - x * m) ** 2 + x**2 * v) / (2 * noise) + lam * kl(m, v, 0, 1)
    least = value.subs({m: centre, v: spread})
    return [(value, least + lam * kl(m, v, centre, spread))]


def fractions_left() -> Equations:
    """Whitened, each direction of A = X S_0 keeps lam s2/(s^2 + lam s2) of its variance; cold posteriors keep T times that."""
    import sympy

    s, lam, noise, t, r = sympy.symbols("s lam noise t r", positive=True)
    kept, shift = 1 / (s**2 / (lam * noise) + 1), s / (s**2 + lam * noise) * r
    return [
        (kept, lam * noise / (s**2 + lam * noise)),
        (r / s - shift, r / s * lam * noise / (s**2 + lam * noise)),
        (1 / (s**2 / (t * lam * noise) + 1 / t), t * kept),
        (s * r / (t * lam * noise) * (t * kept), shift),
        (sympy.limit(kept, lam, 0), 0),
        (sympy.limit(shift, lam, 0), r / s),
    ]


def mean_field() -> Equations:
    """Stationary variances of independent parameters: h/noise + lam (p_ii - 1/v) = 0; descent on a scale; Var(x^T w)."""
    import sympy

    h, p, v, lam, noise, c, scale, eta = sympy.symbols("h p v lam noise c scale eta", positive=True)
    slope = sympy.diff(h * v / (2 * noise) + lam * (p * v - sympy.log(v)) / 2, v)
    best = 1 / (h / (lam * noise) + p)
    return [
        (slope.subs(v, best), 0),
        (sympy.limit(best, lam, 0), 0),
        (scale - eta * sympy.diff(c * scale**2 / 2, scale), (1 - eta * c) * scale),
    ]


def loewner() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """Sigma_c = P Sigma_c P exactly, and P Sigma_0 P - Sigma_c = P (K X Sigma_0) P has no negative diagonal entry."""
    for values in ([2, 1, 0, 1, 3, 1, 0, 1, 1], [1, 0, 0, 0, 5, 0, 0, 0, 2], [3, -1, 1, -1, 2, 0, 1, 0, 4]):
        sigma = fmpq_mat(3, 3, values)
        for entries in itertools.product((-1, 0, 1), repeat=6):
            x = fmpq_mat(2, 3, list(entries))
            p = identity(3) - pseudo_inverse(x) * x
            conditional = sigma - sigma * x.transpose() * pseudo_inverse(x * sigma * x.transpose()) * x * sigma
            for entry in (p * conditional * p - conditional).entries():
                yield f"{entries}", Fraction(int(entry.p), int(entry.q)), "==", Fraction(0)
            gap = p * sigma * p - conditional
            for i in range(3):
                yield f"{entries}", Fraction(0), "<=", Fraction(int(gap[i, i].p), int(gap[i, i].q))


DERIVATION = (
    Axiom(SPECTRAL, "whitened by the prior, directions of A = X S_0 decouple"),
    Algebra("objective(q) = constant + lam KL(q || posterior at noise lam s2): checked for Gaussian q, direction by direction", posterior_excess),
    Axiom(JENSEN, "KL >= 0, so the posterior is the minimiser, over all laws by the same identity with densities"),
    Algebra("lam -> 0 keeps lam s2/(s^2 + lam s2) -> 0 of the variance, mean r/s; T multiplies the covariance and leaves the mean", fractions_left),
    Uses(metric_dial.RESULT, "that limit, mu_0 + S_0 A^+ (y - X mu_0) and S_0 (I - A^+ A) S_0^T, is the noise-free conditional, Pi_Sigma0 Sigma_0 Pi_Sigma0^T"),
    Uses(nearest_law.RESULT, "without the divergence the limit is P Sigma_0 P"),
    Enumeration("Sigma_c = P Sigma_c P for 2187 pairs of a design and a prior, and the gap has no negative diagonal entry", loewner),
    Axiom(LINEARITY, "Sigma_0 - Sigma_c = Sigma_0 X^T (X Sigma_0 X^T)^+ X Sigma_0 is positive semidefinite, so P Sigma_0 P - Sigma_c = P (Sigma_0 - Sigma_c) P is; it is 0 iff X Sigma_0 P = 0, that is P Sigma_0 Q = 0"),
    Algebra("mean-field: v_i = 1/[H/(lam s2) + Sigma_0^{-1}]_ii -> 0 where X_i is not 0; without KL s_i <- (1 - eta ||X_i||^2) s_i", mean_field),
    Axiom(CONVEX_UNIQUE, "the mean-field objective is convex in mean and variances; its mean part is that of the full family"),
    Uses(minimum_norm.RESULT, "for the mean, and for each scale by itself"),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(8))), standard=lambda: tuple(map(random_setting, range(40))))
KERNEL = ByBudget(quick=tuple(s for s in map(random_setting, range(16)) if np.linalg.matrix_rank(s.design) < s.design.shape[1])[:7])  # fmt: skip


def with_(**changes: Callable[[KlSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: change(s) for name, change in changes.items()})}


def changed(**changes: Callable[[KlSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: predict(replace(s, **{name: change(s) for name, change in changes.items()}))}


def orthogonal(s: KlSetting) -> tuple[np.ndarray, np.ndarray]:
    limit = regression_limit(s.design, s.targets, s.prior)
    return limit.mean, covariance(limit)


def sample(rng: np.random.Generator) -> KlSetting:
    design = integer_design(rng)
    n, p = design.shape
    factor = np.tril(rng.integers(-2, 3, size=(p, p)), -1) / 2 + np.diag(rng.integers(1, 4, size=p))
    noise, kl_weight, temperature = 2.0 ** rng.integers(-3, 4), 2.0 ** rng.integers(-6, 3), 2.0 ** rng.integers(-4, 1)
    step = float(2.0 ** np.floor(np.log2(1.5 / np.linalg.norm(design, 2) ** 2)))
    return KlSetting(design, rng.normal(size=(n,)), rng.normal(size=(p,)), factor, float(noise), float(kl_weight), float(temperature), step)  # fmt: skip


def last_steps(s: KlSetting) -> list[arb]:
    x, y, start, factor = rational(s.design), rational(s.targets), rational(s.prior_mean), rational(s.prior_factor)
    sigma, weight = factor * factor.transpose(), fmpq(*s.weight.as_integer_ratio())
    precision = (x.transpose() * x) * (1 / weight) + sigma.inv()
    mean = start + precision.inv() * (x.transpose() * (y - x * start)) * (1 / weight)
    gain = sigma * x.transpose() * pseudo_inverse(x * sigma * x.transpose())
    full = precision.inv() * fmpq(*s.temperature.as_integer_ratio())
    diagonal = [arb(1 / precision[i, i]) for i in range(x.ncols())]
    return [
        *balls(mean),
        *balls(full),
        *balls(start + gain * (y - x * start)),
        *balls(sigma - gain * x * sigma),
        *diagonal,
    ]


def read(p: KlPrediction) -> np.ndarray:
    parts = (p.mean, p.covariance, p.limit_mean, p.limit_covariance, p.mean_field)
    return np.concatenate([np.ravel(part) for part in parts])


def shipped(s: KlSetting) -> np.ndarray:
    options = {"noise": s.noise, "kl_weight": s.kl_weight}
    full = tempered_posterior(s.design, s.targets, s.prior, **options, temperature=s.temperature)
    limit, diagonal = (
        noise_free_posterior(s.design, s.targets, s.prior),
        mean_field_posterior(s.design, s.targets, s.prior, **options)[1],
    )
    return np.concatenate([full.mean, covariance(full).ravel(), limit.mean, covariance(limit).ravel(), diagonal])


def width(s: KlSetting) -> np.ndarray:
    p = len(s.prior_mean)
    bounds = np.ravel([conditioning_floor(s.design, s.targets, s.prior, weight=w) for w in (s.weight, 0.0)])
    # the inverse of Sigma_0 rounds by 10 p u cond of its norm; the variance is at most that of the prior
    inverse = 10 * p * UNIT_ROUNDOFF * np.linalg.cond(s.prior_factor) ** 2
    variances = predict(s).mean_field
    diagonal = variances * (
        inverse * variances / np.linalg.norm(s.prior_factor, -2) ** 2 + 10 * UNIT_ROUNDOFF * len(s.targets)
    )
    return relative_width(shipped(s), np.append(np.repeat(bounds, [p, p * p, p, p * p]), diagonal))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=40)
EXAMPLE = KlSetting(
    np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.zeros(3), np.diag([1.0, 2.0, 1.0]), 0.5, 0.1, 1.0, 0.1
)

CHECKS = (
    Check(
        "the posterior, whole or cold, by conditioning on one example after the other",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=condition,
        compare=compare_posterior,
        controls=(
            Control("noise in place of kl_weight * noise", changed(kl_weight=lambda s: 1.0)),
            Control("only the likelihood tempered", {"experiment": partial(condition, temper="likelihood")}),
            Control("only the prior tempered", {"experiment": partial(condition, temper="prior")}),
            Control("temperature put on the KL term", changed(kl_weight=lambda s: s.kl_weight * s.temperature, temperature=lambda s: 1.0)),
        ),
    ),
    Check(
        "no Gaussian law has a lower objective",
        Inequality(),
        settings=SETTINGS,
        experiment=draw_laws,
        plan=ByBudget(quick=({"laws": 100},)),
        compare=compare_objective,
        controls=(
            Control("noise in place of kl_weight * noise", changed(kl_weight=lambda s: 1.0)),
            Control("independent parameters", with_(covariance=lambda s: np.diag(predict(s).mean_field) * s.temperature)),
        ),
    ),
    Check(
        "vanishing KL weight",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=weaken,
        compare=compare_limit,
        controls=(
            Control("W2 limit passed off as the KL limit", with_(limit_mean=lambda s: orthogonal(s)[0], limit_covariance=lambda s: orthogonal(s)[1])),
            Control("point mass, as for a cold posterior", with_(limit_covariance=lambda s: 0 * predict(s).limit_covariance)),
            Control("ridge solution, as for a cold posterior", with_(limit_mean=lambda s: predict(s).mean)),
        ),
    ),
    Check(
        "W2 keeps at least as much variance as KL, more unless the prior respects the row space",
        Inequality(),
        settings=KERNEL,
        experiment=project,
        compare=compare_gap,
        controls=(
            Control("the reverse order", {"compare": partial(compare_gap, sign=-1.0)}),
            Control("isotropic prior", {"experiment": partial(project, isotropic=True)}),
            Control("W2 covariance 1% smaller", {"compare": partial(compare_gap, shrink=0.99)}),
        ),
    ),
    Check(
        "no law with independent parameters has a lower objective than the mean-field posterior",
        Inequality(),
        settings=SETTINGS,
        experiment=partial(draw_laws, diagonal=True),
        plan=ByBudget(quick=({"laws": 100},)),
        compare=partial(compare_objective, diagonal=True),
        controls=(
            Control("marginal variances of the posterior", with_(mean_field=lambda s: np.diag(predict(s).covariance) / s.temperature)),
            Control("prior variances", with_(mean_field=lambda s: np.diag(covariance(s.prior)))),
        ),
    ),
    Check(
        "mean-field scales collapse without a divergence too",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=descend_scales,
        compare=compare_scales,
        controls=(
            Control("null space kept, as correlated factors do", with_(scales=lambda s: np.tile(np.sqrt(np.abs(np.diag(orthogonal(s)[1]))), (3, 1)))),
            Control("step 1e-6 smaller", changed(step=lambda s: s.step * (1 - 1e-6))),
            Control("scales not trained", with_(scales=lambda s: np.tile(np.sqrt(np.diag(covariance(s.prior))), (3, 1)))),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("KL weight off by 1e-8", mutant(FORMULA, lambda s: shipped(replace(s, kl_weight=s.kl_weight * (1 + 1e-8))))),
            Control("noise doubled", mutant(FORMULA, lambda s: shipped(replace(s, noise=2 * s.noise)))),
        ),
    ),
    *on_networks.CHECKS,
)  # fmt: skip

RESULT = Result(KL_COMPARE, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(minimum_norm.RESULT, nearest_law.RESULT, metric_dial.RESULT), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
