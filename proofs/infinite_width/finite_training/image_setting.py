"""What the convolutional networks of this theme take as inputs: images and the scales of two layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ..settings import Trained


@dataclass(frozen=True, eq=False)
class ImageSetting:
    """Training images (N, height, width, channels) and test images (S, ...) for one convolution, circular padding, and the average over
    positions; sw and sb of the convolution and of the readout."""

    train: Float[np.ndarray, "train height width channels"]
    test: Float[np.ndarray, "test height width channels"]
    filter_size: tuple[int, int]
    activation: Trained
    weight_scale: tuple[float, float]
    bias_scale: tuple[float, float]

    def __post_init__(self) -> None:
        train, test = finite("train", self.train, ndim=4), finite("test", self.test, ndim=4)
        if train.shape[1:] != test.shape[1:]:
            raise InvalidInput(f"Training images are {train.shape[1:]}, test images {test.shape[1:]}.", "Use one size.")
        if len(self.weight_scale) != 2 or len(self.bias_scale) != 2:
            raise InvalidInput("A convolution and a readout have two scales each.")
        if self.activation not in ("relu", "erf"):
            raise InvalidInput(f"activation is {self.activation!r}.", "Use 'relu' or 'erf'.")
