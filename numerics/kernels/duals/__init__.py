"""Dual activations V = E phi(u) phi(v) and Vd = E phi'(u) phi'(v), (u,v) ~ N(0, [[a,c],[c,b]]): one table of families."""

from .table import activation_slopes, dual_activation

__all__ = ["activation_slopes", "dual_activation"]
