"""Variance propagation: the statements."""

from __future__ import annotations

from ..statement import Assumption, Kind, Source, Statement

FACTORISED = Assumption(
    "factorised Gaussian posterior",
    "All weights and biases are independent Gaussians; only their means and variances are given.",
)
FIXED_INPUT = Assumption("fixed input", "The input x carries no randomness.")

ONE_HIDDEN_EXACT = Statement(
    key="vp.one_hidden_exact",
    title="Variance propagation is exact for one hidden layer",
    kind=Kind.IDENTITY,
    text="Let f(x) = V act(W x + b) + c with independent Gaussian parameters. With m_j = Wbar_j.x + bbar_j and v_j = sum_i S_ji x_i^2 + Sb_j, "
    "let M_j and Q_j be the mean and variance of act(N(m_j, v_j)). Then E f_o = sum_j Vbar_oj M_j + cbar_o and "
    "Var f_o = sum_j [Vbar_oj^2 Q_j + SV_oj (M_j^2 + Q_j)] + Sc_o, exactly. For a ReLU, with s = sqrt(v), a = m/s and h(a) = a Phi(a) + phi(a): "
    "M = s h(a), Q = v [Phi(a) - h(a) h(-a)]. For erf: M = erf(m/sqrt(1+2v)) and "
    "Q = (4/pi) int_r^1 exp(-k^2 (1+x^2)/2)/(1+x^2) dx with k = m sqrt(2/(1+2v)), r = 1/sqrt(1+4v).",
    latex=r"\operatorname{Var} f_o = \sum_j \left[ \bar V_{oj}^2 Q_j + S^V_{oj} (M_j^2 + Q_j) \right] + S^c_o",
    source=(
        Source("here", provenance="derived"),
        Source("frey1999", "", "moments of a ReLU of a Gaussian", "standard"),
        Source(
            "wieczorek2026", "", "the layer rules are our reconstruction; only the abstract could be read", "secondary"
        ),
    ),
    assumptions=(FACTORISED, FIXED_INPUT),
    function="nonvacuous.numerics.propagation.propagate_one_hidden",
)

STATEMENTS = (ONE_HIDDEN_EXACT,)
