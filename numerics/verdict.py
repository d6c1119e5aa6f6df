"""From claim to verdict: one procedure per claim, no tolerance chosen by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from flint import arb, ctx
from scipy.special import chdtrc

from .claims import (
    Agreement,
    Claim,
    Comparison,
    Coverage,
    Enclosures,
    EqualInLaw,
    Evidence,
    FloatArray,
    Formula,
    HighProbabilityBound,
    Identity,
    Inequality,
    Ladder,
    LimitWithRate,
    Ordering,
    Paired,
    Samples,
)
from .intervals import ALPHA, multiplier
from .laws import corrected, law_tests, planned_samples, quantiles

Ruling = Literal["supported", "refuted", "inconclusive"]
SEPARATION = 10.0  # a control must miss by ten times what the check resolves
DIGITS = 50


@dataclass(frozen=True)
class Outcome:
    """A ruling with what it rests on.

    `statistic` is the largest deviation in units of what is allowed (above 1 refutes); `power` says what the check could
    have seen; `series` holds the plotted numbers.
    """

    ruling: Ruling
    statistic: float
    power: str
    detail: str
    series: dict[str, Any] = field(default_factory=dict)


def worst(rulings: list[Ruling]) -> Ruling:
    """refuted over inconclusive over supported."""
    for ruling in ("refuted", "inconclusive"):
        if ruling in rulings:
            return ruling
    return "supported" if rulings else "inconclusive"


def judge(claim: Claim, evidence: Evidence) -> Outcome:
    """Rule on one claim from its evidence."""
    return PROCEDURES[type(claim)](claim, evidence)


def judge_formula(
    claim: Formula,
    predict: Callable[[Any], Any],
    rng: np.random.Generator,
    *,
    shipped_only: bool = False,
    known: dict[Any, list[Any]] | None = None,
) -> Outcome:
    """Random settings: the 50-digit value against the shipped function and against `predict`.

    `known` keeps settings, exact values and widths between a check and its controls, which see the same settings: a generator
    in the same state draws them.
    """
    known = {} if known is None else known
    exact_values = known.setdefault((claim.expression, claim.sample, claim.count), [])
    settings = known.setdefault((claim.sample, claim.count), [])
    allowances = known.setdefault((claim.width, claim.sample, claim.count), [])
    statistic, widest, sign_errors, values, vague = 0.0, 0.0, 0, 0, False
    worst_setting: Any = None
    errors: list[float] = []
    widths: list[float] = []
    for index in range(claim.count):
        if index == len(settings):
            settings.append(claim.sample(rng))
        setting = settings[index]
        candidates = [np.atleast_1d(np.asarray(claim.shipped(setting), dtype=np.float64)).ravel()]
        if not shipped_only:
            candidates.append(np.atleast_1d(np.asarray(claim.read(predict(setting)), dtype=np.float64)).ravel())
        if index == len(allowances):
            allowances.append(np.atleast_1d(np.asarray(claim.width(setting), dtype=np.float64)).ravel())
        width = allowances[index]
        if not (np.isfinite(width).all() and (width >= 0).all()):
            raise ValueError(f"the width of a formula must be finite and not negative, not {width.tolist()}")
        with ctx.workdps(DIGITS):
            if index == len(exact_values):
                found = claim.expression(setting)
                exact_values.append(list(found) if isinstance(found, list | tuple) else [found])
            exact = exact_values[index]
            width = np.broadcast_to(width, (len(exact),))
            for candidate in candidates:
                if candidate.shape != (len(exact),):
                    raise ValueError(f"the formula has {len(exact)} values and the function returned {candidate.shape}")
                for value, ball, allowed in zip(candidate, exact, width, strict=True):
                    error, radius, wrong_side = _signed_error(float(value), ball, claim.side)
                    vague |= radius > float(allowed) / SEPARATION and not wrong_side
                    if wrong_side or math.isnan(error) or (error and not allowed):
                        ratio = math.inf
                    else:
                        ratio = abs(error) / allowed if error else 0.0
                    errors.append(error)
                    widths.append(float(allowed))
                    values += 1
                    sign_errors += wrong_side
                    widest = max(widest, float(allowed))
                    if ratio > statistic:
                        statistic, worst_setting = ratio, setting
    # an exact value that is no sharper than what it is to judge, or a width that tells little, answers nothing
    open_question = vague or widest > claim.relative
    ruling: Ruling = "refuted" if statistic > 1 else "inconclusive" if open_question else "supported"
    detail = (
        f"{values} values, largest error {max(map(abs, errors)):.2e} relative, {statistic:.2g} of the derived width"
    )
    if sign_errors:
        detail += f", {sign_errors} on the unsafe side"
    if ruling == "refuted":
        detail += f"; worst at {worst_setting}"[:400]
    return Outcome(ruling, statistic, f"resolves {widest:.1e} relative", detail, {"error": errors, "allowed": widths})


def _signed_error(value: float, ball: Any, side: str) -> tuple[float, float, bool]:
    """(value - exact)/|exact|, its radius, and whether the value lies on the unsafe side (rigorously: by the ball's sign)."""

    if math.isinf(value) or math.isnan(value):
        same = math.isinf(value) and not ball.is_finite() and (ball > 0) == (value > 0)
        return (0.0, 0.0, False) if same else (math.nan, 0.0, True)
    difference = arb(value) - ball
    scale = abs(ball)
    relative = difference / scale if scale > 0 else difference
    error = float(relative.mid())
    unsafe = (side == "upper" and bool(difference < 0)) or (side == "lower" and bool(difference > 0))
    return error, float(relative.rad()), unsafe


def _enclosures(evidence: Evidence) -> Enclosures:
    assert isinstance(evidence, Enclosures)
    if evidence.low.size == 0 or not (evidence.low <= evidence.high).all():  # NaN fails the comparison
        raise ValueError("enclosures need at least one point, and numbers with low <= high")
    return evidence


def _identity(claim: Identity, evidence: Evidence) -> Outcome:
    found = _enclosures(evidence)
    excluded = (found.low > 0) | (found.high < 0)
    undecided = ~excluded & (found.high - found.low > found.width)
    ruling: Ruling = "refuted" if excluded.any() else "inconclusive" if undecided.any() else "supported"
    gap = float(np.max(np.where(excluded, np.minimum(abs(found.low), abs(found.high)), 0.0)))
    return Outcome(
        ruling,
        math.inf if excluded.any() else 0.0,
        f"enclosures no wider than {float((found.high - found.low).max()):.1e}",
        f"{found.low.size} points, {int(excluded.sum())} exclude equality" + (f" by up to {gap:.3g}" if gap else ""),
        {"difference": ((found.low + found.high) / 2).tolist()},
    )


def _inequality(claim: Inequality, evidence: Evidence) -> Outcome:
    found = _enclosures(evidence)
    excluded = found.high < 0
    undecided = ~excluded & (found.low < 0) & (found.high - found.low > found.width)
    ruling: Ruling = "refuted" if excluded.any() else "inconclusive" if undecided.any() else "supported"
    return Outcome(
        ruling,
        math.inf if excluded.any() else 0.0,
        f"enclosures no wider than {float((found.high - found.low).max()):.1e}",
        f"{found.low.size} points, {int(excluded.sum())} violate it, smallest slack {float(found.low.min()):.3g}",
        {"slack": ((found.low + found.high) / 2).tolist()},
    )


def _agreement(claim: Agreement, evidence: Evidence) -> Outcome:
    assert isinstance(evidence, Comparison)
    observed, predicted, bound, scale = np.broadcast_arrays(
        *(
            np.asarray(x, dtype=np.float64)
            for x in (evidence.observed, evidence.predicted, evidence.bound, evidence.scale)
        )
    )
    if observed.size == 0 or not (np.isfinite(bound).all() and (bound >= 0).all()):
        raise ValueError("an agreement needs at least one value and finite, non-negative bounds")
    difference = np.abs(observed - predicted)
    difference = np.where(np.isnan(difference), np.inf, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(bound > 0, difference / bound, np.where(difference > 0, np.inf, 0.0))
        relative = np.where(scale > 0, bound / scale, np.where(bound > 0, np.inf, 0.0))
    statistic, resolution = float(ratio.max()), float(relative.max())
    ruling: Ruling = "refuted" if statistic > 1 else "inconclusive" if resolution > claim.relative else "supported"
    detail = f"{observed.size} numbers, largest difference {float(difference.max()):.2e}, {statistic:.2g} of the {claim.because} bound"
    return Outcome(
        ruling,
        statistic,
        f"resolves {resolution:.1e} relative",
        detail,
        {
            "observed": observed.ravel().tolist(),
            "predicted": predicted.ravel().tolist(),
            "bound": bound.ravel().tolist(),
        },
    )


def coverage_power(trials: int, delta: float) -> float:
    """Probability that `trials` samples refute a bound that really fails with probability 2 delta, at level alpha."""
    from scipy.stats import binom  # takes half a second to import

    threshold = int(binom.isf(ALPHA, trials, delta)) + 1
    return float(binom.sf(threshold - 1, trials, min(1.0, 2 * delta)))


def _high_probability(claim: HighProbabilityBound, evidence: Evidence) -> Outcome:
    assert isinstance(evidence, Coverage)
    numbers = (evidence.delta, evidence.moment, evidence.constant, evidence.failure)
    if not all(x is None or x >= 0 for x in numbers) or not 0 < evidence.delta < 1:  # NaN fails the comparison
        raise ValueError(f"a coverage needs a delta in (0, 1) and numbers that are not negative, not {numbers}")
    parts: list[str] = []
    rulings: list[Ruling] = []
    statistic = 0.0
    series: dict[str, Any] = {"delta": evidence.delta}
    power = "exact: no sampling error"
    if evidence.moment is not None and evidence.constant is not None:
        excess = evidence.moment / evidence.constant
        statistic = max(statistic, excess)
        rulings.append("refuted" if excess > 1 + evidence.rounding else "supported")
        parts.append(f"moment {evidence.moment:.12g} against the constant {evidence.constant:.12g}")
        series |= {"moment": evidence.moment, "constant": evidence.constant}
    if evidence.failure is not None:
        statistic = max(statistic, evidence.failure / evidence.delta)
        rulings.append("refuted" if evidence.failure > evidence.delta * (1 + evidence.rounding) else "supported")
        parts.append(f"failure probability {evidence.failure:.12g} against delta {evidence.delta:g}")
        series["failure"] = evidence.failure
    if evidence.violations is not None and evidence.trials is not None:
        from scipy.stats import binom

        tail = float(binom.sf(evidence.violations - 1, evidence.trials, evidence.delta))
        found = coverage_power(evidence.trials, evidence.delta)
        power = f"power {found:.3f} against 2 delta"
        statistic = max(statistic, evidence.violations / (evidence.trials * evidence.delta))
        rulings.append("refuted" if tail < ALPHA else "supported" if found >= claim.power else "inconclusive")
        parts.append(f"{evidence.violations} violations in {evidence.trials} samples at delta {evidence.delta:g}")
        series |= {"failure": evidence.violations / evidence.trials, "trials": evidence.trials}
    if evidence.note:
        parts.append(evidence.note)
    return Outcome(worst(rulings), statistic, power, "; ".join(parts), series)


def _limit(claim: LimitWithRate, evidence: Evidence) -> Outcome:
    assert isinstance(evidence, Ladder)
    order = np.argsort(evidence.size)
    size, bias, error = (
        np.asarray(x, dtype=np.float64)[order] for x in (evidence.size, evidence.discrepancy, evidence.standard_error)
    )
    if len(size) < 3 or not np.isfinite(bias).all() or not (error > 0).all():
        raise ValueError("a limit needs at least three sizes, finite discrepancies and positive standard errors")
    terms = 3 if len(size) > 3 else 2
    design = np.stack([size ** (-claim.order * k) for k in range(terms)], axis=1)
    z = multiplier(2 if claim.rate else 1)
    end, end_error = _weighted_constant(design, bias, error)
    half = z * end_error
    misfit = _misfit(design, bias, error)
    rulings: list[Ruling] = [
        "refuted" if abs(end) > half else "inconclusive" if half > claim.resolution else "supported"
    ]
    statistic = abs(end) / half
    detail = f"end point {end:+.4f} +- {half:.4f}"
    if misfit < ALPHA:
        rulings.append("inconclusive")
        detail += (
            f" (the powers {', '.join(f'n^-{claim.order * k:g}' for k in range(terms))} do not fit: p = {misfit:.1e})"
        )
    power = f"resolves an end point of {half:.2g}"
    series: dict[str, Any] = {
        "size": size.tolist(),
        "discrepancy": bias.tolist(),
        "error": (z * error).tolist(),
        "end": end,
        "end_half": half,
    }
    if claim.rate is not None:
        rated = bias if evidence.correction is None else np.asarray(evidence.correction, dtype=np.float64)[order]
        rated_error = (
            error
            if evidence.correction_error is None
            else np.asarray(evidence.correction_error, dtype=np.float64)[order]
        )
        slope, slope_half, dropped = _slope(size, rated, rated_error, claim.top, z)
        low, high = claim.rate
        distance = max(low - slope, slope - high, 0.0) / slope_half
        if math.isfinite(slope):
            statistic = max(statistic, distance)
            # an interval wider than the step from one power to the next tells no rate from another
            rulings.append("refuted" if distance > 1 else "inconclusive" if slope_half > claim.order else "supported")
        else:
            rulings.append("inconclusive")
        detail += (
            f"; slope {slope:+.3f} +- {slope_half:.3f} over the top {claim.top} sizes, declared [{low:g}, {high:g}]"
        )
        if dropped:
            detail += f" ({dropped} size(s) within three standard errors of 0 left out)"
        power += f" and a slope to {slope_half:.2g}"
        series |= {
            "correction": rated.tolist(),
            "correction_error": (z * rated_error).tolist(),
            "slope": slope,
            "slope_half": slope_half,
            "band": [low, high],
        }
    return Outcome(worst(rulings), statistic, power, detail, series)


def _ordering(claim: Ordering, evidence: Evidence) -> Outcome:
    assert isinstance(evidence, Paired)
    differences = np.atleast_2d(np.asarray(evidence.differences, dtype=np.float64))
    orders, replicates = differences.shape
    if orders < 1 or replicates < 3 or not np.isfinite(differences).all():
        raise ValueError("an ordering needs at least three finite paired differences")
    mean = differences.mean(axis=1)
    half = multiplier(orders, degrees=replicates - 1) * differences.std(axis=1, ddof=1) / math.sqrt(replicates)
    wrong, open_question = mean + half < 0, (mean - half <= 0) & (mean + half >= 0)
    ruling: Ruling = "refuted" if wrong.any() else "inconclusive" if open_question.any() else "supported"
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(half > 0, -mean / half, np.where(mean < 0, np.inf, -np.inf))
    detail = ", ".join(f"{m:+.3g} +- {h:.2g}" for m, h in zip(mean, half, strict=True))
    return Outcome(
        ruling,
        float(max(0.0, distance.max())),
        f"resolves a mean difference of {float(half.max()):.2g} ({replicates} replicates)",
        f"mean paired difference {detail}",
        {"mean": mean.tolist(), "half": half.tolist(), "differences": differences.tolist()},
    )


def _equal_in_law(claim: EqualInLaw, evidence: Evidence) -> Outcome:
    assert isinstance(evidence, Samples)
    tests = law_tests(evidence)
    names, p = [test.name for test in tests], corrected([test.p for test in tests])
    samples, wanted = len(evidence.observed), planned_samples(claim.distance, claim.power, len(tests))
    rejected = [name for name, value in zip(names, p, strict=True) if value < ALPHA]
    ruling: Ruling = "refuted" if rejected else "inconclusive" if samples < wanted else "supported"
    least = min(p)
    detail = f"{len(tests)} tests on {samples} draws, least p-value after Holm's correction {least:.2g}"
    if rejected:
        detail += f"; rejected: {', '.join(rejected)}"[:300]
    return Outcome(
        ruling,
        math.log(least) / math.log(ALPHA) if least > 0 else math.inf,
        f"finds a Kolmogorov distance of {claim.distance:g} with probability {claim.power:g} from {wanted} draws",
        detail,
        {"tests": names, "p": p, "columns": list(evidence.names), **quantiles(evidence)},
    )


def _weighted_constant(design: FloatArray, value: FloatArray, error: FloatArray) -> tuple[float, float]:
    """Constant term of a weighted least-squares fit with known standard errors, and its standard error."""
    scaled = design / error[:, None]
    inverse = np.linalg.pinv(scaled)
    return float((inverse @ (value / error))[0]), float(np.sqrt((inverse**2).sum(axis=1))[0])


def _misfit(design: FloatArray, value: FloatArray, error: FloatArray) -> float:
    """p-value of the fit: chi-square of its residuals on the sizes left over; 1 when none are."""
    freedom = len(value) - design.shape[1]
    if freedom <= 0:
        return 1.0
    scaled, target = design / error[:, None], value / error
    residual = target - scaled @ (np.linalg.pinv(scaled) @ target)
    return float(chdtrc(freedom, residual @ residual))


def _slope(size: FloatArray, value: FloatArray, error: FloatArray, top: int, z: float) -> tuple[float, float, int]:
    """Slope of log|value| on log size over the largest sizes, its half-width, and how many sizes carried no signal."""
    size, value, error = size[-top:], value[-top:], error[-top:]
    keep = np.abs(value) > 3 * error
    dropped = int((~keep).sum())
    if keep.sum() < 2:
        return math.nan, math.inf, dropped
    x, y, e = np.log(size[keep]), np.log(np.abs(value[keep])), error[keep] / np.abs(value[keep])
    weight = 1 / e**2
    centre = (weight * x).sum() / weight.sum()
    spread = (weight * (x - centre) ** 2).sum()
    return float((weight * (x - centre) * y).sum() / spread), float(z / math.sqrt(spread)), dropped


PROCEDURES: dict[type, Callable[[Any, Evidence], Outcome]] = {
    Identity: _identity,
    Inequality: _inequality,
    Agreement: _agreement,
    HighProbabilityBound: _high_probability,
    LimitWithRate: _limit,
    Ordering: _ordering,
    EqualInLaw: _equal_in_law,
}
