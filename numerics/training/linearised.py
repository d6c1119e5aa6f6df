"""Networks trained to convergence in their linearisation: the exact solution for given initial parameters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from ..networks.fully_connected import FullyConnected, Parameters, forward
from ..networks.tangent_kernel import empirical_ntk


@dataclass(frozen=True)
class Linearised:
    """Per member: the smoother `G0 = T0_*X T0_XX^{-1}` (R, S*K, N*K), T0_XX (R, N*K, N*K), and the initial outputs.

    Pairs (point, output) are flattened with the output fastest. `initial_test` (R,S,K), `initial_train` (R,N,K).
    """

    smoother: Tensor
    ntk_train: Tensor
    initial_test: Tensor
    initial_train: Tensor

    def solution(self, targets: Tensor) -> Tensor:
        """f0(*) + J J_X^T (J_X J_X^T)^{-1} (y - f0(X)), (R,S,K), for targets (R,N,K)."""
        if targets.shape != self.initial_train.shape:
            raise InvalidInput(f"targets has shape {tuple(targets.shape)}, not {tuple(self.initial_train.shape)}.")
        change = torch.bmm(self.smoother, (targets - self.initial_train).flatten(1)[:, :, None])
        return self.initial_test + change.reshape(self.initial_test.shape)


def linearise(
    network: FullyConnected, parameters: Parameters, x_train: Tensor, x_test: Tensor, *, trained: str = "all"
) -> Linearised:
    """The linearisation at the given parameters, solved on x_train (N,d) and evaluated at x_test (S,d).

    Source: Lee et al. 2019. Raises NumericalFailure if a member's T0_XX is not positive definite.
    """
    points = torch.cat([x_test, x_train])
    size = points.shape[0] * network.outputs
    kernel = empirical_ntk(network, parameters, points, trained=trained).reshape(parameters.members, size, size)
    return solve_kernel(kernel, forward(network, parameters, points).output, x_test.shape[0])


def solve_kernel(kernel: Tensor, initial: Tensor, tests: int) -> Linearised:
    """The linearisation whose tangent kernel is `kernel` (R, P*K, P*K) and whose outputs start at `initial` (R, P, K); test points first.

    Raises NumericalFailure if a member's T0_XX is not positive definite.
    """
    first = tests * initial.shape[2]
    train, cross = kernel[:, first:, first:], kernel[:, :first, first:]
    factor, failed = torch.linalg.cholesky_ex(train)
    if bool(failed.any()):
        raise NumericalFailure(
            f"{int((failed > 0).sum())} tangent kernels on X are not positive definite.",
            "Remove repeated inputs or use wider networks.",
        )
    smoother = torch.cholesky_solve(cross.mT, factor).mT
    return Linearised(smoother, train, initial[:, :tests], initial[:, tests:])
