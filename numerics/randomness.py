"""Explicit seeds: every stream of random numbers is derived from one seed and a name, and nothing is seeded globally."""

from __future__ import annotations

import hashlib

import numpy as np


def sub_seed(seed: int, *names: object) -> int:
    """A 63-bit seed derived from `seed` and the printed form of `names`; distinct names give unrelated streams."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator for the stream called `names`."""
    return np.random.default_rng(sub_seed(seed, *names))
