"""The images of `image_comparison.py`: splits of one file, spoiled copies of its test images, and photographs that are no digits at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nonvacuous.numerics.metrics import CORRUPTIONS, corrupt
from nonvacuous.numerics.randomness import generator

CLEAN, PHOTOGRAPHS = "clean", "photographs"


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs standardised by the training pixels' mean and deviation, (N, 1, height, width) in float32 on the device, and labels.

    tests: the test images by the name of what was done to them; labels are those of `labels`, photographs have none.
    """

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    tests: Mapping[str, Tensor]
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Images:
    """Grey images in [0, 1], shuffled once; the last `test` of them are the test images of every seed."""

    pixels: np.ndarray
    labels: np.ndarray
    digest: str

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1


def read(path: Path) -> Images:
    """An .npz file with `images` (N, height, width) of bytes and `labels` (N,)."""
    with np.load(path, allow_pickle=False) as file:
        pixels, labels = file["images"], file["labels"].astype(np.int64)
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or labels.shape != (len(pixels),):
        raise SystemExit(f"{path.name}: 'images' must be bytes (N, height, width), 'labels' (N,).")
    order = generator(0, "image comparison", "order").permutation(len(pixels))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Images(pixels[order] / 255.0, labels[order], digest)


def split(
    images: Images, *, seed: int, train: int, validation: int, test: int, severities: tuple[int, ...], device: str
) -> Split:
    """Training and validation images drawn by the seed from all that are not test images."""
    rest = len(images.pixels) - test
    if train + validation > rest:
        raise SystemExit(f"The file has {len(images.pixels)} images; {train + validation + test} are needed.")
    order = generator(seed, "image comparison", "split").permutation(rest)
    mine, held = order[:train], order[train : train + validation]
    mean, scale = images.pixels[mine].mean(), images.pixels[mine].std()

    def tensor(pixels: np.ndarray) -> Tensor:
        return torch.as_tensor((pixels - mean) / scale, dtype=torch.float32, device=device)[:, None]

    def part(rows: np.ndarray) -> tuple[Tensor, Tensor]:
        return tensor(images.pixels[rows]), torch.as_tensor(images.labels[rows], device=device)

    clean = images.pixels[rest:]
    tests = {CLEAN: tensor(clean)}
    # the same spoiled images for every method and every seed
    tests |= {f"{kind} {s}": tensor(corrupt(clean, kind, s, seed=0)) for kind in CORRUPTIONS for s in severities}
    tests[PHOTOGRAPHS] = tensor(patches(*clean.shape[1:]))
    return Split(part(mine), part(held), tests, images.labels[rest:])


@cache
def patches(height: int, width: int) -> np.ndarray:
    """Grey patches, side by side, of the two photographs that scikit-learn ships."""
    from sklearn.datasets import load_sample_images

    found = []
    for photograph in load_sample_images().images:
        grey = photograph.mean(2) / 255
        rows, columns = grey.shape[0] // height, grey.shape[1] // width
        cut = grey[: rows * height, : columns * width].reshape(rows, height, columns, width)
        found.append(cut.transpose(0, 2, 1, 3).reshape(-1, height, width))
    return np.concatenate(found)
