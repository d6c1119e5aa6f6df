"""The spectrum of each member's tangent kernel on given inputs, by Lanczos, without forming a kernel or a Jacobian: its ends, and the modes of a
residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput
from .normal_parametrisation import NormalModule, Normals

PRODUCTS = 40  # with the kernel; a kernel of at most so many rows is solved exactly


@dataclass(frozen=True, eq=False)
class TangentSpectrum:
    """`largest` is met from below, `smallest` (of the eigenvalues that are not 0 up to rounding) from above.

    Both errors are safe for a step rule that keeps a margin at the upper end: a smallest eigenvalue taken too large makes heavy ball
    slower in that mode, never unstable.
    """

    smallest: Float[Tensor, " members"]
    largest: Float[Tensor, " members"]


def tangent_spectrum(module: NormalModule, normals: Normals, x: Tensor) -> TangentSpectrum:
    """From at most `PRODUCTS` products v -> J J^T v of every member, fully orthogonalised. Raises `InvalidInput` for a kernel of 0."""
    members, entries = len(next(iter(normals.values()))), len(x) * module.outputs
    # a vector without symmetry: it should have a part along every eigenvector
    ramp = torch.linspace(1, 2, entries, dtype=x.dtype, device=x.device)
    start = ramp * torch.cos(3 * ramp * torch.arange(1, entries + 1, dtype=x.dtype, device=x.device))
    ritz = torch.linalg.eigvalsh(_tridiagonal(module, normals, x, start.expand(members, -1)))
    largest = ritz[:, -1]
    if not bool((largest > 0).all()):
        raise InvalidInput("The tangent kernel on the training inputs is zero.", "Look at the inputs and scales.")
    positive = torch.where(ritz > entries * torch.finfo(x.dtype).eps * largest[:, None], ritz, torch.inf)
    return TangentSpectrum(positive.amin(1), largest)


@dataclass(frozen=True, eq=False)
class ResidualModes:
    """Eigenvalues (members, k) and the shares (members, k) of each residual's square in their modes, by Gauss's quadrature.

    With k = all rows of the kernel they are the modes themselves. With fewer, sum s_i (1 - eta l_i)^(2n) never exceeds the square of the residual that
    n steps of linear descent leave: Gauss's rule errs by a positive multiple of an even derivative of that power, none of which is negative.
    """

    eigenvalues: Float[Tensor, "members k"]
    shares: Float[Tensor, "members k"]


def residual_modes(module: NormalModule, normals: Normals, x: Tensor, residual: Tensor) -> ResidualModes:
    """For residuals (members, inputs, outputs), none of them 0. Both numbers err on the side of a faster descent: eigenvalues are raised by their
    rounding, and what is within a hundred roundings of no share counts as none."""
    start, eps = residual.flatten(1), torch.finfo(x.dtype).eps
    ritz, vectors = torch.linalg.eigh(_tridiagonal(module, normals, x, start))
    first = (vectors[:, 0].abs() - 100 * eps).clamp(min=0)
    raised = ritz.clamp(min=0) + start.shape[1] * eps * ritz.amax(1, keepdim=True)
    return ResidualModes(raised, first.square())


def _tridiagonal(module: NormalModule, normals: Normals, x: Tensor, start: Tensor) -> Float[Tensor, "members k k"]:
    """Lanczos on J J^T from the vectors `start` (members, entries), at most `PRODUCTS` products of every member, fully orthogonalised."""
    members, entries = start.shape
    outputs = module.outputs

    def product(w: Normals, vector: Tensor) -> Tensor:
        pullback: Any = torch.func.vjp(lambda v: module.call(v, x), w)[1]
        found: Any = torch.func.jvp(lambda v: module.call(v, x), (w,), pullback(vector.view(len(x), outputs)))
        return found[1].flatten()

    run = torch.func.vmap(product, in_dims=(0, 0))
    count = min(entries, PRODUCTS)
    basis = x.new_zeros(members, count + 1, entries)
    basis[:, 0] = start / start.norm(dim=1, keepdim=True)
    tridiagonal = x.new_zeros(members, count, count)
    eps = torch.finfo(x.dtype).eps
    with torch.no_grad():
        for k in range(count):
            image = run(normals, basis[:, k])
            # where a member's vectors span an invariant space the next one is 0, and so is the value here, which is not counted below
            tridiagonal[:, k, k] = (image * basis[:, k]).sum(1)
            for _ in range(2):  # once is not enough in floating point
                image = image - torch.einsum("mkn,mk->mn", basis, torch.einsum("mkn,mn->mk", basis, image))
            length = image.norm(dim=1)
            alive = length > entries * eps * tridiagonal.diagonal(dim1=1, dim2=2).amax(1)
            if k + 1 < count:
                tridiagonal[:, k, k + 1] = tridiagonal[:, k + 1, k] = torch.where(
                    alive, length, torch.zeros_like(length)
                )
                basis[:, k + 1] = torch.where(
                    alive[:, None], image / length[:, None].clamp(min=torch.finfo(x.dtype).tiny), 0
                )
    if not bool(tridiagonal.isfinite().all()):
        raise InvalidInput("The tangent kernel on the training inputs is not finite.", "Look at the inputs and scales.")
    return tridiagonal
