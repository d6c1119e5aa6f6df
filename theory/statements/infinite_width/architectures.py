"""Kernels of convolutions, residual branches, normalisation and attention: the statements."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import LIPSCHITZ, NTK_PARAMETRISATION, READOUT_TRAINED, WIDTHS_IN_ORDER

CHANNELS_IN_ORDER = Assumption(
    "channels",
    "The numbers of channels tend to infinity one after the other, from the input on; positions and filter stay.",
)
CONVOLUTION_PARAMETRISATION = Assumption(
    "NTK parametrisation",
    "A convolution is sw/sqrt(q C) times the sum over the q offsets and C channels below, plus sb b per channel; W, b ~ N(0,1).",
)

CONVOLUTION = Statement(
    key="iw.conv",
    title="Kernels of a wide convolutional network, flattened before the readout",
    kind=Kind.LIMIT,
    text="With i, j positions of x and y, q filter offsets o and C input channels, K^1_ij = sb^2 + sw^2/(C q) sum_o sum_c x_{c,i+o} "
    "y_{c,j+o}, K^{l+1}_ij = sb^2 + (sw^2/q) sum_o V(K^l_ii(x,x), K^l_jj(y,y), K^l_ij(x,y)) at (i+o, j+o), T^1 = K^1 and T^{l+1}_ij = "
    "K^{l+1}_ij + (sw^2/q) sum_o Vd T^l at (i+o, j+o). The sum stands outside V. Neighbours beyond a border of zeros contribute 0 and "
    "1/q stays. A dense readout of the P flattened positions gives K = sb^2 + (sw^2/P) sum_i V_ii and T = K + (sw^2/P) sum_i Vd T_ii: "
    "only equal positions matter. With one convolution the expected kernels are K and T at every number of channels.",
    latex=r"K^{l+1}_{ij} = \sigma_b^2 + \frac{\sigma_w^2}{q} \sum_o V(K^l)_{i+o,j+o}, \qquad T^{l+1}_{ij} = K^{l+1}_{ij} + \frac{\sigma_w^2}{q} \sum_o (\dot V T^l)_{i+o,j+o}",
    source=(
        Source("here", "", "derived by the argument for dense layers; neural-tangents 0.6.5 agrees", "derived"),
        Source("jacot2018", "", "the tangent kernel of dense layers", "standard"),
    ),
    assumptions=(CONVOLUTION_PARAMETRISATION, LIPSCHITZ, CHANNELS_IN_ORDER, READOUT_TRAINED),
    function="nonvacuous.numerics.kernels.architectures.pooling.convolutional_kernels",
)

POOLING = Statement(
    key="iw.pool",
    title="Kernels of a wide convolutional network with global average pooling",
    kind=Kind.LIMIT,
    text="A dense readout of the average over the P positions of each channel gives K = sb^2 + (sw^2/P^2) sum_ij V_ij and T = K + "
    "(sw^2/P^2) sum_ij Vd T_ij, over all pairs of positions. With circular padding both kernels are invariant under a cyclic shift "
    "of either image; flattened readouts are invariant only under the same shift of both.",
    latex=r"K = \sigma_b^2 + \frac{\sigma_w^2}{P^2} \sum_{ij} V_{ij}, \qquad T = K + \frac{\sigma_w^2}{P^2} \sum_{ij} (\dot V T)_{ij}",
    source=(Source("here", "", "neural-tangents 0.6.5 agrees", "derived"),),
    assumptions=(CONVOLUTION_PARAMETRISATION, LIPSCHITZ, CHANNELS_IN_ORDER, READOUT_TRAINED),
    function="nonvacuous.numerics.kernels.architectures.pooling.convolutional_kernels",
)

RESIDUAL = Statement(
    key="iw.residual",
    title="Residual blocks add kernels",
    kind=Kind.LIMIT,
    text="For h + F(h) with a Gaussian h and a branch F that ends in a dense layer of its own, K' = K + K_F and T' = T + T_F, where "
    "K_F and T_F are the kernels of F on top of h; T_F contains the gradients that reach h through F. The fresh last weights make h "
    "and F(h) uncorrelated, so no cross term appears. With h linear in the inputs, one branch with one activation and a linear "
    "readout of h + F(h), both kernels are the expected ones at every width.",
    latex=r"K' = K + K_F, \qquad T' = T + T_F",
    source=(
        Source(
            "here",
            "",
            "neural-tangents 0.6.5 agrees; it does not verify that the branch ends in fresh weights",
            "derived",
        ),
    ),
    assumptions=(
        NTK_PARAMETRISATION,
        LIPSCHITZ,
        WIDTHS_IN_ORDER,
        READOUT_TRAINED,
        Assumption("fresh branch", "The branch ends in a dense layer whose weights and biases nothing else uses."),
    ),
    function="nonvacuous.numerics.kernels.architectures.network.network_kernels",
)

LAYER_NORM = Statement(
    key="iw.layernorm",
    title="Layer normalisation of a wide layer",
    kind=Kind.LIMIT,
    text="Mean and variance over the units of a Gaussian layer tend to 0 and K(x,x). Normalisation therefore maps K to K/sqrt((K(x,x) + e) "
    "(K(y,y) + e)) and T to T/sqrt((K(x,x) + e)(K(y,y) + e)), with e added to the variance; derivatives of mean and variance leave "
    "nothing behind. With e = 0 and no bias before it, the network does not see the size of its input. Batch normalisation couples "
    "the inputs of a batch and has no such kernel.",
    latex=r"K \to \frac{K(x,y)}{\sqrt{(K(x,x) + \epsilon)(K(y,y) + \epsilon)}}, \qquad T \to \frac{T(x,y)}{\sqrt{(K(x,x) + \epsilon)(K(y,y) + \epsilon)}}",
    source=(Source("here", "", "neural-tangents 0.6.5 agrees", "derived"),),
    assumptions=(
        NTK_PARAMETRISATION,
        LIPSCHITZ,
        WIDTHS_IN_ORDER,
        READOUT_TRAINED,
        Assumption("Gaussian layer", "What is normalised are pre-activations; no learned gain or offset."),
    ),
    function="nonvacuous.numerics.kernels.architectures.network.network_kernels",
)

DROPOUT = Statement(
    key="iw.dropout",
    title="Dropout multiplies the diagonals",
    kind=Kind.LIMIT,
    text="With masks Bernoulli(r)/r, drawn for every unit and every input, the layer's second moment V(x,x) and [Vd T](x,x) are multiplied "
    "by 1/r and all entries between distinct inputs are unchanged. The later layers of one draw therefore start from a larger diagonal. "
    "With one hidden layer both kernels are the expected ones at every width.",
    latex=r"V(x,x) \to V(x,x)/r, \qquad (\dot V T)(x,x) \to (\dot V T)(x,x)/r",
    source=(Source("here", "", "neural-tangents 0.6.5 agrees", "derived"),),
    assumptions=(
        NTK_PARAMETRISATION,
        LIPSCHITZ,
        WIDTHS_IN_ORDER,
        READOUT_TRAINED,
        Assumption("masks", "Independent between units, inputs and layers; training mode."),
    ),
    function="nonvacuous.numerics.kernels.architectures.network.network_kernels",
)

ATTENTION = Statement(
    key="iw.attention",
    title="Self-attention with a closed-form kernel",
    kind=Kind.LIMIT,
    text="With tied queries and keys whose products are divided by n_key, the products tend to the constants s_QK K(x,x), so A_x, the softmax of "
    "their rows (or the products themselves: identity), is fixed and K' = s_OV^2 A_x K(x,y) A_y^T + sb^2, T' = s_OV^2 A_x T A_y^T + sb^2 "
    "+ 2 s_OV^2 A_x K A_y^T: values and outputs add A K A each, queries and keys nothing. With independent queries and keys, products "
    "divided by sqrt(n_key), the identity and many heads, K' = s_QK^2 s_OV^2 S K + sb^2 with S the sum of all K_kl(x,y)^2. The softmax of "
    "that scaling has no closed form, and no Gaussian limit at a fixed number of heads.",
    latex=r"K' = s_{OV}^2 A_x K A_y^T + \sigma_b^2, \qquad T' = K' + s_{OV}^2 A_x (K + T) A_y^T",
    source=(Source("here", "", "derived for scaling 1/n; the polynomial case of scaling 1/sqrt(n) too", "derived"),),
    assumptions=(
        NTK_PARAMETRISATION,
        WIDTHS_IN_ORDER,
        READOUT_TRAINED,
        Assumption(
            "scaling",
            "Products of queries and keys are divided by n_key with tied weights, or the mechanism is the identity.",
        ),
    ),
    function="nonvacuous.numerics.kernels.architectures.attention.attention_kernels",
)

STATEMENTS: tuple[Statement, ...] = (CONVOLUTION, POOLING, RESIDUAL, LAYER_NORM, DROPOUT, ATTENTION)
