"""What may notice a mutant of an area: its checks, derivation steps and tests, with the lines that each reaches."""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mutants import Marks, rewrite

EXCLUDED = {"quick_run", "wheel_tree", "nt"}  # fixtures: every verdict, an installed tree, neural-tangents


@dataclass(frozen=True)
class Area:
    """The folders whose mathematics is mutated, what in them is none, and what may notice: results and tests below tests/."""

    rooms: tuple[str, ...]
    machinery: frozenset[str]
    results: str  # module:tuple
    tests: tuple[str, ...]
    slowest: float  # seconds; a slower check or test is left out


AREAS = {
    "pac_bayes": Area(
        ("numerics/bounds", "numerics/certified"),
        frozenset({"__init__", "issue", "certificate", "compare", "given", "routes", "recheck"}),
        "nonvacuous.proofs.pac_bayes:PAC_BAYES",
        ("bounds", "certified", "core", "diversity", "held_out", "kl_bounds", "large_deviations", "majority_vote", "other_divergences", "pitfalls", "time_uniform", "variance", "test_worked_numbers.py"),
        20.0,
    ),
    "infinite_width": Area(
        ("numerics/kernels", "numerics/kernels/architectures", "numerics/kernels/duals", "numerics/wide_networks", "numerics/kernel_regression"),
        frozenset({"__init__", "neural_tangents"}),
        "nonvacuous.proofs.infinite_width:INFINITE_WIDTH",
        ("infinite_width",),
        6.0,  # most that train networks take longer
    ),
    "implicit_bias": Area(
        ("numerics/implicit_bias", "numerics/training", "numerics/variational"),
        frozenset({"__init__"}),
        "nonvacuous.proofs.implicit_bias:IMPLICIT_BIAS",
        ("implicit_bias",),
        6.0,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One check, derivation step or test: does it still pass? `reached` are the lines of the rooms it executes."""

    name: str
    passes: Callable[[], bool]
    seconds: float = 0.0
    reached: frozenset[tuple[str, int]] = frozenset()


def check_job(result: Any, check: Any) -> Job:
    """A check of a result, judged as `nonvacuous verify` does, on settings drawn once and without the store."""
    from nonvacuous.numerics.claims import Formula
    from nonvacuous.numerics.randomness import generator
    from nonvacuous.numerics.verdict import judge, judge_formula
    from nonvacuous.proofs.verification import specs

    predict = check.predict or result.predict
    known: dict[Any, Any] = {}
    drawn: list[Any] = []
    tasks: list[Any] = []

    def formula() -> bool:
        claim = check.claim
        if not drawn:  # the first run is of the code as it is: the mutants are judged on the same settings
            rng = generator(0, result.key, "formula")
            drawn.extend(claim.sample(rng) for _ in range(claim.count))
        settings = iter(drawn)
        once = replace(claim, sample=lambda rng: next(settings))
        exact = known.get("exact")
        memory = {(once.expression, once.sample, once.count): exact} if exact else {}
        outcome = judge_formula(once, predict, np.random.default_rng(0), known=memory)
        known["exact"] = next(iter(memory.values()))
        return bool(outcome.ruling == "supported")

    def measured() -> bool:
        if not tasks:
            tasks.extend(specs(result, check, "quick", 0, "cpu"))
        for setting, group in zip(check.settings.of("quick"), tasks, strict=True):
            parts = []
            for _, experiment, given, run in group:
                rows = {k: np.atleast_1d(np.asarray(v)) for k, v in experiment(given, run).items()}
                size = len(next(iter(rows.values())))
                parts.append({**{k: np.repeat(np.asarray(v), size) for k, v in run.block.items()}, **rows})
            joined = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]} if parts else {}
            if judge(check.claim, check.compare(setting, predict(setting), joined)).ruling != "supported":
                return False
        return True

    return Job(f"{result.key}: {check.name}", formula if isinstance(check.claim, Formula) else measured)


def proof_jobs(area: Area, keys: Iterable[str] | None = None) -> Iterator[Job]:
    """The checks and derivation steps of the results with these keys; of the area's by default."""
    from nonvacuous.theory.derivation import replay

    module, _, results = area.results.partition(":")
    for result in getattr(importlib.import_module(module), results):
        if keys is not None and result.key not in keys:
            continue
        for check in result.checks:
            yield check_job(result, check)
        for step in result.derivation:
            yield Job(f"{result.key}: step", functools.partial(lambda s: replay(s).ok is not False, step))


def test_jobs(items: Iterable[Any]) -> Iterator[Job]:
    """The collected tests, without those that repeat everything or need jax, whose threads do not survive a fork."""
    from _pytest.runner import runtestprotocol

    def passes(item: Any) -> bool:
        return all(r.passed or r.skipped for r in runtestprotocol(item, log=False, nextitem=None))

    for item in items:
        if not EXCLUDED & set(item.fixturenames) and "jax" not in inspect.getsource(item.function):
            yield Job(item.nodeid, functools.partial(passes, item))


REACHED: set[tuple[str, int]] = set()


@contextlib.contextmanager
def marking(area: Area) -> Iterator[None]:
    """Within it, executed statements of the area's rooms enter REACHED."""
    every = [(file, module_of(file)) for file in files(area, ())]
    for file, module in every:
        vars(module)["_reached"] = REACHED
        rewrite(Marks(file).visit(ast.parse(Path(file).read_text(encoding="utf-8"))), file, module, ())
    try:
        yield
    finally:
        for file, module in every:
            rewrite(ast.parse(Path(file).read_text(encoding="utf-8")), file, module, ())


def module_of(file: str) -> ModuleType:
    return importlib.import_module("nonvacuous." + file.removesuffix(".py").replace("/", "."))


def traced(job: Job, slowest: float) -> Job | None:
    """The job with its cost and the lines it reaches; None if it does not pass to begin with."""
    REACHED.clear()
    start = time.process_time()
    ok = quietly(job)
    seconds = time.process_time() - start
    if not ok:
        print(f"left out, does not pass unmutated: {job.name}", flush=True)
    return replace(job, seconds=seconds, reached=frozenset(REACHED)) if ok and REACHED and seconds < slowest else None


def quietly(job: Job) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return job.passes()
        except Exception:
            return False


def forget() -> None:
    """Empty every cache that holds values of unmutated code; exact values of `theory` are kept."""
    for thing in gc.get_objects():
        if type(thing) is functools._lru_cache_wrapper and not str(thing.__module__).startswith("nonvacuous.theory"):
            thing.cache_clear()


def files(area: Area, modules: Iterable[str]) -> list[str]:
    """Paths of the named modules (`seeger`, `certified/kl_newton`) in the order of their names, or of all that hold mathematics."""
    every = [str(p) for room in area.rooms for p in sorted(Path(room).glob("*.py")) if p.stem not in area.machinery]
    wanted = [str(name).removesuffix(".py").removeprefix("numerics/") for name in modules]
    if not wanted:
        return every
    return list(dict.fromkeys(f for name in wanted for f in every if f.removesuffix(".py").endswith("/" + name)))


def naming(words: set[str], file: Path) -> set[int]:
    """First lines of the statements that name one of `words`, however many lines they take; all of a function that has one as a default."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.stmt):
            continue
        if isinstance(node, ast.FunctionDef):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            if any(isinstance(n, ast.Name) and n.id in words for d in defaults for n in ast.walk(d)):
                found |= {n.lineno for n in ast.walk(node) if isinstance(n, ast.stmt)}
            continue
        own = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.stmt)]
        if any(
            isinstance(n, ast.Name | ast.Attribute) and getattr(n, "id", getattr(n, "attr", "")) in words
            for c in own
            for n in ast.walk(c)
        ):
            found.add(node.lineno)
    return found
