"""One experiment: run it, and store its rows with who measured them, where and for how long."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..numerics.provenance import environment, peak_memory_mb
from ..numerics.store import Rows, Spec, write_rows
from ..theory.errors import NonvacuousError, StorageError
from .events import Failed, Measured
from .result import Run


def guarded(key: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns, or `Failed`: a worker that raises would end the whole pool."""
    try:
        return function(*arguments)
    except NonvacuousError as error:
        return Failed(key, str(error), error.exit_code, isinstance(error, StorageError), traceback.format_exc())
    except Exception as error:
        return Failed(key, f"{type(error).__name__}: {error}", 4, trace=traceback.format_exc())


def measure(out: Path, spec: Spec, experiment: Any, setting: Any, run: Run) -> Measured:
    """Run one experiment and store its rows with their provenance."""
    rows, provenance = run_experiment(experiment, setting, run)
    write_rows(out, spec, rows, provenance)
    return Measured(spec.key, provenance["seconds"])


def run_experiment(experiment: Any, setting: Any, run: Run) -> tuple[Rows, dict[str, Any]]:
    """The rows of one experiment, and who measured them, where and for how long."""
    start = time.perf_counter()
    rows = {name: np.atleast_1d(np.asarray(value)) for name, value in experiment(setting, run).items()}
    seconds = time.perf_counter() - start
    provenance = {
        **environment(),
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb(),
        "seed": run.seed,
        "block": dict(run.block),
        "device": run.device,
        "dtype": run.dtype,
    }
    return rows, provenance
