"""Posteriors of wide networks, and the training that samples from them."""

from . import finite_sampling, gaussian, growth, order, random_priors, sampling

RESULTS = (
    *gaussian.RESULTS,
    *order.RESULTS,
    *growth.RESULTS,
    *sampling.RESULTS,
    *finite_sampling.RESULTS,
    *random_priors.RESULTS,
)
