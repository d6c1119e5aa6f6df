"""Where tasks run: one after the other, or in a joblib pool. Both yield results as they finish, so that each can be stored."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..theory.errors import InvalidInput, MissingExtra


def serial(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Run in this process."""
    for task in tasks:
        yield function(*task)


def pool(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """Run in `jobs` worker processes. Tasks are drawn one at a time, so a source that stops early stops the run."""
    from joblib import Parallel, delayed

    # one BLAS/torch thread a worker: on few cores more threads make each other wait
    parallel = Parallel(
        n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1, initializer=_let_libraries_in
    )
    with _single_threaded(), warnings.catch_warnings():
        # joblib replaces a worker whose memory grew (torch, a large population) and says so; nothing is lost by it
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
        yield from parallel(delayed(function)(*task) for task in tasks)


GROWTH = 1_000_000_000  # bytes by which a worker may grow


def _let_libraries_in() -> None:
    """In a new worker: PyTorch and its compiler alone take more than the 300 MB by which a worker may grow before joblib replaces it.

    The next one would only import them again, four seconds each time. Without the setting it does, and nothing is lost.
    """
    from joblib.externals.loky import process_executor

    if hasattr(process_executor, "_MAX_MEMORY_LEAK_SIZE"):
        process_executor._MAX_MEMORY_LEAK_SIZE = GROWTH


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


def cluster(
    function: Callable[..., Any],
    tasks: Iterable[tuple[Any, ...]],
    address: str,
    *,
    resources: dict[str, int] | None = None,
) -> Iterator[Any]:
    """Run on the workers of a Dask scheduler; results come as they finish. A task whose worker dies runs again on another one.

    resources: what a task needs of a worker, for example {"GPU": 1}: workers are started with `--resources "GPU=1"`, one to a card.
    Raises `MissingExtra` without dask, `InvalidInput` where no scheduler answers.
    """
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        raise MissingExtra("A cluster needs dask and distributed.", "pip install 'nonvacuous[dask]'") from error
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise InvalidInput(
            f"No Dask scheduler answers at {address!r} ({error}).", "Start one with `dask scheduler`."
        ) from error
    with client:
        futures = [client.submit(function, *task, pure=False, retries=2, resources=resources) for task in tasks]
        try:
            for future in as_completed(futures, loop=client.loop):
                yield future.result()
        finally:
            client.cancel(futures)
