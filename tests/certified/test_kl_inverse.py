"""The float64 kl inverse against ball arithmetic: never on the wrong side, and no wider than derived."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hard_inputs import hard_inputs
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.numerics.certified import (
    KlInverseParts,
    binary_kl,
    kl_lower,
    kl_lower_parts,
    kl_upper,
    kl_upper_derivatives,
    kl_upper_parts,
)
from nonvacuous.numerics.certified.excess import FULL, HALF, ROUGH
from nonvacuous.numerics.certified.kl_newton import COMPLEMENT_ULPS, COMPLEMENT_ULPS_PER_V, GAP_ULPS
from nonvacuous.theory.balls import KlInverseBall, binary_kl_ball, kl_lower_ball, kl_upper_ball
from nonvacuous.theory.errors import InvalidInput

ULP = 2.0**-52
SUBNORMAL = 2.0**-1071  # eight of the smallest steps, for results that underflow

probabilities = st.one_of(
    st.floats(0, 1),
    st.floats(-300, 0).map(lambda e: 10.0**e),
    st.integers(1, 53).map(lambda k: 1 - 2.0**-k),
)
# Positive ones from 1e-300 on: below 2^-1010 the divergence is raised to that floor, sound but wider than an ulp.
divergences = st.one_of(st.floats(-300, 2.5).map(lambda e: 10.0**e), st.floats(1e-300, 50), st.just(0.0))


def widths(q: float, qc: float, exact: KlInverseBall) -> tuple[float, float, float, float]:
    """How far outward p, 1-p, gap and ln(1-p) of the upper inverse may lie: error plus widening, each at most as derived."""
    p, complement, gap, log_complement = (float(ball.mid()) for ball in vars(exact).values())
    gap_width = 2 * GAP_ULPS * ULP * gap + SUBNORMAL
    v = math.log(qc) - log_complement if qc and math.isfinite(log_complement) else math.inf
    decay = 2 * (COMPLEMENT_ULPS + COMPLEMENT_ULPS_PER_V * v) * ULP * complement if complement else 0.0
    # Below v = 1.8 the complement may be the difference (1-q) - gap, two roundings downwards.
    complement_width = (max(decay, gap_width + 2 * ULP * qc) if v < 1.8 else decay) + SUBNORMAL
    if q == 0 or qc == 0:
        complement_width = max(complement_width, 6 * ULP * complement + SUBNORMAL)
    p_width = (gap_width if q < 0.5 else complement_width) + ULP * p
    if p < 0.49:
        log_width = p_width / (1 - p) + 6 * ULP * abs(log_complement)
    else:
        relative = complement_width / complement if complement > 1e-290 else 0.0
        log_width = (relative + 12 * ULP * abs(log_complement)) if math.isfinite(log_complement) else math.inf
    return p_width, complement_width, gap_width, log_width + SUBNORMAL


def check(parts: KlInverseParts, exact: KlInverseBall, signs: tuple[int, ...], allowed: tuple[float, ...]) -> None:
    """Each field on its safe side (`sign` says which) of the enclosure, and no farther from it than allowed."""
    for name, sign, width in zip(KlInverseParts._fields, signs, allowed, strict=True):
        value, ball = float(getattr(parts, name)), getattr(exact, name)
        if math.isinf(value):
            # ln(1-p) = -inf from below is always true; it is no claim once 1-p or its logarithm is out of range.
            assert sign * value > 0
            assert not ball.is_finite() or abs(ball) > 1e308
            continue
        # A float64 within 60 digits of the exact value is that value, as in ln(1-p) = -c at q = 0 (or 1, for 1 - exp(-10^6)).
        assert not (arb(value) - ball) * sign < 0, f"{name} is on the unsafe side"
        assert not (arb(value) - ball) * sign > width, f"{name} is too loose"


def check_upper(parts: KlInverseParts, q: float, qc: float, c: float) -> None:
    exact = kl_upper_ball(q, c, q_complement=qc, digits=60)
    check(parts, exact, (1, -1, 1, -1), widths(q, qc, exact))


def check_lower(parts: KlInverseParts, q: float, qc: float, c: float) -> None:
    exact = kl_lower_ball(q, c, q_complement=qc, digits=60)
    mirror = KlInverseBall(exact.complement, exact.p, -exact.gap, exact.p.log())
    upper, upper_complement, gap, _ = widths(qc, q, mirror)
    # ln(1-p) comes from p where p < 1/2 and from 1-p otherwise.
    p, complement, log = (float(ball.mid()) for ball in (exact.p, exact.complement, exact.log_complement))
    relative = upper_complement / complement if p < 0.5 else upper / complement if complement else 0.0
    log_width = relative + 6 * ULP * abs(log) + SUBNORMAL
    check(parts, exact, (-1, 1, -1, 1), (upper_complement, upper, gap, log_width))


@pytest.mark.parametrize(
    ("parts", "check_one"), [(kl_upper_parts, check_upper), (kl_lower_parts, check_lower)], ids=["upper", "lower"]
)
def test_safe_side_and_derived_width_on_hard_inputs(
    parts: Callable[..., KlInverseParts], check_one: Callable[..., None]
) -> None:
    q, qc, c = hard_inputs(4000, np.random.default_rng(20))
    found = parts(q, c, q_complement=qc)
    with ctx.workprec(240):
        for i in range(q.size):
            check_one(KlInverseParts(*(field[i] for field in found)), float(q[i]), float(qc[i]), float(c[i]))


@pytest.mark.parametrize("q", [0.0, 5e-324, 1e-300, 1e-20, 0.3, 0.5, 0.75, 1 - 2.0**-53, 1.0])
@pytest.mark.parametrize("c", [1e-300, 1e-100, 1e-17, 0.5, 700.0, 1e6, 1e300])
def test_safe_side_at_extreme_divergences(q: float, c: float) -> None:
    upper, lower = kl_upper_parts(q, c), kl_lower_parts(q, c)
    with ctx.workprec(240):
        if c < 1e100:
            check_upper(upper, q, 1 - q, c)
            check_lower(lower, q, 1 - q, c)
    assert 0 <= lower.p <= q <= upper.p <= 1
    assert lower.gap <= 0 <= upper.gap


def test_a_few_ulps_would_be_unsound() -> None:
    """Control: undo the widening, and the same check finds values below the exact ones."""
    q, qc, c = hard_inputs(1500, np.random.default_rng(21))
    keep = (q > 1e-300) & (qc > 1e-300)
    q, qc, c = q[keep], qc[keep], c[keep]
    parts = kl_upper_parts(q, c, q_complement=qc)
    gap = parts.gap / (1 + GAP_ULPS * ULP)
    complement = parts.complement * (1 + 3 * ULP)
    unsafe_gap = unsafe_complement = 0
    with ctx.workprec(240):
        for i in range(q.size):
            exact = kl_upper_ball(float(q[i]), float(c[i]), q_complement=float(qc[i]))
            unsafe_gap += bool(arb(float(gap[i])) < exact.gap)
            unsafe_complement += bool(arb(float(complement[i])) > exact.complement)
    assert unsafe_gap > 0.1 * q.size
    assert unsafe_complement > 0


def test_elementary_functions_are_within_the_trusted_ulp() -> None:
    """The derivation trusts exp, expm1, log, log1p of this machine's NumPy and math to one ulp."""
    rng = np.random.default_rng(22)
    positive = 10 ** rng.uniform(-15, 2.5, 1000)
    for array_function, scalar_function, x in (
        (np.exp, math.exp, -positive),
        (np.expm1, math.expm1, -positive),
        (np.log, math.log, positive),
        (np.log1p, math.log1p, positive),
        (np.log1p, math.log1p, -rng.random(1000)),
    ):
        values = array_function(x)
        with ctx.workprec(240):
            for value, point in zip(values, x, strict=True):
                exact = getattr(arb(float(point)), scalar_function.__name__)()
                spacing = float(np.spacing(abs(float(exact.mid()))))
                assert abs(arb(float(value)) - exact) <= spacing
                assert abs(arb(scalar_function(float(point))) - exact) <= spacing


@pytest.mark.parametrize(("series", "error"), [(ROUGH, 2e-5), (HALF, 4e-9), (FULL, 6e-17)])
def test_series_coefficients(series: tuple[float, ...], error: float) -> None:
    """Each polynomial approximates S(z) = sum z^k/(2k+3) on [0, 1/4]: the fitted ones to their degree, the last to rounding."""
    with ctx.workprec(200):
        for i in range(101):
            z = arb(i) / 400
            exact = sum((z**k / (2 * k + 3) for k in range(60)), arb(0))  # the rest is below 1e-37
            value = arb(0)
            for coefficient in series:
                value = value * z + arb(coefficient)
            assert abs(value - exact) <= error * exact


@given(q=probabilities, c=divergences)
def test_scalars_and_arrays_agree(q: float, c: float) -> None:
    """Same algorithm on both operands; the elementary functions may differ by their ulp, inside the widths."""
    one, many = kl_upper_parts(q, c), kl_upper_parts(np.array([q, q]), np.array([[c]]))
    assert many.p.shape == (1, 2)
    assert isinstance(one.p, np.float64)
    assert kl_upper(q, c) == one.p
    if c > 0:
        with ctx.workprec(240):
            check_upper(one, q, 1 - q, c)
            check_upper(KlInverseParts(*(field[0, 1] for field in many)), q, 1 - q, c)


@given(q=probabilities, c=divergences)
def test_lower_is_the_mirror_image_of_upper(q: float, c: float) -> None:
    lower, upper = kl_lower_parts(q, c), kl_upper_parts(1 - q if q > 0.5 else 1.0 - q, c, q_complement=q)
    assert lower.p == upper.complement
    assert lower.complement == upper.p
    assert lower.gap == -upper.gap
    assert kl_lower(q, c) == lower.p
    assert lower.p <= q <= kl_upper(q, c)


@given(q=probabilities, c=divergences, factor=st.floats(1, 4), step=st.floats(0, 1))
def test_monotone_and_concave(q: float, c: float, factor: float, step: float) -> None:
    """UP increases in c and in q and is concave in c; up to the 9 ulp by which two returned values may be rounded apart."""
    slack = 1 + 9 * ULP
    low, high = float(kl_upper(q, c)), float(kl_upper(q, factor * c))
    assert low <= high * slack
    assert low <= float(kl_upper(q + step * (1 - q), c)) * slack
    middle = float(kl_upper(q, (c + factor * c) / 2))
    assert (low + high) / 2 <= middle * (1 + 10 * ULP)


@given(q=probabilities, c=divergences)
def test_order_of_relaxations(q: float, c: float) -> None:
    """UP <= q + c + sqrt(c^2 + 2qc) <= q + sqrt(2qc) + 2c and UP <= q + sqrt(c/2); each right side has at most 5 roundings,
    and UP is rounded up by 9 ulp at most."""
    upper = float(kl_upper(q, c))
    quadratic = q + c + math.sqrt(c) * math.sqrt(c + 2 * q)
    slack = 1 + 12 * ULP
    assert upper <= quadratic * slack + SUBNORMAL
    assert quadratic <= (q + math.sqrt(2 * q) * math.sqrt(c) + 2 * c) * slack
    assert upper <= (q + math.sqrt(c / 2)) * slack
    lower = float(kl_lower(q, c))
    assert lower >= q - math.sqrt(c / 2) - 12 * ULP
    assert lower >= q - math.sqrt(2 * q) * math.sqrt(c) - 12 * ULP * q


@given(q=probabilities, c=divergences)
def test_divergence_at_the_inverse_is_c(q: float, c: float) -> None:
    """kl(q||UP) >= c in exact arithmetic, for the float64 that is returned."""
    upper = kl_upper_parts(q, c)
    if 0 < upper.p < 0.5:
        assert not binary_kl_ball(q, float(upper.p)) < arb(c)
    elif upper.complement > 0:
        p = Fraction(float(upper.complement))
        assert not binary_kl_ball(Fraction(q), 1 - p) < arb(c)


def test_worked_example() -> None:
    c = 0.02714275709360500482887944
    assert kl_upper(0.05, c) == pytest.approx(0.1172624272441208664, rel=1e-15, abs=0)
    derivatives = kl_upper_derivatives(0.05, c)
    assert derivatives.dq == pytest.approx(1.424777519800282877, rel=1e-14, abs=0)
    assert derivatives.dc == pytest.approx(1.538926777430347384, rel=1e-14, abs=0)


# --- pitfalls seen in published code (theory document, section D) ---------------------------------------------------


def bisection_midpoint(q: float, c: float) -> float:
    low, high = q, 1 - 1e-10
    while high - low > 1e-9:
        middle = (low + high) / 2
        if q * math.log(q / middle) + (1 - q) * math.log((1 - q) / (1 - middle)) > c:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def test_d21_last_midpoint_of_a_bisection_is_unsafe_and_ours_is_not() -> None:
    rng = np.random.default_rng(23)
    q, c = rng.uniform(0.01, 0.5, 300), rng.uniform(1e-3, 0.3, 300)
    ours = kl_upper(q, c)
    below = 0
    for i in range(q.size):
        exact = kl_upper_ball(float(q[i]), float(c[i])).p
        below += bool(arb(bisection_midpoint(float(q[i]), float(c[i]))) < exact)
        assert arb(float(ours[i])) >= exact
    assert 75 <= below <= 225  # half of them; 8.6 standard deviations to either side


@pytest.mark.parametrize("distance", [1e-11, 1e-13, 2.0**-53])
def test_d22_risk_next_to_one_never_gives_zero(distance: float) -> None:
    q = 1 - distance
    assert q <= kl_upper(q, 0.01) <= 1
    assert kl_upper_parts(q, 1e-9, q_complement=1 - q).complement > 0 or distance < 1e-9
    assert bisection_midpoint(q, 0.01) < q


@pytest.mark.parametrize("q", [1e-12, 1e-40, 1e-300])
def test_d23_lower_inverse_has_no_floor(q: float) -> None:
    lower, exact = kl_lower(q, q / 10), kl_lower_ball(q, q / 10).p
    assert 0 < lower < q
    assert arb(float(lower)) <= exact
    assert arb(float(lower)) >= exact * (1 - 40 * ULP)


@pytest.mark.parametrize("c", [1e-300, 1e-18, 1e-12, 0.1, 5.0, 800.0])
def test_d24_zero_risk_is_the_closed_form_at_every_scale(c: float) -> None:
    exact = -(-arb(c)).expm1()
    assert arb(float(kl_upper(0.0, c))) >= exact or kl_upper(0.0, c) == 1
    assert arb(float(kl_upper(0.0, c))) <= exact * (1 + 7 * ULP) + SUBNORMAL
    assert kl_lower(0.0, c) == 0


def test_d25_derivatives_are_neither_clamped_nor_lost() -> None:
    derivatives = kl_upper_derivatives(0.9, 3.0)  # p > 0.99
    parts = kl_upper_parts(0.9, 3.0)
    assert parts.p > 0.999
    assert derivatives.dc > 0
    # dp/dc = p (1-p)/(p-q), each factor within its width (v < 40 here)
    assert derivatives.dc == pytest.approx(float(derivative_ball(0.9, 3.0, "c")), rel=200 * ULP, abs=0)


def derivative_ball(q: float, c: float, by: str) -> arb:
    """Central difference of the 120-digit inverse over a relative step 1e-30: truncation of order 1e-60."""
    dq, dc = (Fraction(q) / 10**30, Fraction(0)) if by == "q" else (Fraction(0), Fraction(c) / 10**30)
    with ctx.workprec(500):
        up = kl_upper_ball(Fraction(q) + dq, Fraction(c) + dc, digits=120).gap
        down = kl_upper_ball(Fraction(q) - dq, Fraction(c) - dc, digits=120).gap
        step = 2 * (dq + dc)
        difference = (up - down) * step.denominator / step.numerator
        return difference + 1 if by == "q" else difference


@pytest.mark.parametrize(
    ("q", "c"),
    [
        (0.3, 1e-14),
        (0.3, 1e-3),
        (0.05, 0.03),
        (1e-8, 1e-3),
        (1e-3, 1e-8),
        (0.5, 1.0),
        (0.9, 1.0),
        (0.999, 0.01),
        (0.2, 20.0),
    ],
)
def test_derivatives_against_high_precision_differences(q: float, c: float) -> None:
    """p and p-q are within 9 ulp, 1-p within (2 (7 + 1.75 v) + 12) ulp with v < 30: dc within 140 ulp, and dq = dc * sum of logs."""
    derivatives = kl_upper_derivatives(q, c)
    assert derivatives.dc == pytest.approx(float(derivative_ball(q, c, "c")), rel=200 * ULP, abs=0)
    assert derivatives.dq == pytest.approx(float(derivative_ball(q, c, "q")), rel=300 * ULP, abs=0)
    if (q, c) == (0.3, 1e-14):
        assert derivatives.dc == pytest.approx(3240370.6158706, rel=1e-13, abs=0)


def test_derivatives_at_the_edges() -> None:
    q = np.array([0.0, 0.0, 1.0, 1.0, 0.3, 0.3, 0.3])
    c = np.array([1.0, 0.0, 1.0, 0.0, 0.0, np.inf, 1e5])
    derivatives = kl_upper_derivatives(q, c)
    np.testing.assert_array_equal(derivatives.dq, [np.inf, 1, 0, 1, 1, 0, 0])
    np.testing.assert_allclose(derivatives.dc, [math.exp(-1), 1, 0, 0, np.inf, 0, 0], rtol=8 * ULP)


def test_edges() -> None:
    assert kl_upper(0.3, math.inf) == 1
    assert kl_lower(0.3, math.inf) == 0
    assert kl_upper(0.3, 0.0) == 0.3
    assert kl_lower(0.3, 0.0) == 0.3
    assert kl_upper(1.0, 0.2) == 1
    assert kl_lower(0.0, 0.2) == 0
    assert kl_upper_parts(0.0, math.inf).log_complement == -math.inf
    assert kl_upper(np.zeros((0, 3)), 1.0).shape == (0, 3)
    assert kl_upper(np.full((2, 1), 0.2), np.full(3, 0.1)).shape == (2, 3)
    assert kl_upper(np.full(20_000, 0.2), 0.1).tolist() == [kl_upper(np.array([0.2]), 0.1)[0]] * 20_000


@pytest.mark.parametrize(
    ("q", "c", "complement"),
    [
        (1.5, 0.1, None),
        (-0.1, 0.1, None),
        (math.nan, 0.1, None),
        (0.1, -1.0, None),
        (0.1, math.nan, None),
        ("a", 0.1, None),
        (0.2, 0.1, 0.9),
        (1e-20, 0.1, 1 - 1e-10),
        ([0.1, 0.2], [0.1, 0.2, 0.3], None),
        ([0.1, 0.2], 0.1, [0.9, 0.8, 0.7]),
    ],
)
@pytest.mark.parametrize("function", [kl_upper, kl_lower, kl_upper_parts, kl_lower_parts, kl_upper_derivatives])
def test_bad_input(function: Callable[..., object], q: object, c: object, complement: object) -> None:
    with pytest.raises(InvalidInput):
        function(q, c, q_complement=complement)


def test_binary_kl_within_nine_ulps() -> None:
    rng = np.random.default_rng(24)
    q = np.concatenate([10 ** rng.uniform(-300, 0, 500), rng.random(500)])
    other = np.concatenate([10 ** rng.uniform(-300, 0, 500), rng.random(500)])
    p = np.where(rng.random(1000) < 0.5, np.minimum(q * (1 + 10 ** rng.uniform(-15, 0, 1000)), 1), other)
    for values in (binary_kl(q, p), binary_kl(1 - q, 1 - p, q_complement=q, p_complement=p)):
        for x, y, value in zip(q, p, values, strict=True):
            exact = binary_kl_ball(float(x), float(y))
            if exact.is_finite() and exact > 1e-290:
                assert abs(arb(float(value)) - exact) <= exact * (9 * ULP)


def test_binary_kl_edges() -> None:
    found = binary_kl([0, 1, 0, 1, 0.3, 0.3, 0, 0.25], [0, 1, 1, 0, 0, 1, 0.5, 0.25])
    np.testing.assert_allclose(found, [0, 0, np.inf, np.inf, np.inf, np.inf, math.log(2), 0], rtol=9 * ULP)
    with pytest.raises(InvalidInput):
        binary_kl(0.1, [0.1, 1.2])
    with pytest.raises(InvalidInput):
        binary_kl([0.1, 0.2, 0.3], [0.1, 0.2])
