"""Exact facts about networks of finite width: the statements."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import NTK_PARAMETRISATION, READOUT_TRAINED

ONE_HIDDEN = Assumption("one hidden layer", "The network has one hidden layer, of any width.")
RELU = Assumption("activation", "phi = max(z, 0).")
NO_BIASES = Assumption("no biases", "All bias scales are 0.")
SQUARE_INTEGRABLE = Assumption(
    "square-integrable", "phi and its derivative are square-integrable under the Gaussian law of a pre-activation."
)

FW_UNBIASED = Statement(
    key="iw.fw_unbiased_1layer",
    title="One hidden layer: both kernels are unbiased at every width",
    kind=Kind.IDENTITY,
    text="With one hidden layer of n independent units and any activation, E K_0 = K and E T_0 = T exactly, at every n and every pair of "
    "inputs; K_0 is the covariance of the output given the hidden layer and T_0 the tangent kernel at initialisation. With two hidden "
    "layers entries off the diagonal are biased.",
    latex=r"\mathbb{E}\, K_0(x, y) = K(x, y), \qquad \mathbb{E}\, T_0(x, y) = T(x, y)",
    source=(Source("here", provenance="derived"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, ONE_HIDDEN, SQUARE_INTEGRABLE),
    function="nonvacuous.numerics.kernels.fully_connected.fully_connected_kernels",
)

FW_RELU_DIAGONAL = Statement(
    key="iw.fw_relu_diag_unbiased",
    title="ReLU: the tangent kernel is unbiased on its diagonal, at any depth and width",
    kind=Kind.IDENTITY,
    text="For max(z,0), any depth, widths and biases: E T_0(x,x) = T(x,x) exactly. Flipping the sign of what enters one unit leaves all "
    "quadratic forms below it as they are and toggles its mask, so every mask contributes 1/2 layer by layer. Off the diagonal there is "
    "a bias of order 1/n from two hidden layers on.",
    latex=r"\mathbb{E}\, T_0(x, x) = T(x, x)",
    source=(Source("here", provenance="derived"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, RELU),
    function="nonvacuous.numerics.kernels.fully_connected.ntk_kernel",
)

FW_RELU_VARIANCE = Statement(
    key="iw.fw_relu_var",
    title="One hidden ReLU layer: the variance of the tangent kernel",
    kind=Kind.IDENTITY,
    text="One hidden layer of n units, max(z,0), no biases: Var T_0(x,x) = 3 T(x,x)^2/n exactly.",
    latex=r"\operatorname{Var} T_0(x, x) = \frac{3\, T(x, x)^2}{n}",
    source=(Source("here", provenance="derived"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, ONE_HIDDEN, RELU, NO_BIASES),
    function="nonvacuous.numerics.networks.width_moments.tangent_kernel_variance",
)

FW_KAPPA_VARIANCE = Statement(
    key="iw.fw_kappa_var",
    title="ReLU without biases: the second moment of the output's covariance",
    kind=Kind.IDENTITY,
    text="max(z,0), no biases, hidden widths n_l: E K_0(x,x)^2 / K(x,x)^2 = prod_l (1 + 5/n_l) exactly, (1 + 5/n)^H for H equal layers; K_0 is "
    "the covariance of the output given the hidden layers. So Cov(u_i(x)^2, u_j(x)^2) = (that - 1) K(x,x)^2 for two heads i, j. The "
    "product is at most exp(5 sum 1/n_l), and the infinite width can be trusted only where 5 sum 1/n_l is far below 1.",
    latex=r"\frac{\mathbb{E}\, K_0(x, x)^2}{K(x, x)^2} = \prod_{l=1}^{H} \left( 1 + \frac{5}{n_l} \right) \leq e^{5 \sum_l 1/n_l}",
    source=(
        Source("here", provenance="derived"),
        Source("hanin2020", "", "the growth exp(5 sum 1/n_l) of the tangent kernel's second moment", "secondary"),
    ),
    assumptions=(NTK_PARAMETRISATION, RELU, NO_BIASES),
    function="nonvacuous.numerics.networks.width_moments.kernel_moment_ratio",
)

STATEMENTS: tuple[Statement, ...] = (FW_UNBIASED, FW_RELU_DIAGONAL, FW_RELU_VARIANCE, FW_KAPPA_VARIANCE)
