"""Gaussian posteriors and priors over the parameters of a torch module: build, train through a PAC-Bayes objective,
save; certificates for one network drawn from them, for a quantised one, for a recursion of posteriors, for data that keep growing; and the
votes of trained classifiers."""

from .numerics.certify import (
    MeanFieldGaussian,
    TrainingConfig,
    certify_draw,
    certify_growing,
    certify_quantised,
    certify_recursive,
    coverage,
    from_module,
    kl_divergence,
    load,
    sample,
    save,
    train,
    train_recursive,
    training,
    votes_from_modules,
)

__all__ = [
    "MeanFieldGaussian",
    "TrainingConfig",
    "certify_draw",
    "certify_growing",
    "certify_quantised",
    "certify_recursive",
    "coverage",
    "from_module",
    "kl_divergence",
    "load",
    "sample",
    "save",
    "train",
    "train_recursive",
    "training",
    "votes_from_modules",
]
