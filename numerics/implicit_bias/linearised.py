"""The law that variational training without a divergence gives a network's linearisation, and how far it is from a posterior.

Linearised at the prior's mean, a network is f(x; mu_0 + d) = f_0(x) + J(x) d with J its Jacobian: a linear model in d with the prior
N(0, S_0 S_0^T) and targets y - f_0(X), so that `function_space` gives its trained law,

    mean f_0 + G (y - f_0(X)),    covariance K - G K(X,.) - K(.,X) G^T + G K(X,X) G^T,    G = Th(.,X) Th(X,X)^+,

Th = J J^T and K = J S_0 S_0^T J^T. The law of infinitely wide networks over their initialisations has the same form, with the
NNGP kernel for K and zero for f_0 (`wide_networks.ensemble.ensemble_law`). Both exceed the covariance of the noise-free Gaussian process
with kernel K by D K(X,X)^+ D^T, D = K(.,X) - G K(X,X), which vanishes for all data if K is a multiple of Th, and only then if
Th(x, x') is nowhere 0.

Rows are examples, or pairs of an example and an output; N training rows, S test rows, P weights, R columns. Weights that move at different
rates enter with J and S_0 in coordinates of equal rates: column i of J times the root of rate i, row i of S_0 divided by it. Source: the
linearisation is that of Lee et al. 2019; derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .function_space import PredictiveLaw, predictive_law
from .gaussian_law import GaussianLaw
from .least_squares import design_matrix, row_space


def linearised_law(
    jacobian: Any, outputs: Any, targets: Any, *, test_jacobian: Any, test_outputs: Any, factor: Any
) -> PredictiveLaw:
    """Outputs at the test rows after training the linearisation to the end.

    jacobian (N, P), outputs f_0(X) (N,), targets y (N,); test_jacobian (S, P), test_outputs (S,); factor S_0 (P, R). No kernel matrix is
    formed or inverted. Raises `InvalidInput`.
    """
    x, f, y = design_matrix(jacobian), finite("outputs", outputs, ndim=1), finite("targets", targets, ndim=1)
    tests, f_test = design_matrix(test_jacobian), finite("test_outputs", test_outputs, ndim=1)
    if f.shape != y.shape or len(f) != len(x) or len(f_test) != len(tests):
        raise InvalidInput(
            f"jacobian has {len(x)} rows, outputs {f.shape}, targets {y.shape}; test_jacobian {len(tests)} rows, test_outputs {f_test.shape}.",
            "Pass one output and one target for each row of the Jacobian, and one output for each test row.",
        )
    spread = finite("factor", factor, ndim=2)
    law = predictive_law(x, y - f, tests, GaussianLaw(np.zeros(len(spread)), spread))
    return PredictiveLaw(f_test + law.mean, law.factor)


def excess_over_posterior(jacobian: Any, *, test_jacobian: Any, factor: Any) -> Float[np.ndarray, "tests tests"]:
    """Covariance of `linearised_law` less that of the noise-free Gaussian process with kernel K, positive semi-definite (S, S).

    With A = J S_0 at the training rows and F the trained factor at the test rows it is F A^+ A F^T. Directions of the Jacobian, and of S_0 in its
    row space, below the rank cutoff of `row_space` count as zero. Raises `InvalidInput`.
    """
    x, spread = design_matrix(jacobian), finite("factor", factor, ndim=2)
    law = predictive_law(x, np.zeros(len(x)), test_jacobian, GaussianLaw(np.zeros(len(spread)), spread))
    # A = U diag(s) V^T S_0 has the rows of V^T S_0, which is better conditioned
    inside = law.factor @ row_space(row_space(x).right.T @ spread).right
    return np.asarray(inside @ inside.T)
