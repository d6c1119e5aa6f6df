"""The main job on real data: a certified network for scikit-learn's handwritten digits (1797 images of 8 x 8, ten classes).

The images are split, at random and before anything else, into a test part, a part for the prior and a part for the bound.
1. Prior: a Gaussian of one fixed scale around a network trained, under noise of that scale, on the prior part and on randomly rotated,
   scaled and shifted copies of it. What the prior is learned from costs nothing, as long as the bound part stays out.
2. Posterior: from the prior, by the PAC-Bayes objective on prior and bound part together.
3. Certificate on the bound part: pb.data_prior over pb.gibbs_mc. The test part is used once, for the comparison.

Inputs are pixels / 16, a constant of the format. The settings were chosen on another data set (MNIST images pooled to 8 x 8, same split
sizes), never by looking at a certificate of these digits: a choice among candidates would have to be paid for.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...theory.errors import InvalidInput, NonvacuousError
from ...theory.statements.pac_bayes.common import FRESH_DRAWS, PRIOR_FIRST, RANDOM_SPLIT
from ...theory.validation import log_inverse_delta, sample_size
from ..bounds import Certificate
from ..bounds import load as load_certificate
from ..methods.data import generator
from ..methods.network import outputs
from ..provenance import peak_memory_mb
from ..randomness import generator as numpy_generator
from ..store import prepare, write_atomically
from .certify import certify
from .checkpoint import identity
from .gaussian import MeanFieldGaussian, from_module, kl_divergence, save
from .losses import Loss, zero_one
from .monte_carlo import draw_risks
from .training import Epoch, TrainingConfig, train

SCHEMA_VERSION = 1
PRIOR_TRAINING = TrainingConfig("risk", epochs=15, batch_size=64, learning_rate=1e-2, pmin=1e-4, train_scales=False)
POSTERIOR_TRAINING = TrainingConfig("quad", epochs=60, batch_size=64, learning_rate=1e-2, pmin=0.05)


@dataclass(frozen=True)
class DigitsConfig:
    """Sizes of the parts, network, training and certification. `copies`: distorted copies of each image that the prior is trained on."""

    test: int = 360
    prior_part: int = 718
    hidden: int = 100
    copies: int = 15
    prior_scale: float = 0.05
    prior_training: TrainingConfig = PRIOR_TRAINING
    posterior_training: TrainingConfig = POSTERIOR_TRAINING
    draws: int = 1_000  # for each image
    test_draws: int = 500
    delta: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("test", "prior_part", "hidden", "draws", "test_draws"):
            sample_size(name, getattr(self, name))
        log_inverse_delta(self.delta)
        if isinstance(self.copies, bool) or not isinstance(self.copies, int) or self.copies < 0:
            raise InvalidInput(f"copies is {self.copies!r}.", "It must be a whole number of at least 0.")


@dataclass(frozen=True)
class Stage:
    """Progress: `done` of `total` steps of the stage `name` (prior, posterior, draws)."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class DigitsReport:
    """What the job found. Risks are 0-1 errors.

    certificate: bounds the true Gibbs risk. empirical_risk: mean over the draws on the bound part. test_gibbs_error: of random draws
    from the posterior; test_mean_error: of the network at the posterior's mean, which is another predictor, that no number here
    bounds. seconds: of computing; reused: the report was found in the folder and not computed again.
    """

    certificate: Certificate
    kl: float
    empirical_risk: float
    test_gibbs_error: float
    test_mean_error: float
    n_prior: int
    n_bound: int
    n_test: int
    parameters: int
    draws: int
    seconds: float
    peak_memory_mb: float
    reused: bool


@dataclass(frozen=True, eq=False)
class DigitsSplit:
    """Inputs in [0, 1] and labels of the three parts."""

    test: tuple[Tensor, Tensor]
    prior: tuple[Tensor, Tensor]
    bound: tuple[Tensor, Tensor]

    @property
    def training(self) -> tuple[Tensor, Tensor]:
        """Prior and bound part together: what the posterior may use."""
        return torch.cat([self.prior[0], self.bound[0]]), torch.cat([self.prior[1], self.bound[1]])


def certify_digits(
    out: Path,
    config: DigitsConfig | None = None,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[Stage], None] | None = None,
) -> DigitsReport:
    """Train, certify and test; write `certificate.json`, `digits.json` and both Gaussians into `out`.

    A second call with the same settings returns the stored report; an interrupted one goes on from its last epoch. On one
    thread. Raises `InvalidInput` or `StorageError`.
    """
    settings = config or DigitsConfig()
    prepare(out)
    split = digits_split(settings)
    name = identity(
        (settings, str(device), torch.__version__),
        {"x": torch.cat([split.test[0], split.training[0]])},
        (certify_digits,),
    )
    stored = _stored(out, name)
    if stored is not None:
        return stored
    with _one_thread():
        return _compute(out, settings, split, name, device, progress or (lambda stage: None))


def digits_split(config: DigitsConfig) -> DigitsSplit:
    """Test, prior and bound part: a random permutation that depends on the seed alone. Raises `InvalidInput`."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    if config.test + config.prior_part >= len(images):
        raise InvalidInput(
            f"{config.test} images for the test and {config.prior_part} for the prior leave none of {len(images)} for the bound."
        )
    order = numpy_generator(config.seed, "digits: split").permutation(len(images))
    x, y = torch.as_tensor(images[order] / 16, dtype=torch.float32), torch.as_tensor(labels[order], dtype=torch.int64)
    ends = (0, config.test, config.test + config.prior_part, len(images))
    parts = [(x[low:high], y[low:high]) for low, high in itertools.pairwise(ends)]
    return DigitsSplit(*parts)


def distorted(x: Float[Tensor, "images 64"], copies: int, stream: torch.Generator) -> Float[Tensor, "more 64"]:
    """`x` followed by `copies` versions of it, each image rotated by up to 0.2 rad, scaled by 10 percent, shifted by half a pixel."""

    def uniform(limit: float) -> Tensor:
        return (2 * torch.rand(len(x), generator=stream) - 1) * limit

    found = [x]
    for _ in range(copies):
        angle, size = uniform(0.2), 1 + uniform(0.1)
        turn = torch.stack(
            [size * angle.cos(), -size * angle.sin(), size * angle.sin(), size * angle.cos()], 1
        ).reshape(-1, 2, 2)
        # a pixel is 2/8 of the grid's extent
        affine = torch.cat([turn, torch.stack([uniform(0.125), uniform(0.125)], 1)[:, :, None]], 2)
        grid = nn.functional.affine_grid(affine, [len(x), 1, 8, 8], align_corners=False)
        image = nn.functional.grid_sample(x.reshape(-1, 1, 8, 8), grid, align_corners=False)
        found.append(image.reshape(len(x), 64))
    return torch.cat(found)


def digits_network(hidden: int, stream: torch.Generator) -> nn.Module:
    """64 - hidden - 10 with ReLU, He-normal weights and zero biases, from an explicit generator."""
    # skip_init leaves torch's global random state alone
    layers = [nn.utils.skip_init(nn.Linear, *sizes) for sizes in ((64, hidden), (hidden, 10))]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=stream) * math.sqrt(2 / layer.in_features))
            layer.bias.zero_()
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


def _compute(
    out: Path,
    config: DigitsConfig,
    split: DigitsSplit,
    name: str,
    device: str | torch.device,
    tell: Callable[[Stage], None],
) -> DigitsReport:
    began = time.perf_counter()

    def epochs(stage: str) -> Callable[[Epoch], None]:
        return lambda event: tell(Stage(stage, event.epoch, event.epochs))

    cpu = torch.device("cpu")
    network = digits_network(config.hidden, generator(config.seed, "digits: weights", cpu))
    x = distorted(split.prior[0], config.copies, generator(config.seed, "digits: copies", cpu))
    y = split.prior[1].repeat(1 + config.copies)
    start = from_module(network, config.prior_scale, device=device)
    prior = train(start, (x, y), config.prior_training, seed=config.seed, checkpoint=out, progress=epochs("prior"))
    n_bound = len(split.bound[0])
    posterior = train(
        prior, split.training, config.posterior_training,
        seed=config.seed, prior=prior, n_bound=n_bound, checkpoint=out, progress=epochs("posterior"),
    )  # fmt: skip
    certificate = certify(
        posterior, prior=prior, data=split.bound, delta=config.delta, seed=config.seed, n_prior=len(split.prior[0]),
        draws=config.draws, device=device, progress=lambda event: tell(Stage("draws", event.draws, event.total)),
    )  # fmt: skip
    # true by construction here; that the images are i.i.d. remains for the reader to believe
    certificate = certificate.confirm(FRESH_DRAWS.name, PRIOR_FIRST.name, RANDOM_SPLIT.name)
    gibbs, mean = _test_errors(posterior, split.test, config)
    save(prior, out / "prior.safetensors")
    save(posterior, out / "posterior.safetensors")
    certificate.save(out / "certificate.json")
    report = DigitsReport(
        certificate=certificate,
        kl=kl_divergence(posterior, prior),
        empirical_risk=float(certificate.parts["risk"].inputs["risk"]),
        test_gibbs_error=gibbs,
        test_mean_error=mean,
        n_prior=len(split.prior[0]),
        n_bound=n_bound,
        n_test=len(split.test[0]),
        parameters=posterior.parameters,
        draws=config.draws,
        seconds=time.perf_counter() - began,
        peak_memory_mb=peak_memory_mb(),
        reused=False,
    )
    content = {"schema_version": SCHEMA_VERSION, "identity": name, **figures(report)}
    write_atomically(out / "digits.json", (json.dumps(content, indent=2) + "\n").encode())
    return report


def _test_errors(
    posterior: MeanFieldGaussian, test: tuple[Tensor, Tensor], config: DigitsConfig
) -> tuple[float, float]:
    x, y = (part.to(posterior.network.device) for part in test)
    drawn = draw_risks(posterior, x, y, Loss("zero_one"), draws=config.test_draws, seed=config.seed + 1)
    return float(drawn.per_draw.mean()), float(zero_one(outputs(posterior.network, x), y).double().mean())


def figures(report: DigitsReport) -> dict[str, Any]:
    """The report's numbers as plain data, without the certificate (which has a file of its own)."""
    found = {
        name: getattr(report, name)
        for name in DigitsReport.__dataclass_fields__
        if name not in ("certificate", "reused")
    }
    return {**found, "certified_risk": report.certificate.value, "delta": report.certificate.delta}


def _stored(out: Path, name: str) -> DigitsReport | None:
    """The report in the folder, if it is the one of these settings and whole; otherwise it is computed again."""
    try:
        content = json.loads((out / "digits.json").read_text(encoding="utf-8"))
        certificate = load_certificate(out / "certificate.json")
        if (
            content["identity"] != name
            or content["schema_version"] != SCHEMA_VERSION
            or content["certified_risk"] != certificate.value
        ):
            return None
        fields = {
            key: content[key] for key in DigitsReport.__dataclass_fields__ if key not in ("certificate", "reused")
        }
        return DigitsReport(certificate=certificate, reused=True, **fields)
    except (OSError, ValueError, KeyError, TypeError, NonvacuousError):
        return None


@contextmanager
def _one_thread() -> Iterator[None]:
    # The matrices are small: a second thread costs more than it brings, and sums would depend on the number of cores.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
