"""What trained torch classifiers say about examples, for the majority-vote bounds of `nonvacuous.bounds`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...theory.errors import InvalidInput
from ..bounds.majority_vote_data import Votes
from ..methods.network import freeze, outputs
from .monte_carlo import labelled_data

BATCH = 4096


def votes_from_modules(
    modules: Sequence[nn.Module], data: Any, *, valid: Any = None, device: str | torch.device = "cpu"
) -> Votes:
    """The class that each module names for each example, for `certify_votes` and `stochastic_majority_vote`.

    modules: fixed functions of one input (eval mode), with one output for each class; the class is that of the largest output, the first of
    several. They need not share an architecture, and are not modified. data: (inputs (n, ...), labels (n,)) or an iterable of such
    batches. valid: (voters, examples) booleans, False where an example helped to train the voter; None when none did: a vote on an example
    that the voter was trained on certifies nothing. Raises `InvalidInput`, `AssumptionViolated`.
    """
    voters = list(modules) if isinstance(modules, (list, tuple, nn.ModuleList)) else []
    if not voters or not all(isinstance(module, nn.Module) for module in voters):
        raise InvalidInput("modules is no list of torch modules.", "Pass the voters in a list.")
    # a voter whose parameters are frozen is as good as any
    networks = [freeze(copy.deepcopy(module).requires_grad_(), device) for module in voters]
    x, y = labelled_data(data, networks[0])
    said: list[NDArray[Any]] = []
    for k, network in enumerate(networks):
        if k:
            labelled_data((x, y), network)
        with torch.no_grad():
            found = torch.cat([outputs(network, inputs) for inputs in x.split(BATCH)])
        said.append(found.argmax(-1).cpu().numpy())
    return Votes(np.array(said), y.cpu().numpy(), None if valid is None else np.asarray(valid))
