"""Certificates for torch models: Gaussian posteriors and priors over a module's parameters, PAC-Bayes training, certification.

Needs torch.
"""

from .certify import certify
from .gaussian import Coverage, MeanFieldGaussian, coverage, from_module, kl_divergence, load, sample, save
from .one_draw import certify_draw
from .quantise import certify_quantised
from .training import Epoch, Trained, TrainingConfig, train, training

__all__ = [
    "Coverage",
    "Epoch",
    "MeanFieldGaussian",
    "Trained",
    "TrainingConfig",
    "certify",
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
