"""The empirical tangent kernel of a torch module, with its axes named."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

AXES = ("x", "y", "output_x", "output_y")


@dataclass(frozen=True, eq=False)
class EmpiricalNTK:
    """`blocks[i, j, c, d]` = sum over trainable parameters of d f_c(x_i)/d theta * d f_d(y_j)/d theta; axes named `AXES`.

    `method` is the route that computed it; `checked` the number of examples at which it was compared with autograd's gradients (the structured
    route; the others are made of those). In the module's dtype, on its device.
    """

    blocks: Float[Tensor, "x y output_x output_y"]
    method: str
    checked: int = 0

    @property
    def gram(self) -> Float[Tensor, "rows columns"]:
        """(x, output) against (y, output): the matrix whose rows are x_1's outputs, x_2's outputs, ..."""
        n, m, c, d = self.blocks.shape
        return self.blocks.permute(0, 2, 1, 3).reshape(n * c, m * d)

    @property
    def mean_over_outputs(self) -> Float[Tensor, "x y"]:
        """The mean of the diagonal blocks, which in the limit of infinite width is T itself (neural-tangents' `trace_axes=(-1,)`)."""
        return self.blocks.diagonal(dim1=2, dim2=3).mean(-1)
