"""What theory says of descent on separable data: the direction, the law of what is left, its exponents, and what breaks them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...theory.errors import AssumptionViolated, InvalidInput, NumericalFailure
from ...theory.statement import Answer
from .assessment import Assessment, Claim, Rate, Refusal
from .classification import guaranteed_law_step
from .coordinates import Coordinates
from .facts import Fact, decided
from .gaussian_law import GaussianLaw
from .max_margin import MaxMargin, max_margin
from .regression_claims import OTHER_COVARIANCES
from .separable_limits import guaranteed_descent_step, kept_part, limit_remainder, rate_spectrum
from .support_vectors import SupportReport, support_report
from .training_choices import Training

DIRECTION, LAW = "the direction of the weights", "the law of what is left of the weights beside w_hat log t"


def assess_classification(x: np.ndarray, training: Training, start: GaussianLaw, frame: Coordinates) -> Assessment:
    """Facts, claims and refusals for labelled rows x (examples, parameters)."""
    rank = start.factor.shape[1] if start.factor.any() else 0
    rows, inner = frame.rows(x), frame.inner(start)
    separable, solution = _separable(rows)
    general = tuple(_obstacles(training, rank))
    if solution is None:
        why = Refusal("ib.logit_maxmargin", DIRECTION, separable.says)
        return Assessment((separable,), (), (why, *general), None, None)
    support = support_report(rows, solution=solution)
    generic, spanning = _support_facts(support)
    facts: tuple[Fact, ...] = (separable, generic, spanning)
    claims, refusals = [], list(general)
    if not rank and not general:
        small = _small_step(rows, inner, training.step)
        facts = (*facts, small)
        if training.loss != "exponential":
            refusals.append(
                Refusal(
                    "ib.logit_maxmargin",
                    DIRECTION,
                    "with bounds for finite steps it is derived for the exponential loss only",
                )
            )
        elif small.holds:
            claims.append(
                Claim(
                    "ib.logit_maxmargin",
                    f"the direction tends to the maximum margin, {solution.margin:.6g}, as 1/log t",
                )
            )
        else:
            refusals.append(Refusal("ib.logit_maxmargin", DIRECTION, small.says))
    if general or not (generic.holds and spanning.holds):
        if not general:
            broken = generic if not generic.holds else spanning
            refusals.append(Refusal("ib.class_nonspan" if rank else "ib.logit_residual", LAW, broken.says))
        return Assessment(facts, tuple(claims), tuple(refusals), None, None)
    if rank and training.loss == "exponential":
        small = _small_law_step(rows, inner, training.step)
        facts = (*facts, small)
        if not small.holds:
            return Assessment(facts, (), (Refusal("ib.class_step", LAW, small.says),), None, None)
    law = frame.outer(
        GaussianLaw(limit_remainder(rows, inner.mean, step=training.step), kept_part(rows, solution, inner.factor))
    )
    slowest = float(rate_spectrum(rows)[0])
    if not rank:
        claims.append(
            Claim(
                "ib.logit_residual",
                "w_t - w_hat log t tends to a constant, under gradient flow (small steps: checked, not proved)",
            )
        )
        return Assessment(facts, tuple(claims), tuple(refusals), law, None)
    flow = "under gradient flow (small steps: reported and checked, not derived)"
    theorem = "ib.class_w2" if training.loss == "exponential" else "ib.class_logistic"
    claims.append(Claim(theorem, f"mean - w_hat log t and factor converge, {flow}; the factor keeps what no row sees"))
    claims.append(
        Claim(
            "ib.class_overconfidence",
            "wherever x^T w_hat is not 0, predicted probabilities tend to 0 or 1 with training time",
        )
    )
    rate = Rate("power of time", training.covariance_rate * slowest)
    claims.append(
        Claim(
            "ib.class_rates",
            f"exponents follow from the spectrum of A, whose least nonzero eigenvalue is {slowest:.6g}",
        )
    )
    return Assessment(facts, tuple(claims), tuple(refusals), law, rate)


def _separable(rows: np.ndarray) -> tuple[Fact, MaxMargin | None]:
    try:
        found = max_margin(rows)
    except AssumptionViolated as error:
        return decided("separable", False, error.problem), None
    except NumericalFailure as error:
        return Fact("separable", Answer.CANNOT_BE_CHECKED, error.problem), None
    how = "decided in exact arithmetic" if found.method == "exact" else f"KKT residual {found.residuals.worst:.1e}"
    return decided("separable", True, f"margin {found.margin:.6g} ({how})"), found


def _support_facts(support: SupportReport) -> tuple[Fact, Fact]:
    generic = decided(
        "generic support",
        support.generic,
        f"{support.support_vectors} support vectors of rank {support.support_rank}"
        + (", all with positive weights" if support.generic else ", or one with weight 0"),
    )
    spanning = decided(
        "spanning support",
        support.spanning,
        f"{support.others} of {support.examples} rows are no support vectors, {support.residual_rank} directions of the rows stay open",
    )
    return generic, spanning


def _small_step(rows: np.ndarray, start: GaussianLaw, step: float) -> Fact:
    try:
        limit = guaranteed_descent_step(rows, start.mean)
    except AssumptionViolated as error:
        return Fact("small step", Answer.CANNOT_BE_CHECKED, error.problem)
    said = f"step {step:.6g} against {limit:.6g}, below which the loss falls every time"
    if step <= limit * (1 - 1e-12):
        return decided("small step", True, said)
    return Fact("small step", Answer.CANNOT_BE_CHECKED, f"{said}; nothing is known above it")


def _small_law_step(rows: np.ndarray, start: GaussianLaw, step: float) -> Fact:
    try:
        limit = guaranteed_law_step(rows, start)
    except InvalidInput as error:
        return Fact("small step", Answer.CANNOT_BE_CHECKED, error.problem)
    said = f"step {step:.6g} against {limit:.6g}, up to which the expected loss falls and the factor cannot grow"
    if step <= limit * (1 - 1e-12):
        return decided("small step", True, said)
    return Fact("small step", Answer.CANNOT_BE_CHECKED, f"{said}; larger ones may blow up")


def _obstacles(training: Training, rank: int) -> Iterator[Refusal]:
    what = LAW if rank else DIRECTION
    if training.adaptive:
        yield Refusal("ib.logit_maxmargin", what, f"{training.optimiser} has no metric that is known before the data")
    if training.weight_decay:
        yield Refusal("ib.logit_maxmargin", what, "with weight decay the weights stay bounded")
    if training.momentum:
        yield Refusal("ib.logit_maxmargin", what, "momentum on separable data is an open problem")
    if training.batch_size is not None:
        yield Refusal("ib.logit_maxmargin", what, "mini-batches are covered by the literature, and not derived here")
    if not rank:
        return
    if training.covariance != "factor":
        yield Refusal("ib.param_covariance", what, OTHER_COVARIANCES[training.covariance])
    if training.samples is not None:
        heavy = training.loss == "exponential"
        why = (
            "sampled exponential losses have log-normal gradients"
            if heavy
            else "sampled training is checked, not proved"
        )
        yield Refusal("ib.class_step" if heavy else "ib.class_logistic", what, why)
