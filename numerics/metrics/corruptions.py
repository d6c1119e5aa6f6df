"""Images spoiled on purpose: noise, blur, rotation, loss of contrast, in five severities.

Our own definitions, which are no published benchmark's; lengths are relative to the image's side, so that they mean the same at any
resolution. Deterministic for a seed: the k-th image of a batch meets the same noise and turns the same way in every severity and whatever
follows it, which pairs severities and methods. Severity 0 is the image itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ...theory.errors import InvalidInput
from ..randomness import generator

Images = Float[np.ndarray, "images height width"]

# by severity 1 to 5: standard deviation of the noise; that of the blur, in image sides; degrees; share of the contrast that is left
CORRUPTIONS: dict[str, tuple[float, ...]] = {
    "noise": (0.1, 0.2, 0.3, 0.45, 0.6),
    "blur": (0.02, 0.04, 0.06, 0.08, 0.1),
    "rotation": (10.0, 20.0, 30.0, 45.0, 60.0),
    "contrast": (0.7, 0.5, 0.35, 0.2, 0.1),
}


def corrupt(images: Any, kind: str, severity: int, *, seed: int) -> Images:
    """Copies of grey images with values in [0, 1], spoiled and cut to [0, 1], in float64.

    noise: Gaussian, independent pixels. blur: Gaussian, edges reflected, cut at 4 standard deviations. rotation: to a random side, bilinear,
    0 outside. contrast: towards the image's mean. Raises `InvalidInput`.
    """
    given = np.asarray(images)
    if given.ndim != 3 or 0 in given.shape or given.dtype.kind != "f":
        raise InvalidInput(
            f"Images have shape {given.shape} and dtype {given.dtype}.", "Pass floats (images, height, width)."
        )
    x = given.astype(np.float64)
    if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
        raise InvalidInput("A pixel lies outside [0, 1].", "Scale the images first, for example by 1/255.")
    if kind not in CORRUPTIONS:
        raise InvalidInput(f"There is no corruption {kind!r}.", f"Choose one of {', '.join(CORRUPTIONS)}.")
    if isinstance(severity, bool) or not isinstance(severity, (int, np.integer)) or not 0 <= severity <= 5:
        raise InvalidInput(f"severity is {severity!r}.", "It is 0 (none) to 5.")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidInput(f"The seed is {seed!r}.", "Pass a whole number of at least 0.")
    if severity == 0:
        return x
    strength = CORRUPTIONS[kind][severity - 1]
    draws = generator(int(seed), "corruption", kind)
    if kind == "noise":
        x = x + strength * draws.standard_normal(x.shape)
    elif kind == "blur":
        x = ndimage.gaussian_filter(
            x, (0.0, strength * x.shape[1], strength * x.shape[2]), mode="reflect", truncate=4.0
        )
    elif kind == "rotation":
        left = draws.random(len(x)) < 0.5
        x = np.where(left[:, None, None], rotated(x, strength), rotated(x, -strength))
    else:
        x = strength * x + (1 - strength) * x.mean((1, 2), keepdims=True)
    return np.clip(x, 0.0, 1.0)


def rotated(images: Images, degrees: float) -> Images:
    """Counterclockwise about the centre, bilinear, 0 outside."""
    return ndimage.rotate(images, degrees, axes=(1, 2), reshape=False, order=1, mode="constant", cval=0.0)
