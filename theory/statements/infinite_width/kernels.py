"""Kernels of wide networks: the statements."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import LIPSCHITZ, NTK_PARAMETRISATION, READOUT_TRAINED, WIDTHS_IN_ORDER

NNGP_LIMIT = Statement(
    key="iw.nngp_limit",
    title="A wide network at initialisation is a Gaussian process",
    kind=Kind.LIMIT,
    text="The output at initialisation converges in law, at every finite set of inputs, to a centred Gaussian process with "
    "covariance K^L, where K^1(x,y) = sw^2 x.y/d + sb^2 and K^{l+1} = sw^2 V(K^l) + sb^2 with V(a,b,c) = E phi(u) phi(v) for "
    "(u,v) ~ N(0, [[a,c],[c,b]]). For max(z,0), V = sqrt(ab) (sin t + (pi-t) cos t)/(2 pi) at the angle t with cos t = c/sqrt(ab); "
    "for erf, V = (2/pi) arcsin(2c/sqrt((1+2a)(1+2b))). With one hidden layer the covariance is K at every width. "
    "(Measured here, not derived: the fourth cumulant falls like 1/n.)",
    latex=r"K^{l+1}(x,y) = \sigma_w^2\, \mathbb{E}_{(u,v) \sim \mathcal{N}(0, K^l)} \phi(u)\phi(v) + \sigma_b^2",
    source=(
        Source("neal1996", "", "one hidden layer", "standard"),
        Source("lee2018", "", "the recursion over layers", "standard"),
        Source("matthews2018", "", "joint limits of all widths; here the widths grow in order", "standard"),
        Source("cho2009", "", "the dual of max(z,0)", "standard"),
        Source("williams1996", "", "the dual of erf", "standard"),
        Source("here", "", "the form without cancellation that is shipped, and its derivation", "derived"),
    ),
    assumptions=(NTK_PARAMETRISATION, LIPSCHITZ, WIDTHS_IN_ORDER),
    function="nonvacuous.numerics.kernels.fully_connected.nngp_kernel",
)

NTK_RECURSION = Statement(
    key="iw.ntk_recursion",
    title="The neural tangent kernel of a wide network",
    kind=Kind.LIMIT,
    text="The tangent kernel at initialisation, J(x) J(y)^T over all parameters, converges to T^L with T^1 = K^1 and "
    "T^{l+1} = K^{l+1} + sw^2 Vd(K^l) T^l, Vd(a,b,c) = E phi'(u) phi'(v) at the covariance of layer l. The readout's share is K^L, "
    "readout bias included. With one hidden layer the expected kernel is T at every width. (Measured here, not derived: with two, the "
    "mean square deviation of T_n from T falls like 1/n.)",
    latex=r"T^{l+1} = K^{l+1} + \sigma_w^2\, \mathbb{E}[\phi'(u)\phi'(v)]\, T^l",
    source=(
        Source("jacot2018", "", "widths in order; the bias at finite width is measured here", "standard"),
        Source(
            "zanger2026", "", "prints the layer of the derivative factor in two ways; ours is the layer below", "read"
        ),
    ),
    assumptions=(NTK_PARAMETRISATION, LIPSCHITZ, WIDTHS_IN_ORDER, READOUT_TRAINED),
    function="nonvacuous.numerics.kernels.fully_connected.ntk_kernel",
)

STATEMENTS: tuple[Statement, ...] = (
    NNGP_LIMIT,
    NTK_RECURSION,
)
