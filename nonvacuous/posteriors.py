"""Gaussian posteriors and priors over the parameters of a torch module: build, train through a PAC-Bayes objective, save."""

from .numerics.certify import (
    MeanFieldGaussian,
    TrainingConfig,
    coverage,
    from_module,
    kl_divergence,
    load,
    sample,
    save,
    train,
    training,
)

__all__ = [
    "MeanFieldGaussian",
    "TrainingConfig",
    "coverage",
    "from_module",
    "kl_divergence",
    "load",
    "sample",
    "save",
    "train",
    "training",
]
