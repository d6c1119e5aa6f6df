"""Generalization bounds as functions of losses, divergences, n and delta. Each returns a `Certificate`."""

from .certificate import Certificate, Recheck, load
from .from_losses import certify_losses
from .monte_carlo import gibbs_monte_carlo
from .seeger import seeger_kl, seeger_kl_split

__all__ = ["Certificate", "Recheck", "certify_losses", "gibbs_monte_carlo", "load", "seeger_kl", "seeger_kl_split"]
