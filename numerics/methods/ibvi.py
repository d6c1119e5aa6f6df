"""Implicit-bias variational inference (IBVI): a Gaussian over the weights, trained by descent on the expected loss alone, from the prior.

Objective. q = N(mean, S S^T) over the weights of chosen layers, points elsewhere; minimise E_q loss, with no divergence to the prior and no
weight decay. The prior is where descent starts and nothing else. In a linear model with squared loss it selects, among all laws that fit
the data, the one nearest to the prior in 2-Wasserstein distance (ib.regression_w2). For networks that is a guide, not a theorem; `caveats`
names what a fit gives up.

Algorithm. Every step draws the network afresh, w = mean + S z with one z for the batch and shared by weight and bias of a layer, and takes
a step of SGD with momentum on (mean, S), at the learning rates of the parametrisation. The model's own modules are called with the drawn
weights: attention, convolutions and norms (trained, without noise) stay as they are. Predictions average over draws. With squared loss and
a linear last layer its expectation is exact, and no draw is needed for it.

    from sklearn.datasets import load_digits
    x, y = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)).eval()
    posterior = nv.methods.ibvi.fit(net, (x.float() / 16, y), nv.methods.ibvi.IBVIConfig("softmax", epochs=30, learning_rate=0.03), seed=0, device="cpu")
    probs = nv.methods.ibvi.predict(posterior, x.float() / 16).probs

Choices and their origin.
  likelihood             no default: "gaussian" (half the sum of squares), "binary" (one output, labels 0 and 1) or "softmax"
  epochs = 200, batch_size = 128, momentum = 0.9   the paper's experiments, as secondary sources report them
  learning_rate = 0.01   the peer library's toy problems; the paper's were not found
  schedule = "cosine"    ours: half a cosine to 0 over all steps; "constant" as the theorems have it
  covariance = "low_rank"   of the layers in `layers`; "full", "kronecker" or "diagonal", which loses the variance that matters
                         (ib.kl_compare)
  rank = 10              ours, the paper's was not found; of a Kronecker covariance both factors' rank, None for all. It has no meaning
                         otherwise
  layers = "auto"        "ends", the first and the last layer, as the peer library does; with a diagonal covariance "all". Or names of
                         layers
  parametrisation = "mup"   the peer library's default; "sp", "ntp"
  covariance_scale = 1.0   times the factor that the parametrisation starts from: the prior's spread
  covariance_rate = None   the factor's learning rate relative to its mean's: 1/R (ib.mc_stability); a diagonal covariance takes 1
  start = "draw"         the means of weights and biases are drawn by the parametrisation; "module" starts at the model's own
  samples = 1            draws in each step, the paper's choice
  antithetic = False     draws in pairs z, -z
  expectation = "sampled"   "exact" for a Gaussian likelihood, "bound" or "quadrature" for labels: the last linear layer integrated
  common_noise = False   True reuses the draws of the first step, which breaks the theorem (ib.fixed_noise), and warns
  reduction = "mean"     of the loss over a batch; "sum" is the convention of the theorems
  optimizer = "sgd"      adaptive optimizers are refused: they have no metric that does not depend on the data (ib.ls_precond)
  test_samples = 32      draws of a prediction, the spread of 16 to 256 in the peer library's examples
  link = "mc"            probabilities averaged over draws; "probit" integrates a linear last layer by m/sqrt(1 + pi v/8)
  noise_variance = 0.0   what a Gaussian likelihood adds to predict an observation; training does not use it

Held fixed: batch norm's running statistics (call model.eval(); in training mode the output of one input depends on its batch, and is
refused) and dropout, off.
Refused: rank 0, models without a linear, convolution or attention layer, data that are not finite. `caveats` says which theorems apply,
`calibrate` fits a temperature on held-out data, which divides draws and not only their mean. An interrupted training goes on from
`checkpoint`.
Theorems: ib.regression_w2 (the law), ib.regression_mc and ib.mc_stability (sampled training), ib.fixed_noise (why draws are fresh),
ib.precond_bayes and ib.ls_precond (learning rates), ib.class_w2 (labels), ib.mup_cov (the scales).
Sources: Wenger et al. 2025 (arXiv 2505.20235), known here through secondary accounts; Yang et al. 2021 for the parametrisation. Written
from the equations.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import AssumptionViolated
from ..variational.caveats import Caveat
from ..variational.caveats import caveats as family_caveats
from ..variational.objective import ExpectedLoss, SampledTerms
from ..variational.training import Epoch, Trained, training
from . import variational_fit
from .grammar import Predictive
from .variational_fit import VariationalConfig, VariationalPosterior, load_law, prepared, save_law

METHOD = "ibvi"


@dataclass(frozen=True)
class IBVIConfig(VariationalConfig):
    """See the module's text for each choice. Raises `InvalidInput`, `AssumptionViolated`."""

    common_noise: bool = False
    reduction: Literal["mean", "sum"] = "mean"
    optimizer: str = "sgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.optimizer != "sgd":
            raise AssumptionViolated(
                f"optimizer is {self.optimizer!r}, which has no metric that does not depend on the data.",
                'Which law descent selects is then unknown (ib.ls_precond, ib.regression_w2): train with "sgd".',
            )

    def objective(self) -> ExpectedLoss:
        """What is minimised."""
        return ExpectedLoss(
            self.likelihood, self.expectation, self.samples, self.antithetic, self.common_noise, self.reduction
        )


@dataclass(frozen=True, eq=False)
class IBVIPosterior(VariationalPosterior):
    """What `fit` found."""


def fit(
    model: nn.Module,
    data: Any,
    config: IBVIConfig,
    *,
    seed: int,
    device: str | torch.device,
    progress: Callable[[Epoch], None] | None = None,
    checkpoint: str | Path | None = None,
) -> IBVIPosterior:
    """Train mean and factor. data: (inputs (N, ...), targets) or an iterable of such batches; targets (N, C) floats, or N labels. `model`
    gives the architecture (with start="module" the means too) and is left as it is. checkpoint: folder for the state of an interrupted
    training. Raises `InvalidInput`, `AssumptionViolated`, `NumericalFailure`, `StorageError`."""
    found, x, y = prepared(model, data, config, IBVIConfig, seed, device)
    terms = SampledTerms(found, _objective(config), seed=seed)
    start = found.start(seed, scale=config.covariance_scale, means=config.start)
    run = training(found, start, x, y, terms, config.descent(), seed=seed, settings=config, checkpoint=checkpoint)
    for event in run:
        if isinstance(event, Trained):
            return IBVIPosterior(config, found, event.law, seed, history=event.history)
        if progress is not None:
            progress(event)
    raise AssertionError("a training ends with Trained")


def prior(model: nn.Module, data: Any, config: IBVIConfig, *, seed: int, device: str | torch.device) -> IBVIPosterior:
    """What `fit` starts from, in a posterior's form; of the data it uses the inputs' shape alone. Raises as `fit`."""
    found, _, _ = prepared(model, data, config, IBVIConfig, seed, device)
    return IBVIPosterior(config, found, found.start(seed, scale=config.covariance_scale, means=config.start), seed)


def predict(posterior: IBVIPosterior, x: Tensor) -> Predictive:
    """Mean and covariance over `test_samples` draws, which are the samples; class probabilities by averaging (binary: of label 1). Raises
    `InvalidInput`."""
    return variational_fit.predict(posterior, x)


def sample(posterior: IBVIPosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """Outputs of `count` drawn networks. A draw is one function: its seed gives it at any other inputs. Raises `InvalidInput`."""
    return variational_fit.sample(posterior, x, count, seed)


def calibrate(posterior: IBVIPosterior, data: Any) -> IBVIPosterior:
    """The posterior with the temperature that suits held-out (inputs, labels) best, fitted to the draws that `predict` makes. Raises
    `InvalidInput`."""
    return variational_fit.calibrate(posterior, data)


def caveats(posterior: IBVIPosterior) -> tuple[Caveat, ...]:
    """What this fit gives up of the theorem's assumptions, each with the key that says so."""
    assert isinstance(posterior.config, IBVIConfig)
    return family_caveats(posterior.family, _objective(posterior.config))


def save(posterior: IBVIPosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    save_law(posterior, path, METHOD)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> IBVIPosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput`, `StorageError`."""
    return IBVIPosterior(*load_law(path, model, METHOD, IBVIConfig, device))


def _objective(config: IBVIConfig) -> ExpectedLoss:
    """Without the warning that the settings gave when they were made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return config.objective()
