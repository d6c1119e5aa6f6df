"""What an array of losses says: fit, divergence, rate, diversity and the identities that tie them."""

from .diagnose import diagnose
from .jackknife import Estimate
from .record import Diagnosis, Rate, Tie

__all__ = ["Diagnosis", "Estimate", "Rate", "Tie", "diagnose"]
