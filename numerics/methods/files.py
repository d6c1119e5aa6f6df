"""Posteriors on disk: one safetensors file with the weights, the factors and a few facts. Nothing is pickled."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...theory.errors import InvalidInput, StorageError
from ..store import umask
from .network import FrozenNetwork, freeze

FORMAT = "nonvacuous-posterior-1"


def write_posterior(
    path: str | Path, network: FrozenNetwork, factors: dict[str, Tensor], facts: dict[str, str]
) -> None:
    """Write atomically: a reader sees the old file or the whole new one. Raises `StorageError`."""
    groups = {"random": network.random, "fixed": network.fixed, "factor": factors}
    tensors = {
        f"{group}/{name}": value.detach().cpu().contiguous().clone()
        for group, members in groups.items()
        for name, value in members.items()
    }
    target = Path(path)
    try:
        with tempfile.TemporaryDirectory(prefix=".posterior-", dir=target.parent) as folder:
            part = Path(folder) / "part"
            save_file(tensors, part, metadata={"format": FORMAT, **facts})
            part.chmod(0o666 & ~umask())  # as any other file that the user writes
            os.replace(part, target)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"The posterior cannot be written to {target}: {error}", "Choose a writable path."
        ) from error


def read_facts(path: str | Path, method: str) -> dict[str, str]:
    """The facts of a file, without its tensors. Raises as `read_posterior`."""
    source = Path(path)
    if not source.is_file():
        raise StorageError(f"There is no file {source}.", "Give the path that was passed to save.")
    try:
        with safe_open(source, framework="pt", device="cpu") as file:
            facts = dict(file.metadata() or {})
    except SafetensorError as error:
        raise InvalidInput(
            f"{source} is not a safetensors file ({error}).", "Only files written by save can be read."
        ) from error
    except OSError as error:
        raise StorageError(f"{source} cannot be read: {error}", "Check its permissions.") from error
    if facts.get("format") != FORMAT or facts.get("method") != method:
        raise InvalidInput(
            f"{source} is no {method} posterior (format {facts.get('format')!r}, method {facts.get('method')!r}).",
            "Only files written by the same method's save can be read.",
        )
    return facts


def read_posterior(
    path: str | Path, model: nn.Module, method: str, device: str | torch.device
) -> tuple[FrozenNetwork, dict[str, Tensor], dict[str, str]]:
    """The network, the factors and the facts of a file. `model` supplies the architecture, the file every number.

    Raises `StorageError` when the file cannot be opened, `InvalidInput` when it is something else or does not fit.
    """
    source, facts = Path(path), read_facts(path, method)
    try:
        with safe_open(source, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"{source} cannot be read: {error}", "Check its permissions.") from error
    groups: dict[str, dict[str, Tensor]] = {"random": {}, "fixed": {}, "factor": {}}
    network = freeze(model, device)
    for name, value in tensors.items():
        group, _, member = name.partition("/")
        groups.setdefault(group, {})[member] = value.clone().to(network.device)  # aligned memory, free of the file
    for group, found in (("random", network.random), ("fixed", network.fixed)):
        expected = {name: (tuple(value.shape), value.dtype) for name, value in groups[group].items()}
        if expected != {name: (tuple(value.shape), value.dtype) for name, value in found.items()}:
            raise InvalidInput(
                f"The model's {group} tensors are not those in {source}.",
                "Pass the same architecture, in the same dtype, with the same parameters frozen.",
            )
    # The order of the file is alphabetical; the factors follow the order of the model's parameters.
    random = {name: groups["random"][name] for name in network.random}
    fixed = {name: groups["fixed"][name] for name in network.fixed}
    return FrozenNetwork(network.module, random, fixed), groups["factor"], facts
