"""Certificates for torch models: Gaussian posteriors and priors over a module's parameters, PAC-Bayes training, certification.

Needs torch.
"""

from .certify import certify
from .gaussian import Coverage, MeanFieldGaussian, coverage, from_module, kl_divergence, load, sample, save
from .growing import certify_growing
from .one_draw import certify_draw
from .quantise import certify_quantised
from .recursive import certify_recursive
from .recursive_training import train_recursive
from .training import Epoch, Trained, TrainingConfig, train, training
from .votes import votes_from_modules

__all__ = [
    "Coverage",
    "Epoch",
    "MeanFieldGaussian",
    "Trained",
    "TrainingConfig",
    "certify",
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
