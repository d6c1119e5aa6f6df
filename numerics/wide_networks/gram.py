"""The blocks of a Gram matrix over test and training points, checked and symmetrised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size

Matrix = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
_TOO_COARSE = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class GramBlocks:
    """Blocks of one kernel's Gram matrix: `test` (S,S), `cross` = test against train (S,N), `train` (N,N)."""

    test: Matrix
    cross: Matrix
    train: Matrix

    def joint(self) -> Matrix:
        """The matrix over (test, train), symmetrised, shape (S+N, S+N)."""
        matrix = np.block([[self.test, self.cross], [self.cross.T, self.train]])
        return (matrix + matrix.T) / 2


def gram_blocks(name: str, test: Any, cross: Any, train: Any) -> GramBlocks:
    """Checked and symmetrised blocks of one kernel, in float64.

    Raises InvalidInput on shapes that do not fit, an asymmetric block, or float32.
    """
    for part, value in (("test", test), ("cross", cross), ("train", train)):
        refuse_coarse(f"{name}.{part}", value)
    cross = finite(f"{name}.cross", cross, ndim=2)
    blocks = []
    for part, value, size in (("test", test, cross.shape[0]), ("train", train, cross.shape[1])):
        block = finite(f"{name}.{part}", value, ndim=2)
        if block.shape != (size, size):
            raise InvalidInput(
                f"{name}.{part} has shape {block.shape}.", f"With cross {cross.shape} it must be {(size, size)}."
            )
        if size and np.abs(block - block.T).max() > 1e3 * size * EPS * np.abs(block).max():
            raise InvalidInput(f"{name}.{part} is not symmetric.", "Pass a Gram matrix.")
        blocks.append((block + block.T) / 2)
    return GramBlocks(blocks[0], cross, blocks[1])


class JointKernels(Protocol):
    """NNGP and tangent kernel of one set of points, as the functions of `nonvacuous.kernels` return them."""

    @property
    def nngp(self) -> Any: ...

    @property
    def ntk(self) -> Any: ...


def kernel_blocks(kernels: JointKernels, *, tests: int) -> tuple[GramBlocks, GramBlocks]:
    """K and T over (test, train), as the laws of this package take them.

    `kernels`: what `fully_connected_kernels` and its like return for np.concatenate([test, train]), `nngp` and `ntk` (S+N, S+N), the
    `tests` test points first. Raises InvalidInput.
    """
    s, found = sample_size("tests", tests), []
    for name, value in (("nngp", kernels.nngp), ("ntk", kernels.ntk)):
        refuse_coarse(name, value)
        m = finite(name, value, ndim=2)
        if m.shape[0] != m.shape[1] or s > len(m):
            raise InvalidInput(
                f"{name} has shape {m.shape}, with {s} test points.",
                "Pass the kernels of all points, test points first.",
            )
        found.append(gram_blocks(name, m[:s, :s], m[:s, s:], m[s:, s:]))
    nngp, ntk = found
    same_points(nngp, ntk)
    return nngp, ntk


def same_points(nngp: GramBlocks, ntk: GramBlocks) -> None:
    """Raises InvalidInput unless both kernels have blocks of one shape."""
    if nngp.cross.shape != ntk.cross.shape:
        raise InvalidInput(
            f"The kernels' blocks differ: {nngp.cross.shape} and {ntk.cross.shape}.", "Use the same points."
        )


def refuse_coarse(name: str, value: Any) -> None:
    """Raises InvalidInput for arrays and tensors below float64: variances of ill-conditioned kernels lose every digit."""
    dtype = str(getattr(value, "dtype", "")).removeprefix("torch.")
    if dtype in _TOO_COARSE:
        raise InvalidInput(
            f"{name} is {dtype}.", "Small eigenvalues and differences need float64: compute in it from the start."
        )


def label_array(labels: Any, train: int) -> Matrix:
    """Labels of shape (N,) or (N, outputs) as float64. Raises InvalidInput."""
    refuse_coarse("labels", labels)
    y = finite("labels", labels)
    if y.ndim not in (1, 2) or y.shape[0] != train:
        raise InvalidInput(f"labels has shape {y.shape}.", f"Its first axis must have {train} entries.")
    return y
