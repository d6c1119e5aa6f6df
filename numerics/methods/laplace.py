"""Linearised Laplace approximation with the full generalised Gauss-Newton (GGN) matrix.

Objective. Let T be the trained weights, J(x) = df(x, t)/dt at T (C x P) and L_n the Hessian of the n-th negative log
likelihood in the network's outputs: I / noise_variance for a Gaussian, diag(p) - p p^T for a softmax. The posterior of
the linearised network f(x, T) + J(x)(t - T) under the prior t ~ N(0, I / prior_precision) is taken to be

    q(t) = N(T, H^-1),   H = sum_n J_n^T L_n J_n + prior_precision I,   so   f(x) ~ N(f(x, T), J(x) H^-1 J(x)^T).

The mean is the network's own output by definition, whether or not T is stationary. It is the exact posterior mean of
the linearised model only where T is a stationary point of sum_n loss_n + (prior_precision / 2) |t|^2. What is preserved
is the mean, not the predicted class: averaging a softmax over the logits can move its largest entry.

Algorithm. With L_n = R_n R_n^T and W the rows R_n^T J_n stacked, two routes give the same covariance:

    weight    Cholesky of H = W^T W + prior_precision I:                      O(N C P^2 + P^3) time, O(P^2) memory
    function  k - k_xX R (I + R^T K R)^-1 R^T k_Xx with the kernel
              k(x, x') = J(x) J(x')^T / prior_precision:                      O((NC)^2 P + (NC)^3), O((NC)^2 + NC P)

R needs no eigenvalues: I / sqrt(noise_variance), and diag(sqrt p) - p sqrt(p)^T for a softmax, as sqrt p has length 1.
Draws are T plus a Gaussian in weight space: H^-1/2 z, or for the function route a prior draw corrected by its residual
(Matheron's rule), so a singular covariance needs no factorisation. Class probabilities average the softmax over draws
(`mc`, standard error at most 1 / (2 sqrt(samples))), or are softmax(m_c / sqrt(1 + pi V_cc / 8)) (`probit`), which
ignores the logits' covariance, changes with their common shift, and can be further off than the plain network.

Arithmetic. Outputs and Jacobians are computed in the model's dtype, everything after them in `dtype`. Memory beyond the
above: P x samples numbers for the draws.

Choices and their origin.
  prior_precision, likelihood, noise_variance   no default, they are part of the model. prior_precision is the weight
                      decay of a summed loss; for a loss averaged over N examples with decay c it is N c
  route = "auto"      weight iff P < N C, by the operation counts above
  link = "mc"         the probit rule's error is not controlled
  samples = 1000      a standard error of at most 0.016 (laplace-torch takes 100, BayesiPy 2048)
  dtype = "float64"   Gram matrices of Jacobians are numerically rank deficient; a solve loses log10 cond(H) digits

Theorems: fs.lla_posterior (the definition), fs.lla_function (the two routes agree).

Sources: Immer, Korzepa and Bauer (2021), arXiv 2008.08400, for the linearised predictive; Ortega, Rodríguez Santana and
Hernández-Lobato (2024), arXiv 2302.12565, for the function-space form. Written from the equations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput, NumericalFailure
from .data import check_class_targets, check_inputs, check_regression_targets, gather, generator
from .files import read_posterior, write_posterior
from .grammar import Predictive
from .network import FrozenNetwork, freeze, jacobian_blocks, outputs

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class LaplaceConfig:
    """See the module's text for each choice. Raises `InvalidInput` for one that makes no model."""

    prior_precision: float
    likelihood: Literal["gaussian", "softmax"]
    noise_variance: float | None = None
    route: Literal["auto", "weight", "function"] = "auto"
    link: Literal["mc", "probit"] = "mc"
    samples: int = 1000
    dtype: Literal["float32", "float64"] = "float64"

    def __post_init__(self) -> None:
        for name, allowed in {
            "likelihood": ("gaussian", "softmax"),
            "route": ("auto", "weight", "function"),
            "link": ("mc", "probit"),
            "dtype": tuple(DTYPES),
        }.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(allowed)}.")
        _positive("prior_precision", self.prior_precision)
        if self.likelihood == "gaussian":
            _positive("noise_variance", self.noise_variance)
        elif self.noise_variance is not None:
            raise InvalidInput("noise_variance has no meaning for a softmax likelihood.", "Leave it out.")
        _count("samples", self.samples)


@dataclass(frozen=True, eq=False)
class LaplacePosterior:
    """`rows` is W = R^T J for the function route (else None); `cholesky` the lower factor of I + W W^T / d, or of H."""

    config: LaplaceConfig
    network: FrozenNetwork
    seed: int
    rows: Float[Tensor, "rows parameters"] | None
    cholesky: Float[Tensor, "size size"]


def fit(
    model: nn.Module, data: Any, config: LaplaceConfig, *, seed: int, device: str | torch.device
) -> LaplacePosterior:
    """Posterior around the current weights of a trained `model`, which is copied and left as it is.

    data: (inputs (N, ...), targets) or an iterable of such batches; targets are (N, C) floats for `gaussian`, N labels
    for `softmax`. They are checked but do not enter the covariance. Fitting is deterministic; `seed` feeds the draws
    that `predict` makes. Raises `InvalidInput` for bad data or models, `NumericalFailure` when a factorisation fails.
    """
    if not isinstance(config, LaplaceConfig):
        raise InvalidInput(f"The configuration is a {type(config).__name__}.", "Pass a LaplaceConfig.")
    generator(seed, "predict", torch.device("cpu"))  # a bad seed is refused now, not at the first prediction
    x, y = gather(data)
    network = freeze(model, device)
    x, y = x.to(network.device), y.to(network.device)
    check_inputs(x, network.dtype, network.device)
    f = outputs(network, x)
    check = check_regression_targets if config.likelihood == "gaussian" else check_class_targets
    check(y, *f.shape)

    route = config.route
    if route == "auto":
        route = "weight" if network.size < f.numel() else "function"
    blocks = _curvature_rows(network, x, f.to(DTYPES[config.dtype]), config)
    if route == "weight":
        precision = config.prior_precision * torch.eye(network.size, dtype=DTYPES[config.dtype], device=network.device)
        for block in blocks:
            precision.addmm_(block.T, block)
        return LaplacePosterior(config, network, seed, None, _cholesky(precision))
    rows = torch.cat(list(blocks))
    gram = torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
    gram.addmm_(rows, rows.T, alpha=1 / config.prior_precision)
    return LaplacePosterior(config, network, seed, rows, _cholesky(gram))


def predict(posterior: LaplacePosterior, x: Tensor) -> Predictive:
    """Mean and latent covariance of the outputs at each input, and class probabilities for a softmax.

    The mean is the network's output. Raises `InvalidInput` for bad inputs, `NumericalFailure` when cancellation on the
    function route has left no accurate variance.
    """
    config, network = posterior.config, posterior.network
    check_inputs(x, network.dtype, network.device)
    mean = outputs(network, x).to(DTYPES[config.dtype])
    blocks = jacobian_blocks(network, x, mean.shape[1])
    variance = torch.cat([_covariance(posterior, block.to(mean.dtype)) for block in blocks])
    if bool((variance.diagonal(dim1=1, dim2=2) < 0).any()):
        raise NumericalFailure(
            "A variance came out negative: the prior term and its correction cancel beyond the precision.",
            "Use route='weight' or dtype='float64', or a larger prior_precision.",
        )
    if config.likelihood == "gaussian":
        return Predictive(mean, variance, noise_variance=config.noise_variance)
    if config.link == "probit":
        scale = torch.sqrt(1 + math.pi / 8 * variance.diagonal(dim1=1, dim2=2))
        return Predictive(mean, variance, probs=torch.softmax(mean / scale, dim=1))
    draws = _draw(posterior, x, config.samples, generator(posterior.seed, "predict", network.device))
    return Predictive(mean, variance, samples=draws, probs=torch.softmax(draws, dim=2).mean(dim=0))


def sample(posterior: LaplacePosterior, x: Tensor, count: int, seed: int) -> Float[Tensor, "count inputs outputs"]:
    """`count` draws of the linearised network at `x`. A draw is one function: its seed gives it at any other inputs."""
    _count("count", count)
    check_inputs(x, posterior.network.dtype, posterior.network.device)
    return _draw(posterior, x, count, generator(seed, "sample", posterior.network.device))


def save(posterior: LaplacePosterior, path: str | Path) -> None:
    """Write everything but the architecture to one safetensors file. Raises `StorageError`."""
    factors = {"cholesky": posterior.cholesky}
    if posterior.rows is not None:
        factors["rows"] = posterior.rows
    facts = {"method": "laplace", "config": json.dumps(asdict(posterior.config)), "seed": str(posterior.seed)}
    write_posterior(path, posterior.network, factors, facts)


def load(path: str | Path, model: nn.Module, *, device: str | torch.device = "cpu") -> LaplacePosterior:
    """Read what `save` wrote. `model` supplies the architecture only. Raises `InvalidInput` or `StorageError`."""
    network, factors, facts = read_posterior(path, model, "laplace", device)
    try:
        config = LaplaceConfig(**json.loads(facts["config"]))
        seed, cholesky, rows = int(facts["seed"]), factors["cholesky"], factors.get("rows")
        size = network.size if rows is None else len(rows)
        fits = tuple(cholesky.shape) == (size, size) and (rows is None or tuple(rows.shape) == (size, network.size))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} holds no complete Laplace posterior ({error}).", "Save it again.") from error
    if not all(torch.isfinite(value).all() for value in factors.values()):
        raise InvalidInput(f"{path}: a factor is not finite.", "Fit it again.")
    if not fits:
        raise InvalidInput(
            f"{path}: the factors do not fit the model's {network.size} random parameters.", "Save it again."
        )
    return LaplacePosterior(config, network, seed, rows, cholesky)


def _curvature_rows(
    network: FrozenNetwork, x: Tensor, f: Float[Tensor, "inputs outputs"], config: LaplaceConfig
) -> Iterator[Float[Tensor, "rows parameters"]]:
    """R_n^T J_n, stacked over the inputs of a block."""
    done = 0
    for block in jacobian_blocks(network, x, f.shape[1]):
        jacobian = block.to(f.dtype)
        if config.noise_variance is not None:
            rows = jacobian / math.sqrt(config.noise_variance)
        else:
            p = torch.softmax(f[done : done + len(block)], dim=1)
            root = p.sqrt()
            rows = root[:, :, None] * (jacobian - torch.einsum("nc,ncp->np", p, jacobian)[:, None, :])
        done += len(block)
        yield rows.flatten(0, 1)


def _covariance(
    posterior: LaplacePosterior, jacobian: Float[Tensor, "inputs outputs parameters"]
) -> Float[Tensor, "inputs outputs outputs"]:
    if posterior.rows is None:
        flat = torch.linalg.solve_triangular(posterior.cholesky, jacobian.flatten(0, 1).T, upper=False)
        half = flat.T.unflatten(0, jacobian.shape[:2])
        return half @ half.mT
    d = posterior.config.prior_precision
    cross = posterior.rows @ jacobian.flatten(0, 1).T / d
    flat = torch.linalg.solve_triangular(posterior.cholesky, cross, upper=False)
    half = flat.T.unflatten(0, jacobian.shape[:2])
    return jacobian @ jacobian.mT / d - half @ half.mT


def _draw(
    posterior: LaplacePosterior, x: Tensor, count: int, stream: torch.Generator
) -> Float[Tensor, "count inputs outputs"]:
    network, factor, rows = posterior.network, posterior.cholesky, posterior.rows
    noise = torch.randn(network.size, count, generator=stream, dtype=factor.dtype, device=factor.device)
    if rows is None:
        shift = torch.linalg.solve_triangular(factor.T, noise, upper=True)
    else:
        d = posterior.config.prior_precision
        prior = noise / math.sqrt(d)
        residual = rows @ prior
        residual += torch.randn(len(rows), count, generator=stream, dtype=factor.dtype, device=factor.device)
        shift = prior - rows.T @ torch.cholesky_solve(residual, factor) / d
    mean = outputs(network, x).to(factor.dtype)
    blocks = jacobian_blocks(network, x, mean.shape[1])
    moved = torch.cat([block.to(factor.dtype) @ shift for block in blocks])
    return (mean[:, :, None] + moved).permute(2, 0, 1).contiguous()


def _cholesky(matrix: Tensor) -> Tensor:
    factor, status = torch.linalg.cholesky_ex(matrix)
    if int(status) != 0 or not torch.isfinite(factor).all():
        raise NumericalFailure(
            "The Cholesky factorisation broke down: the curvature is too large beside the prior precision.",
            "Use dtype='float64', rescale the inputs, or take a larger prior_precision. No jitter is added.",
        )
    return factor.contiguous()  # the layout that a file gives back, so that a saved posterior predicts the same bits


def _positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 < value < math.inf):
        raise InvalidInput(f"{name} is {value!r}.", "It must be a finite number larger than 0.")


def _count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(f"{name} is {value!r}.", "It must be a whole number of at least 1.")
