"""Kernels of wide networks: the statements."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import LIPSCHITZ, NTK_PARAMETRISATION, READOUT_TRAINED, WIDTHS_IN_ORDER
from .dual_activations import DUAL_ACTIVATIONS

PRICE_IDENTITY = Statement(
    key="iw.price_identity",
    title="The dual of a derivative is the slope of the dual",
    kind=Kind.IDENTITY,
    text="For V(a,b,c) = E phi(u) phi(v) with (u,v) ~ N(0, [[a,c],[c,b]]): dV/dc = E phi'(u) phi'(v), in the distribution sense "
    "where phi has jumps. In the same way dV/da = (1/2) E phi''(u) phi(v); for max(z,0) that is sqrt(ab - c^2)/(4 pi a). A closed "
    "form of V therefore certifies that of Vd.",
    latex=r"\frac{\partial}{\partial c}\, \mathbb{E}\, \phi(u) \phi(v) = \mathbb{E}\, \phi'(u) \phi'(v)",
    source=(Source("here", "", "integration by parts; known as Price's theorem", "derived"),),
    assumptions=(
        Assumption("growth", "phi and its derivative, possibly a distribution at 0, grow at most polynomially."),
        Assumption("inside", "ab > c^2: on the diagonal the slope may be infinite (sign)."),
    ),
    function="nonvacuous.numerics.kernels.activation_kernels.activation_kernels",
)

NNGP_LIMIT = Statement(
    key="iw.nngp_limit",
    title="A wide network at initialisation is a Gaussian process",
    kind=Kind.LIMIT,
    text="The output at initialisation converges in law, at every finite set of inputs, to a centred Gaussian process with "
    "covariance K^L, where K^1(x,y) = sw^2 x.y/d + sb^2 and K^{l+1} = sw^2 V(K^l) + sb^2 with V(a,b,c) = E phi(u) phi(v) for "
    "(u,v) ~ N(0, [[a,c],[c,b]]). For max(z,0), V = sqrt(ab) (sin t + (pi-t) cos t)/(2 pi) at the angle t with cos t = c/sqrt(ab); "
    "for erf, V = (2/pi) arcsin(2c/sqrt((1+2a)(1+2b))); other activations are the rows iw.dual. With one hidden layer the covariance is K at every width. "
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

GAP_PROPAGATION = Statement(
    key="iw.gap_propagation",
    title="Kernels of nearly equal inputs without cancellation",
    kind=Kind.IDENTITY,
    text="The kernels can be carried through every layer in the coordinates a = K(x,x), b = K(y,y), D = a - b and the gap "
    "g = sqrt(ab) - K(x,y): the first gap comes from the difference of the inputs, each activation maps gaps to gaps as a sum of "
    "terms that do not cancel, and a bias adds s (sqrt P - sqrt Q)^2/(sqrt((P+s)(Q+s)) + sqrt(PQ) + s) with s = sb^2, P = sw^2 "
    "V(x,x), Q = sw^2 V(y,y). The squared distances are dK = (D/(sqrt a + sqrt b))^2 + 2 g and dT, which starts at dK and becomes "
    "dK' + sw^2 (Vd dT + (T(x,x)+T(y,y))/2 dVd + (Vd(x,x)-Vd(y,y)) (T(x,x)-T(y,y))/2). In float64 all four keep their digits at "
    "separations down to 1e-12, except gap and dT of max(z,0) where bias-free inputs of different norm are collinear to rounding.",
    latex=r"dT' = dK' + \sigma_w^2 \left(\dot V dT + \frac{T_{xx} + T_{yy}}{2} d\dot V + \frac{(\dot V_{xx} - \dot V_{yy}) (T_{xx} - T_{yy})}{2}\right)",
    source=(Source("here", "", "dT for any activation; for max(z,0) it is dK' + sw^2 (dT/2 + t T/pi)", "derived"),),
    assumptions=(NTK_PARAMETRISATION, LIPSCHITZ),
    function="nonvacuous.numerics.kernels.fully_connected.fully_connected_distances",
)

READOUT_SPLIT = Statement(
    key="iw.readout_split",
    title="The readout's share of the tangent kernel is the NNGP kernel",
    kind=Kind.IDENTITY,
    text="T = K + S, where the share of readout weights and readout bias is K^L, sb^2 included, and S = sw^2 Vd(K^{L-1}) T^{L-1} is "
    "the share of the hidden layers. S is an entrywise product of positive semi-definite matrices and so positive semi-definite: "
    "T - K >= 0. With a frozen readout bias the tangent kernel is T - sb^2, with the readout trained alone it is K, with a frozen "
    "readout it is S; only the first of these options, everything trained, leaves T - K = S.",
    latex=r"T^{L} = K^{L} + \sigma_w^2\, \dot V(K^{L-1})\, T^{L-1}, \qquad T^{L} - K^{L} \succeq 0",
    source=(
        Source("jacot2018", "", "the recursion", "standard"),
        Source("zanger2026", "", "uses the split for Bayesian random network distillation", "read"),
        Source("here", "", "the options for the readout", "derived"),
    ),
    assumptions=(NTK_PARAMETRISATION, LIPSCHITZ, READOUT_TRAINED),
    function="nonvacuous.numerics.kernels.fully_connected.fully_connected_kernels",
)

NTK_KINK = Statement(
    key="iw.ntk_kink",
    title="The tangent kernel of ReLU has a kink on the diagonal, the NNGP kernel has none",
    kind=Kind.INEQUALITY,
    text="One hidden ReLU layer, y = x + h e, X = (sw1 x/sqrt d, sb1), E = (sw1 e/sqrt d, 0), w = |X ^ E| > 0 their wedge and t the "
    "angle between X and Y = X + h E: dT = sw2^2 h (w/pi) (1 + e1) with -t^2 <= e1 <= pi h |E|^2/w, and dK = sw2^2 h^2 (|E|^2/2) "
    "(1 - e2) with 0 <= e2 <= w t^2/(pi h |E|^2), for t <= 1. So dT is of order h and dK of order h^2: sample paths of a "
    "tangent-kernel GP are as rough as a Laplace kernel's. (Slopes of deeper networks are measured in the tests, not derived.)",
    latex=r"dT = \sigma_w^2\, \frac{h\, |X \wedge E|}{\pi}\, (1 + O(h)), \qquad dK = \frac{\sigma_w^2\, h^2\, |E|^2}{2}\, (1 + O(h))",
    source=(Source("here", "", "exact for one hidden layer, with explicit remainders", "derived"),),
    assumptions=(
        NTK_PARAMETRISATION,
        READOUT_TRAINED,
        Assumption("small step", "h > 0 and the angle between X and X + h E is at most 1."),
    ),
    function="nonvacuous.numerics.kernels.fully_connected.fully_connected_distances",
)

STATEMENTS: tuple[Statement, ...] = (
    PRICE_IDENTITY,
    *DUAL_ACTIVATIONS,
    NNGP_LIMIT,
    NTK_RECURSION,
    READOUT_SPLIT,
    GAP_PROPAGATION,
    NTK_KINK,
)
