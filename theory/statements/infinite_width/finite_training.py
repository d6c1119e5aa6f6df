"""What finite width does to trained networks: the statements."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import (
    FULL_BATCH,
    NTK_PARAMETRISATION,
    POSITIVE_DEFINITE,
    READOUT_TRAINED,
    SAME_ARCHITECTURE,
    SUM_LOSS,
)

RND_FINITE_WIDTH = Statement(
    key="iw.rnd_finite_width",
    title="What finite width does to distillation and to ensembles",
    kind=Kind.LIMIT,
    text="At width n the variance that distillation reports differs from its limit by a term of order 1/n, of two parts: that of the exactly "
    "linearised training, whose size and sign depend on the data, and that of nonlinear training on the same draws. The second decays like 1/n "
    "and grows with the number of heads, each of which pulls the shared trunk; on the instances tested here it lowers the variance, with one "
    "hidden layer, with two, and with one convolution. Bayesian distillation has its own: its linearised part is below the limit with one direction "
    "for all heads and above it with one for each. An ensemble's variance has such a term too, and there it depends on the labels, as it cannot in "
    "the limit: a detector of leaving the lazy regime. The step size enters in proportion to itself; in the mean-field parametrisation, which is "
    "this training on n^1/2 times the labels, nothing of it decays. (Measured on a few instances; the theory cited gives the order in n, not the "
    "signs.)",
    latex=r"\mathbb{E}\, \frac{1}{2K} \sum_{i=1}^{K} e_i(x)^2 = \Sigma(x,x) + O(1/n)",
    source=(
        Source("zanger2026", "", "the limit; the experiment and what it shows are ours", "read"),
        Source("here", "", "paired design, order in heads, dependence on labels, step and parametrisation", "derived"),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SAME_ARCHITECTURE, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.finite_width.finite_width_table",
)

STATEMENTS: tuple[Statement, ...] = (RND_FINITE_WIDTH,)
