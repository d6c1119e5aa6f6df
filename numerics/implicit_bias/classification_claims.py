"""What theory says of descent on separable data: the direction, the law of what is left, its exponents, and what breaks them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...theory.errors import AssumptionViolated, InvalidInput, NumericalFailure
from ...theory.statement import Answer
from .assessment import Assessment, Claim, Rate, Refusal
from .classification import classification_limit, classification_rates, guaranteed_law_step, guaranteed_logistic_step
from .coordinates import Coordinates
from .facts import Fact, decided
from .gaussian_law import GaussianLaw
from .max_margin import MaxMargin, max_margin
from .regression_claims import OTHER_COVARIANCES
from .separable_limits import guaranteed_descent_step
from .support_vectors import SupportReport, support_report
from .training_choices import Training

DIRECTION, LAW = "the direction of the weights", "the law of what is left of the weights beside w_hat log t"


def assess_classification(x: np.ndarray, training: Training, start: GaussianLaw, frame: Coordinates) -> Assessment:
    """Facts, claims and refusals for labelled rows x (examples, parameters)."""
    rank = start.factor.shape[1] if start.factor.any() else 0
    separable, solution = _separable(x, training)
    general = tuple(_obstacles(training, rank))
    if solution is None:
        why = Refusal("ib.logit_maxmargin", DIRECTION, separable.says)
        return Assessment((separable,), (), (why, *general), None, None)
    generic, spanning = _support_facts(support_report(x, solution=solution))
    if general:
        return Assessment((separable, generic, spanning), (), general, None, None)
    small = _small_step(x, training, rank, start, frame)
    facts = (separable, generic, spanning, small)
    claims, refusals = ([], []) if rank else _direction(training, solution, small)
    law_theorem = _law_theorem(training, rank)
    if not (generic.holds and spanning.holds):
        broken = generic if not generic.holds else spanning
        refusals.append(Refusal("ib.class_nonspan" if rank else "ib.logit_residual", LAW, broken.says))
    elif not small.holds:
        named = "ib.class_step" if rank and training.loss == "exponential" else law_theorem
        refusals.append(Refusal(named, LAW, small.says))
    else:
        limit = classification_limit(x, start, step=training.step, metric=training.metric, solution=solution)
        law = GaussianLaw(limit.offset, limit.factor)
        rate = _rate(x, training, solution) if rank else None
        claims += _law_claims(law_theorem, rank, rate)
        return Assessment(facts, tuple(claims), tuple(refusals), law, rate)
    return Assessment(facts, tuple(claims), tuple(refusals), None, None)


def _direction(training: Training, solution: MaxMargin, small: Fact) -> tuple[list[Claim], list[Refusal]]:
    """What is said of a point's direction; the law, where one is claimed, says more."""
    if training.loss != "exponential":
        why = "with bounds for finite steps it is derived for the exponential loss only"
        return [], [Refusal("ib.logit_maxmargin", DIRECTION, why)]
    if not small.holds:
        return [], [Refusal("ib.logit_maxmargin", DIRECTION, small.says)]
    return [
        Claim(
            "ib.logit_maxmargin",
            f"the direction tends to the maximum margin, {solution.margin:.6g}, as 1/log t",
        )
    ], []


def _law_theorem(training: Training, rank: int) -> str:
    if training.loss == "logistic":
        return "ib.class_logistic"  # a point is the law with S = 0
    return "ib.class_w2" if rank else "ib.logit_residual"


def _law_claims(theorem: str, rank: int, rate: Rate | None) -> Iterator[Claim]:
    flow = "derived for gradient flow; for descent with small steps it is checked, not proved"
    if rate is None:
        yield Claim(theorem, f"w_t - w_hat log t tends to a constant, {flow}")
        return
    yield Claim(theorem, f"mean - w_hat log t and factor converge, {flow}; the factor keeps what no row sees")
    yield Claim(
        "ib.class_overconfidence",
        "wherever x^T w_hat is not 0, predicted probabilities tend to 0 or 1 with training time",
    )
    derived = theorem if theorem == "ib.class_logistic" else "ib.class_rates"
    yield Claim(derived, f"the factor's exponent follows from the spectrum of A: {rate.factor:.6g}")


def _rate(x: np.ndarray, training: Training, solution: MaxMargin) -> Rate:
    found = classification_rates(x, factor_ratio=training.covariance_rate, metric=training.metric, solution=solution)
    return Rate("power of time", found.factor)


def _separable(x: np.ndarray, training: Training) -> tuple[Fact, MaxMargin | None]:
    try:
        found = max_margin(x, metric=training.metric)
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


def _small_step(x: np.ndarray, training: Training, rank: int, start: GaussianLaw, frame: Coordinates) -> Fact:
    """Is the larger of the steps of mean and factor below one that is known to be safe?"""
    rows, inner = frame.rows(x), frame.inner(start)
    step = training.step * (max(1.0, training.covariance_rate) if rank else 1.0)
    try:
        if training.loss == "logistic":
            limit, why = guaranteed_logistic_step(rows), "below which the expected loss falls every time"
        elif rank:
            limit, why = (
                guaranteed_law_step(rows, inner),
                "up to which the expected loss falls and the factor cannot grow",
            )
        else:
            limit, why = guaranteed_descent_step(rows, inner.mean), "up to which the loss falls every time"
    except (AssumptionViolated, InvalidInput) as error:
        return Fact("small step", Answer.CANNOT_BE_CHECKED, error.problem)
    said = f"step {step:.6g} against {limit:.6g}, {why}"
    # the threshold is rounded: a few (p + n) roundings of its factors, with or without the products by the metric's root
    if step <= limit * (1 - 1e-12 * max(x.shape)):
        return decided("small step", True, said)
    return Fact("small step", Answer.CANNOT_BE_CHECKED, f"{said}; nothing is known above it")


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
