"""The levers of smoothness pulled on trained networks: each must lower the measured inverse rate of the test loss.

Every replicate is a training set of its own. Its networks share data and initialisation and differ in one lever; the base network
interpolates. The measured quantity is the plug-in inverse rate at s nats on one large test set, far below the rate at which it saturates.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ....numerics.claims import Ordering, Paired
from ....numerics.large_deviations.inverse_rate import inverse_rate
from ....numerics.randomness import generator, sub_seed
from ....numerics.store import Rows
from ...result import ByBudget, Check, Control, Run

if TYPE_CHECKING:
    from torch import Tensor

INPUTS, POINTS, TEST = 4, 40, 2000
# (rougher, smoother): columns of the experiment
ORDERS = (
    ("base", "weight decay"),
    ("base", "gradient penalty"),
    ("base", "augmentation"),
    ("single", "averaged loss"),
    ("random labels", "base"),
)


def data(shape: tuple[int, ...], stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian inputs; the label does not change when the first or the second coordinate changes its sign."""
    x = stream.normal(size=(*shape, INPUTS))
    return x, (np.abs(x[..., 0]) + np.abs(x[..., 1]) + 0.3 * x[..., 2] > 1.3).astype(np.int64)


def pull_levers(setting: Any, run: Run) -> Mapping[str, Any]:
    """Inverse rates at setting.s, one row for each training set; columns as in ORDERS. Blocks: replicates, width, steps."""
    import torch

    from ....numerics.training.classifiers import Levers, train_classifiers

    members = run.block["replicates"]
    stream = generator(run.seed, "levers: data")
    test_x, test_y = data((TEST,), stream)
    x, y = data((members, POINTS), stream)
    noise = stream.integers(0, 2, size=y.shape)

    def place(values: np.ndarray) -> Tensor:
        dtype = torch.float32 if values.dtype == np.float64 else torch.int64
        return torch.as_tensor(values, dtype=dtype, device=run.device)

    def losses(inputs: np.ndarray, labels: np.ndarray, name: str = "first", **levers: float) -> np.ndarray:
        trained = train_classifiers(
            place(inputs), place(labels), classes=2, width=run.block["width"], steps=run.block["steps"], learning_rate=0.02,
            seed=sub_seed(run.seed, "levers", name), levers=Levers(**levers),
        )  # fmt: skip
        found = trained.log_losses(place(test_x), place(test_y))
        return np.asarray(found.detach().cpu().numpy(), dtype=np.float64)

    def rates(values: np.ndarray) -> np.ndarray:
        return np.asarray(inverse_rate(values, setting.s).value, dtype=np.float64)

    base, second = losses(x, y), losses(x, y, "second")
    flips = [np.array([a, b, 1.0, 1.0]) for a in (1.0, -1.0) for b in (1.0, -1.0)]
    copies = np.concatenate([x * flip for flip in flips], axis=1)
    return {
        "base": rates(base),
        "weight decay": rates(losses(x, y, weight_decay=0.01)),
        "gradient penalty": rates(losses(x, y, gradient_penalty=3.0)),
        "augmentation": rates(losses(copies, np.concatenate([y] * len(flips), axis=1))),
        "random labels": rates(losses(x, noise)),
        "single": (rates(base) + rates(second)) / 2,
        "averaged loss": rates((base + second) / 2),
    }


def compare(setting: Any, prediction: Any, rows: Rows, *, turned: int | None = None) -> Paired:
    """Inverse rate of the rougher network minus that of the smoother one; `turned` claims one order the other way round."""
    differences = np.stack([rows[rough] - rows[smooth] for rough, smooth in ORDERS])
    if turned is not None:
        differences[turned] *= -1
    return Paired(differences)


def network_check(setting: Any) -> Check:
    """The check, at one setting, whose `s` is the price in nats at which inverse rates are compared."""
    return Check(
        "each lever lowers the inverse rate of trained networks",
        Ordering(),
        settings=ByBudget(quick=(setting,)),
        experiment=pull_levers,
        compare=compare,
        plan=ByBudget(
            quick=({"replicates": 48, "width": 32, "steps": 200},),
            standard=({"replicates": 128, "width": 256, "steps": 500},),
            full=({"replicates": 256, "width": 1024, "steps": 1000},),
        ),
        controls=tuple(
            Control(f"{smooth} rougher than {rough}", {"compare": partial(compare, turned=index)})
            for index, (rough, smooth) in enumerate(ORDERS)
        ),
    )
