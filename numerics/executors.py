"""Where tasks run: one after the other, or in a joblib pool. Both yield results as they finish, so that each can be stored."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def serial(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Run in this process."""
    for task in tasks:
        yield function(*task)


def pool(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """Run in `jobs` worker processes. Tasks are drawn one at a time, so a source that stops early stops the run."""
    from joblib import Parallel, delayed

    # one BLAS/torch thread a worker: on few cores more threads make each other wait
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1)
    with _single_threaded(), warnings.catch_warnings():
        # joblib replaces a worker whose memory grew (torch, a large population) and says so; nothing is lost by it
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
        yield from parallel(delayed(function)(*task) for task in tasks)


class _single_threaded:
    NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.NAMES}
        os.environ.update(dict.fromkeys(self.NAMES, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def execute(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """`serial` for one job, `pool` otherwise."""
    return serial(function, tasks) if jobs == 1 else pool(function, tasks, jobs)
