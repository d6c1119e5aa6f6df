"""Scaling laws of predictive uncertainty: the statements. p features, N samples, noise variance s^2; nats."""

from __future__ import annotations

from typing import Any

from ..statement import Assumption, Kind, Source, Statement


def _enough_samples(setting: Any) -> bool:
    return bool(setting.samples > setting.features + 1)


GAUSSIAN_DESIGN = Assumption(
    "Gaussian design", "The N inputs and the test input are independent draws from N(0, Sigma), Sigma of full rank p."
)
FLAT_PRIOR = Assumption(
    "flat prior", "The prior over the weights is flat, so the posterior covariance is s^2 (X^T X)^{-1}."
)
KNOWN_NOISE = Assumption("known noise", "The labels are x^T w plus N(0, s^2) with s^2 known.")
ENOUGH_SAMPLES = Assumption(
    "N > p + 1", "More samples than features plus one; the epistemic uncertainty needs only N >= p.", _enough_samples
)

BLR_GAUSSIAN_DESIGN = Statement(
    key="us.blr_gaussian_design",
    title="Expected uncertainty of Bayesian linear regression on a Gaussian design",
    kind=Kind.EXPECTATION,
    text="With the leverage h = x^T (X^T X)^{-1} x of a new input, the variance that the prediction owes to the weights is s^2 h "
    "and its epistemic uncertainty, the mutual information of weights and label, is EU = ln(1 + h)/2. Whatever Sigma, "
    "1/(1 + h) has the law Beta((N-p+1)/2, p/2), hence E h = p/(N-p-1) for N > p+1 and "
    "E EU = [psi((N+1)/2) - psi((N-p+1)/2)]/2 for N >= p, which is p/(2N) to leading order in 1/N.",
    latex=r"\mathbb{E}\, h = \frac{p}{N - p - 1}, \qquad "
    r"\mathbb{E}\, \tfrac12 \ln(1 + h) = \tfrac12 \left[\psi\!\left(\tfrac{N+1}{2}\right) - \psi\!\left(\tfrac{N-p+1}{2}\right)\right]",
    source=(
        Source("anderson2003", "", "Hotelling's T^2 law, of which the leverage is a case", "standard"),
        Source("here", "", "the two expectations and their stable evaluation", "derived"),
    ),
    assumptions=(GAUSSIAN_DESIGN, FLAT_PRIOR, KNOWN_NOISE, ENOUGH_SAMPLES),
    function="nonvacuous.numerics.scaling_laws.gaussian_design.expected_epistemic_uncertainty",
)

STATEMENTS = (BLR_GAUSSIAN_DESIGN,)
