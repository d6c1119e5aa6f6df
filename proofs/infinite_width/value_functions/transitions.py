"""Inputs of the theorems on temporal differences, and the algebra of one transition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from jaxtyping import Float

from ....numerics.kernels.fully_connected import fully_connected_kernels
from ....numerics.wide_networks.value_functions import (
    TransitionKernel,
    transition_kernel,
)
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ..settings import KernelSetting, Trained


@dataclass(frozen=True, eq=False)
class TransitionSetting:
    """Transitions from train (N, d) to following (N, d) with discounts gamma (N,), 0 where terminal; rewards (N,); test (S, d)."""

    train: Float[np.ndarray, "transitions features"]
    following: Float[np.ndarray, "transitions features"]
    test: Float[np.ndarray, "test features"]
    discounts: Float[np.ndarray, " transitions"]
    rewards: Float[np.ndarray, " transitions"]
    activation: Trained
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]

    def __post_init__(self) -> None:
        shapes = {name: finite(name, getattr(self, name), ndim=2).shape for name in ("train", "following", "test")}
        if shapes["train"] != shapes["following"] or shapes["test"][1] != shapes["train"][1]:
            raise InvalidInput(f"The points have shapes {shapes}.", "Pass (N, d) twice and (S, d).")
        for name in ("discounts", "rewards"):
            value = finite(name, getattr(self, name), ndim=1)
            if len(value) != shapes["train"][0]:
                raise InvalidInput(f"{name} has {len(value)} entries for {shapes['train'][0]} transitions.")
        KernelSetting(self.train, self.test, self.activation, self.weight_scale, self.bias_scale)  # refuses bad scales

    @property
    def points(self) -> np.ndarray:
        """Test points, X and X', one after the other."""
        return np.concatenate([self.test, self.train, self.following])


def kernels(s: TransitionSetting) -> tuple[TransitionKernel, TransitionKernel]:
    """K and T over (test, X, X')."""
    scales: dict[str, Any] = {
        "depth": len(s.weight_scale) - 1,
        "activation": s.activation,
        "weight_scale": s.weight_scale,
        "bias_scale": s.bias_scale,
    }
    found = fully_connected_kernels(s.points, **scales)
    k, t = (transition_kernel(n, m, transitions=len(s.train)) for n, m in (("K", found.nngp), ("T", found.ntk)))
    return k, t


# --- derivation ---------------------------------------------------------------------------------------------------


def one_transition() -> list[tuple[Any, Any]]:
    """The residual d = f(X) - gamma f(X') - r decays with Delta = T_XX - gamma T_X'X, and its integral is d0/Delta."""
    t, time, h, d0, gamma, a, b = sympy.symbols("t time h d0 gamma a b", positive=True)
    d = d0 * sympy.exp(-h * t)
    # f(X)' = -a d and f(X')' = -b d
    return [
        (d.diff(t), -h * d),
        ((-a * d) - gamma * (-b * d), -(a - gamma * b) * d),
        (sympy.integrate(d, (t, 0, time)), d0 * (1 - sympy.exp(-h * time)) / h),
        (sympy.limit((1 - sympy.exp(-h * time)) / h, time, sympy.oo), 1 / h),
    ]


def block_form() -> list[tuple[Any, Any]]:
    """[1, -G, G gamma] K [..]^T is the four-term formula with Lam_S = K_XS - gamma K_X'S, for one transition; gamma = 0: M K M^T."""
    g, gamma = sympy.symbols("g gamma", real=True)
    v, kx, ky, a, b, c = sympy.symbols("v kx ky a b c", real=True)  # k(*,*), k(*,X), k(*,X'), k(X,X), k(X,X'), k(X',X')
    joint = sympy.Matrix([[v, kx, ky], [kx, a, b], [ky, b, c]])
    m = sympy.Matrix([[1, -g, g * gamma]])
    lam_star, lam_x, lam_next = kx - gamma * ky, a - gamma * b, b - gamma * c
    found = (m * joint * m.T)[0]
    one = sympy.Matrix([[1, -g]])
    return [
        (found, v - 2 * g * lam_star + g**2 * (lam_x - gamma * lam_next)),
        (found.subs(gamma, 0), (one * joint[:2, :2] * one.T)[0]),
    ]


def error_of_the_predictor() -> list[tuple[Any, Any]]:
    """u = u0 + G (r_g + gamma u0(X') - u0(X)) with r_g = g(X) - gamma g(X') has u - g = M_U (u0 - g)."""
    g, gamma, u, ux, uy, t, tx, ty = sympy.symbols("G gamma u ux uy t tx ty", real=True)
    trained = u + g * ((tx - gamma * ty) + gamma * uy - ux)
    return [(trained - t, (u - t) - g * (ux - tx) + g * gamma * (uy - ty))]


def stable_steps() -> list[tuple[Any, Any]]:
    """|1 - eta l|^2 - 1 = eta (eta |l|^2 - 2 Re l): below 0 exactly for eta < 2 Re l/|l|^2."""
    eta, p, q = sympy.symbols("eta p q", positive=True)
    return [((1 - eta * p) ** 2 + (eta * q) ** 2 - 1, eta * (eta * (p**2 + q**2) - 2 * p))]
