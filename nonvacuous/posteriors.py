"""Gaussian posteriors and priors over the parameters of a torch module: build, train through a PAC-Bayes objective,
save; certificates for one network drawn from them, or for a quantised one."""

from .numerics.certify import (
    MeanFieldGaussian,
    TrainingConfig,
    certify_draw,
    certify_quantised,
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
    "certify_draw",
    "certify_quantised",
    "coverage",
    "from_module",
    "kl_divergence",
    "load",
    "sample",
    "save",
    "train",
    "training",
]
