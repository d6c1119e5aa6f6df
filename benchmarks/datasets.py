"""Data sets of the benchmarks: scikit-learn's digits, and what lies in the folder named by NONVACUOUS_DATA (skipped without it)."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Parts:
    """Inputs and labels of the parts for the prior, for the bound, and for the test; disjoint, shuffled by one seed."""

    name: str
    prior: tuple[np.ndarray, np.ndarray]
    bound: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classes: int


def split(
    name: str, x: np.ndarray, y: np.ndarray, *, test: float = 0.2, seed: int = 0, standardise: bool = False
) -> Parts:
    """A fifth for the test; of the rest, half for the prior. Standardising constants come from the prior's part alone."""
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order].astype(np.int64)
    ends = (0, round(test * len(x)), round((test + (1 - test) / 2) * len(x)), len(x))
    pieces = [(x[a:b], y[a:b]) for a, b in itertools.pairwise(ends)]
    if standardise:
        mean, scale = pieces[1][0].mean(0), pieces[1][0].std(0) + 1e-6
        pieces = [((a - mean) / scale, b) for a, b in pieces]
        pieces = [((a / np.sqrt(a.shape[1])).astype(np.float32), b) for a, b in pieces]
    return Parts(name, pieces[1], pieces[2], pieces[0], int(y.max()) + 1)


def digits() -> Parts:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return split("digits", x / 16, y)


def folder() -> Path | None:
    found = os.environ.get("NONVACUOUS_DATA")
    return Path(found) if found else None


def mnist(path: Path) -> Parts:
    with np.load(path / "mnist_t10k.npz", allow_pickle=False) as file:
        return split("MNIST, 10,000 images", file["images"].reshape(-1, 784) / 255, file["labels"])


def spambase(path: Path) -> Parts:
    table = np.loadtxt(path / "binary" / "spambase.data", delimiter=",")
    return split("spambase", np.log1p(table[:, :-1]), table[:, -1], standardise=True)


def chess(path: Path) -> Parts:
    rows = [line.split(",") for line in (path / "binary" / "kr-vs-kp.data").read_text().split()]
    columns = list(zip(*rows, strict=True))
    x = np.stack([np.array(c) == v for c in columns[:-1] for v in sorted(set(c))[1:]], axis=1).astype(float)
    return split("kr-vs-kp", x, np.array(columns[-1]) == "won", standardise=True)


def available() -> list[Parts]:
    path = folder()
    return [digits()] + ([mnist(path), spambase(path), chess(path)] if path is not None and path.is_dir() else [])
