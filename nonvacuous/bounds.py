"""Generalization bounds: functions of losses, divergences, n and delta that return a `Certificate`."""

from .numerics.bounds import (
    Certificate,
    Recheck,
    certify_losses,
    gibbs_monte_carlo,
    load,
    seeger_kl,
    seeger_kl_split,
)

__all__ = ["Certificate", "Recheck", "certify_losses", "gibbs_monte_carlo", "load", "seeger_kl", "seeger_kl_split"]
