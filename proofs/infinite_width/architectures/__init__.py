"""Kernels of other architectures: convolution and pooling, residual blocks, layer normalisation, dropout, attention."""

from ...result import Result
from . import attention, convolution, dropout, layer_norm, pooling, residual

RESULTS: tuple[Result, ...] = (
    convolution.RESULT,
    pooling.RESULT,
    residual.RESULT,
    layer_norm.RESULT,
    dropout.RESULT,
    attention.RESULT,
)
