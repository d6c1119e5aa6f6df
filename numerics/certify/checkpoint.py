"""The state of a training run on disk: one safetensors file, replaced atomically, named by what is being trained.

The file's name is a digest of the settings, the data, the starting point and the code: a run goes on from its own state or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...theory.errors import InvalidInput, StorageError
from ..digests import code_digest, content_digest, source_modules
from ..store import write_atomically

FORMAT = "nonvacuous-training-1"


@dataclass(frozen=True, eq=False)
class TrainingState:
    """After `epoch` epochs: the trained tensors, the optimizer's state of each, and what was measured so far."""

    epoch: int
    variables: tuple[Tensor, ...]
    optimizer: dict[str, Any]
    history: tuple[Mapping[str, float], ...]


def identity(settings: Any, tensors: Mapping[str, Tensor], code: Sequence[Any]) -> str:
    """Digest of a dataclass or tuple of settings, of tensors, and of the sources of the functions in `code`."""
    arrays = {name: _array(value.detach().cpu()) for name, value in tensors.items()}
    return content_digest((settings, arrays, code_digest(source_modules(code))))


def path_of(folder: str | Path, name: str) -> Path:
    """Where the state of the run called `name` lies."""
    try:
        return Path(folder) / f"training-{name}.safetensors"
    except TypeError as error:
        raise InvalidInput(f"checkpoint is {folder!r}.", "Name a folder.") from error


def write_state(path: Path, state: TrainingState) -> None:
    """Replace the stored state. Raises `StorageError`."""
    tensors = {f"variable/{index}": value.detach() for index, value in enumerate(state.variables)}
    for index, entries in state.optimizer["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value.detach() for name, value in entries.items() if value is not None}
    facts = {
        "format": FORMAT,
        "epoch": str(state.epoch),
        "history": json.dumps([dict(entry) for entry in state.history]),
    }
    write_atomically(
        path, save({name: value.cpu().contiguous().clone() for name, value in tensors.items()}, metadata=facts)
    )


def _array(value: Tensor) -> Any:
    """The tensor's content for a digest; NumPy has no bfloat16, so its bits stand for it."""
    return ("bfloat16", value.view(torch.int16).numpy()) if value.dtype == torch.bfloat16 else value.numpy()


def read_state(path: Path, variables: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> TrainingState | None:
    """The stored state, its tensors on the device of `variables`; None where there is none. Raises `InvalidInput`, `StorageError`."""
    if not path.is_file():
        return None
    advice = "Delete it; the training starts again."
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise InvalidInput(f"{path} is no training state ({error}).", advice) from error
    except OSError as error:
        raise StorageError(f"{path} could not be read ({error}).", "Check its permissions.") from error
    try:
        if facts.pop("format") != FORMAT:
            raise ValueError("another format")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            group, _, rest = name.partition("/")
            if group == "optimizer":
                index, _, entry = rest.partition("/")
                state.setdefault(int(index), {})[entry] = value
        trained = tuple(tensors[f"variable/{index}"] for index in range(len(variables)))
        if any(
            a.shape != b.shape or a.dtype != b.dtype or not torch.isfinite(a).all()
            for a, b in zip(trained, variables, strict=True)
        ):
            raise ValueError("its tensors do not fit")
        return TrainingState(
            epoch=int(facts["epoch"]),
            variables=tuple(value.to(like.device) for value, like in zip(trained, variables, strict=True)),
            optimizer={"state": state, "param_groups": optimizer.state_dict()["param_groups"]},
            history=tuple(json.loads(facts["history"])),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is no training state of this run ({error}).", advice) from error
