"""The inputs on which finite width is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..dynamics import ensemble_law
from ..settings import EnsembleSetting
from .image_setting import ImageSetting

EXAMPLE = replace(ensemble_law.EXAMPLE, labels=np.array([1.0, -0.5, 0.25, -1.0]))
# the instance of the published table: five training and three test inputs of normal entries
FIVE = EnsembleSetting(
    np.array(
        [
            [2.0409, -2.5557, 0.4181],
            [-0.5678, -0.4526, -0.2156],
            [-2.0200, -0.2319, -0.8652],
            [3.3230, 0.2258, -0.3526],
            [-0.2813, -0.6680, -1.0552],
        ]
    ),
    np.array([[-0.3908, 0.4819, -0.2386], [0.9578, -0.1998, 0.0243], [1.5458, 0.5451, -0.5052]]),
    np.array([1.0, -0.5, 0.25, -1.0, 0.75]),
    "erf",
    (1.5, 1.5),
    (0.3, 0.3),
)
# two orthogonal training inputs, on which descent is fast
TWO_POINTS = replace(
    EXAMPLE,
    train=np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]),
    test=np.array([[1.0, 1.0, 0.0], [1.0, -0.5, 0.5]]),
    labels=np.array([1.0, -0.5]),
)
TWO_LAYERS = replace(FIVE, weight_scale=(1.5, 1.5, 1.5), bias_scale=(0.3, 0.3, 0.3))
RECTIFIED = replace(FIVE, activation="relu")


def _signals(*rows: list[float]) -> np.ndarray:
    """Signals of one channel as images of height 1."""
    return np.array(rows)[:, None, :, None]


# four training and two test signals of six positions
SIGNALS = ImageSetting(
    _signals(
        [1.2, -0.4, 0.7, 0.1, -1.5, 0.6],
        [-0.9, -1.1, 0.2, 1.6, 0.8, -0.3],
        [0.3, 0.5, -0.2, -0.8, 0.4, 0.9],
        [2.0, 1.4, -0.6, 0.2, -0.1, 1.1],
    ),
    _signals([0.2, -0.7, 1.0, 0.6, -0.4, -1.3], [-1.6, 0.9, 0.5, -0.2, 1.3, 0.1]),
    (1, 3),
    "erf",
    (1.5, 1.5),
    (0.3, 0.3),
)
