"""Kernel regression: learning curves, risk estimates, norms, Gaussian-process certificates."""
