"""KL(Q||P) of Gaussian-process regression, and the PAC-Bayes-kl bound that it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.bounds.seeger import seeger_kl
from ....numerics.claims import Agreement, Comparison, Coverage, Formula, HighProbabilityBound
from ....numerics.kernel_regression.gaussian_process_bound import (
    gaussian_process_bound,
    gaussian_process_kl,
    posterior_on_the_sample,
    posterior_zero_one_risk,
)
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CHAIN_RULE, GAUSSIAN_AFFINE, SPECTRAL
from ....theory.balls.gaussian_process import gaussian_process_kl_ball
from ....theory.balls.seeger import seeger_upper_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.neighbours import GP_PAC
from ....theory.validation import finite, log_inverse_delta, unit_interval
from ...pac_bayes.kl_bounds import monte_carlo, seeger
from ...result import ByBudget, Check, Control, Result, Run
from . import gaussian_process_algebra

UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class GaussianProcessSetting:
    """Gram matrix of the prior on the sample (N, N), labels (N,), s2 of the likelihood; Gibbs risk and ln(1/delta) of the bound."""

    gram: Float[np.ndarray, "n n"]
    labels: Float[np.ndarray, " n"]
    noise_variance: float
    risk: float
    log_inv_delta: float

    def __post_init__(self) -> None:
        gram, labels = finite("gram", self.gram, ndim=2), finite("labels", self.labels, ndim=1)
        if gram.shape != (len(labels), len(labels)):
            raise InvalidInput(f"gram has shape {gram.shape} for {len(labels)} labels.")
        if not self.noise_variance > 0:
            raise InvalidInput(f"noise_variance is {self.noise_variance}.", "It must be positive.")
        unit_interval("risk", self.risk), log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class GaussianProcessPrediction:
    """KL(Q||P) in nats (rounded upward) and the upper bound on the true Gibbs risk."""

    kl: float
    bound: float


# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Axiom(CHAIN_RULE, "KL(Q||P) is that of the values on X plus the mean KL of the conditional laws given them, which agree: the likelihood sees X only"),
    Axiom(SPECTRAL, "K is diagonal in an orthonormal basis; in it prior, noise and so the posterior have independent coordinates"),
    Axiom(GAUSSIAN_AFFINE, "coordinates of y in that basis; modes with eigenvalue 0 are 0 under both laws"),
    Algebra("the posterior of a mode is N(l y/(l+s2), l s2/(l+s2))", gaussian_process_algebra.posterior_of_a_mode),
    Algebra("its divergence from N(0, l) is half of ln(1+l/s2) - l/(l+s2) + l y^2/(l+s2)^2; summed over modes this is the formula", gaussian_process_algebra.divergence_of_a_mode),
    Algebra("an error d of an eigenvalue moves its share by at most d/(8 s2), and a residual r of (K+s2)a = y moves |K^{1/2} a| by at most |r|/(2s)", gaussian_process_algebra.rounding_of_the_spectrum),
    Uses(seeger.RESULT, "the bound, for the prior fixed before the sample"),
    Uses(monte_carlo.RESULT, "and an upper bound of the empirical Gibbs risk from posterior samples, at the cost of one more event"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: GaussianProcessSetting) -> GaussianProcessPrediction:
    kl = gaussian_process_kl(gram=s.gram, labels=s.labels, noise_variance=s.noise_variance).upper
    return GaussianProcessPrediction(
        kl, seeger_kl(risk=s.risk, kl=kl, n=len(s.labels), log_inv_delta=s.log_inv_delta).value
    )


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> GaussianProcessSetting:
    """Spectra from flat to 1e-3, noise from 1e-3 to 1e3 of them: memorising posteriors and idle ones."""
    size = int(rng.integers(1, 6))
    basis, _ = np.linalg.qr(rng.normal(size=(size, size)))
    gram = (basis * 10 ** rng.uniform(-3, 0, size)) @ basis.T * 10 ** rng.uniform(-2, 2)
    gram = (gram + gram.T) / 2
    noise = float(np.trace(gram) / size * 10 ** rng.uniform(-3, 3))
    return GaussianProcessSetting(
        gram, rng.normal(size=size) * 10 ** rng.uniform(-1, 1), noise, float(rng.uniform(0, 0.3)), float(rng.uniform(0.5, 20))
    )  # fmt: skip


def exact(s: GaussianProcessSetting) -> tuple[arb, arb]:
    kl = gaussian_process_kl_ball(s.gram.tolist(), s.labels.tolist(), s.noise_variance)
    mantissa, exponent = kl.mid().man_exp()
    rational = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return kl, seeger_upper_ball(s.risk, rational, len(s.labels), s.log_inv_delta)


def shipped(s: GaussianProcessSetting, *, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return both(s, scale * _kl(s).upper + shift)


def _kl(s: GaussianProcessSetting, **changes: Any) -> Any:
    given: dict[str, Any] = {"gram": s.gram, "labels": s.labels, "noise_variance": s.noise_variance} | changes
    return gaussian_process_kl(**given)


def both(s: GaussianProcessSetting, kl: float) -> np.ndarray:
    return np.array([kl, seeger_kl(risk=s.risk, kl=max(kl, 0.0), n=len(s.labels), log_inv_delta=s.log_inv_delta).value])


def whole(s: GaussianProcessSetting) -> np.ndarray:
    """The certificate as users get it."""
    certificate = gaussian_process_bound(
        risk=s.risk, gram=s.gram, labels=s.labels, noise_variance=s.noise_variance, log_inv_delta=s.log_inv_delta
    )
    return np.array([certificate.inputs["kl"], certificate.value])


def width(s: GaussianProcessSetting) -> np.ndarray:
    """Upper value: the eigenvalues' doubt is that of products with N orthonormal columns and of their own product, below
    (N+8)(2N + 4 sqrt N + 8) u |K|, which the mode function weighs with N/(8 s2); the energy of the weights is rounded by 2(N+8) u |a||K||a|, and their residual, of (N+8) u (|K||a| + s2|a| + |y|), counts |K^{1/2}a|/(2s) times."""
    size, s2 = len(s.labels), s.noise_variance
    norm = float(np.linalg.norm(s.gram))
    weights = np.linalg.solve(s.gram + s2 * np.eye(size), s.labels)
    a = float(np.linalg.norm(weights))
    energy = norm * a**2
    residual = 6 * (size + 8) * UNIT * np.sqrt(size) * (norm * a + s2 * a + float(np.linalg.norm(s.labels)))
    found = _kl(s).value
    absolute = (
        (size + 8) * (2 * size + 4 * np.sqrt(size) + 8) * UNIT * norm * size / (8 * s2)
        + 4 * (size + 8) * UNIT * energy * np.sqrt(size)
        + residual * (np.sqrt(energy) / np.sqrt(s2) + residual / (4 * s2))
        + (size + 60) * UNIT * found
    )
    # UP is concave in c with UP(q, 0) = q, so its relative change is no larger than that of c (with 36 half-ulps of its own)
    share = absolute / (found + s.log_inv_delta)
    return np.array([absolute / found, share + 40 * UNIT])


FORMULA = Formula(
    expression=exact,
    shipped=whole,
    read=lambda p: [p.kl, p.bound],
    sample=sample,
    width=width,
    side="upper",
    count=60,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


# --- checks: another route, and how often the bound fails ----------------------------------------------------------


def evidence_route(s: GaussianProcessSetting, *, labels_scale: float = 1.0) -> tuple[float, float]:
    """E_Q ln N(y; f, s2) - ln N(y; 0, K + s2): Bayes' rule, with the divergence never formed; and its rounding scale."""
    mean, variance = posterior_on_the_sample(gram=s.gram, labels=s.labels, noise_variance=s.noise_variance)
    y, s2, size = s.labels * labels_scale, s.noise_variance, len(s.labels)
    noisy = s.gram + s2 * np.eye(size)
    log_det = np.linalg.slogdet(noisy)[1]
    parts = (
        (np.sum((y - mean[:, 0]) ** 2) + np.sum(variance)) / (2 * s2),
        size * np.log(s2) / 2,
        log_det / 2,
        y @ np.linalg.solve(noisy, y) / 2,
    )
    return float(-parts[0] - parts[1] + parts[2] + parts[3]), float(np.sum(np.abs(parts)) + 1)


def compare_evidence(s: GaussianProcessSetting, p: GaussianProcessPrediction, rows: Rows) -> Comparison:
    observed, scale = evidence_route(s)
    condition = float(np.linalg.cond(s.gram + s.noise_variance * np.eye(len(s.labels))))
    bound = 50 * len(s.labels) ** 2 * UNIT * condition * scale
    return Comparison(np.array([observed]), np.array([p.kl]), np.array([bound]), scale)


def draw_samples(setting: GaussianProcessSetting, run: Run, *, kernel: str = "fixed") -> dict[str, Any]:
    """Labels without any signal at inputs that never recur, so that every posterior has the true 0-1 risk 1/2 exactly: empirical
    Gibbs risk and divergence of regression with the setting's kernel, or with one that was chosen to fit the labels."""
    rng = generator(run.seed, "labels", kernel)
    size = len(setting.labels)
    found = []
    for _ in range(run.block["samples"]):
        labels = rng.choice([-1.0, 1.0], size=size)
        gram = setting.gram if kernel == "fixed" else np.outer(labels, labels)
        given: dict[str, Any] = {"gram": gram, "labels": labels, "noise_variance": setting.noise_variance}
        found.append((posterior_zero_one_risk(**given), gaussian_process_kl(**given).upper))
    risk, kl = np.array(found).T
    return {"risk": risk, "kl": kl}


def fitted_kernel(setting: GaussianProcessSetting, run: Run) -> dict[str, Any]:
    return draw_samples(setting, run, kernel="fitted")


def compare_failures(
    s: GaussianProcessSetting, p: GaussianProcessPrediction, rows: Rows, *, price: float = 1.0
) -> Coverage:
    violations = sum(
        seeger_kl(risk=float(risk), kl=float(price * kl), n=len(s.labels), log_inv_delta=s.log_inv_delta).value < 0.5
        for risk, kl in zip(rows["risk"], rows["kl"], strict=True)
    )
    return Coverage(float(np.exp(-s.log_inv_delta)), violations=int(violations), trials=len(rows["risk"]))


def _smooth(size: int, reach: float) -> np.ndarray:
    grid = np.linspace(-1, 1, size)
    return np.exp(-((grid[:, None] - grid[None, :]) ** 2) / (2 * reach**2))


EXAMPLE = GaussianProcessSetting(
    _smooth(8, 0.7), np.array([-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0]), 0.1, 0.05, float(-np.log(0.05))
)
MEMORISING = GaussianProcessSetting(_smooth(20, 0.05), np.ones(20), 0.05, 0.0, float(-np.log(0.05)))
SAMPLES = ByBudget(quick=({"samples": 1_200},))

CHECKS = (
    Check(
        "the shipped divergence and certificate are the last step, rounded upward",
        FORMULA,
        controls=(
            Control("trace term dropped", _mutant(lambda s: shipped(s, shift=_kl(s).degrees / 2))),
            Control("label term dropped", _mutant(lambda s: both(s, _kl(s).complexity))),
            Control("label term without K", _mutant(lambda s: both(s, _kl(s).complexity + float(np.sum(np.linalg.solve(s.gram + s.noise_variance * np.eye(len(s.labels)), s.labels) * s.labels)) / 2))),
            Control("without the half", _mutant(lambda s: shipped(s, scale=2))),
            Control("log evidence for the divergence", _mutant(lambda s: both(s, _kl(s).complexity + _kl(s).degrees / 2))),
            Control("s for s2", _mutant(lambda s: both(s, _kl(s, noise_variance=float(np.sqrt(s.noise_variance))).upper))),
            Control("divergence in bits", _mutant(lambda s: shipped(s, scale=1 / np.log(2)))),
            Control("1e-11 below", _mutant(lambda s: shipped(s, scale=1 - 1e-11))),
        ),
    ),
    Check(
        "Bayes' rule: mean log likelihood less log evidence",
        Agreement("rounding"),
        settings=ByBudget(quick=(EXAMPLE, MEMORISING)),
        compare=compare_evidence,
        controls=(
            Control("trace term dropped", {"predict": lambda s: GaussianProcessPrediction(_kl(s).upper + _kl(s).degrees / 2, 1.0)}),
            Control("label term dropped", {"predict": lambda s: GaussianProcessPrediction(_kl(s).complexity, 1.0)}),
        ),
    ),
    Check(
        "labels without signal: the bound stays above the true risk 1/2",
        HighProbabilityBound(),
        settings=ByBudget(quick=(MEMORISING,)),
        experiment=draw_samples,
        plan=SAMPLES,
        compare=compare_failures,
        controls=(
            Control("divergence forgotten", {"compare": lambda s, p, rows: compare_failures(s, p, rows, price=0.0)}),
            Control("a fifth of the divergence", {"compare": lambda s, p, rows: compare_failures(s, p, rows, price=0.2)}),
            Control("kernel chosen after seeing the labels", {"experiment": fitted_kernel, "plan": ByBudget(quick=({"samples": 200},))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(GP_PAC, predict, EXAMPLE, CHECKS, uses=(seeger.RESULT, monte_carlo.RESULT), derivation=DERIVATION)
