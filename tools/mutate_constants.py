"""Change every constant, sign, term and rounding of an area, one at a time, and list the changes that nothing notices.

`python tools/mutate_constants.py [MODULE ...] [--area A] [--jobs N] [--sample K --seed S] [--seconds T] [--json FILE]` works on a
copy of the tree. One process imports everything and runs each check, derivation step and test of the area once, noting the lines
that it reaches. Every mutant is then a fork of that process, which exchanges the code of the mutated module in place (so that every
reference sees it) and runs what reaches the mutated lines, cheapest first, until something turns red or T seconds' worth has run.
Survivors are printed (exit code 1): each is a hole in the suite or an equivalent mutant, for instance a bound looser by an ulp.
`--json` keeps the verdicts; a second run with the same file repeats only what survived.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

from mutants import Mutant, apply, mutants
from mutation_jobs import AREAS, Job, files, forget, marking, module_of, naming, proof_jobs, quietly, test_jobs, traced

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("nonvacuous", "theory", "numerics", "proofs", "tests", "tools", "pyproject.toml")
Kills = Counter[tuple[str, str, str]]  # of (file, function, name of the job)


def concerned(mutant: Mutant, jobs: list[Job], kills: Kills, seconds: float, rooms: tuple[str, ...]) -> list[Job]:
    """The jobs that reach the mutated lines, likeliest and cheapest first, up to so many seconds in all."""
    lines = {(mutant.file, line) for line in range(mutant.lines[0], mutant.lines[1] + 1)}
    if mutant.names:  # a module's constant is reached wherever it, or a constant made from it, is named
        words = set(mutant.names)
        own = Path(mutant.file).read_text(encoding="utf-8").splitlines()
        for _ in range(3):
            pattern = re.compile(r"\b(" + "|".join(words) + r")\b")
            words |= {m.group(1) for row in own if pattern.search(row) and (m := re.match(r"(\w+)\b.*=", row))}
        lines = {
            (str(p), line) for room in rooms for p in sorted(Path(room).rglob("*.py")) for line in naming(words, p)
        }
    found = [job for job in jobs if job.reached & lines]
    where = (mutant.file, mutant.function)
    found.sort(key=lambda j: (-kills[(*where, j.name)], j.seconds))
    total = 0.0
    chosen: list[Job] = []
    for job in found:
        total += job.seconds
        if total < seconds or not chosen:
            chosen.append(job)
    return chosen


def judged(mutant: Mutant, module: ModuleType, jobs: list[Job]) -> tuple[int, int]:
    """Fork; the child mutates itself and runs the jobs, writing the name of each to the pipe before it begins. (pid, pipe)"""
    readable, writable = os.pipe()
    child = os.fork()
    if child:
        os.close(writable)
        return child, readable
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1), os.dup2(null, 2)
    try:
        os.write(writable, b"applying\n")
        apply(mutant, module)
        for job in jobs:
            os.write(writable, f"{job.name}\n".encode())
            signal.alarm(int(10 + 8 * job.seconds))  # a mutant that hangs is noticed too
            if not quietly(job):
                os._exit(1)
        os._exit(0)
    except BaseException as error:
        os.write(writable, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)


class Campaign:
    """A pytest plugin: where pytest would run the collected tests, all jobs are traced and the mutants are tried."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.survivors, self.area = options, 0, AREAS[options.area]

    def pytest_collection(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile(
            "mutants", settings(), phases=(Phase.explicit, Phase.generate), report_multiple_bugs=False
        )
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: Any) -> bool:
        import nonvacuous

        assert Path(nonvacuous.__file__).is_relative_to(Path.cwd()), nonvacuous.__file__
        options, area = self.options, self.area
        begun = time.perf_counter()
        with marking(area):
            proofs = proof_jobs(area, options.keys) if options.keys or not options.tests else ()
            jobs = [
                job for candidate in [*proofs, *test_jobs(session.items)] if (job := traced(candidate, area.slowest))
            ]
        print(f"{len(jobs)} checks, steps and tests reach the rooms ({time.perf_counter() - begun:.0f} s)", flush=True)
        forget()
        gc.freeze()
        self.tried(jobs)
        return True

    def tried(self, jobs: list[Job]) -> None:
        options = self.options
        stored = Path(options.json) if options.json else None
        verdicts = json.loads(stored.read_text()) if stored and stored.exists() else {}
        pending: list[tuple[Mutant, ModuleType]] = []
        for file in files(self.area, options.modules):
            module = module_of(file)
            pending += [(mutant, module) for mutant in {m.identity: m for m in mutants(file, module)}.values()]
        if options.sample:
            pending = random.Random(options.seed).sample(pending, min(options.sample, len(pending)))
        tried = {m.identity for m, _ in pending}
        pending = [(m, module) for m, module in pending if verdicts.get(m.identity, {}).get("by") is None]
        pending.sort(key=lambda p: p[0].identity in verdicts)  # what was never tried first
        print(f"{len(pending)} mutants to try", flush=True)
        kills: Kills = Counter()
        running: dict[int, tuple[Mutant, int]] = {}
        while pending or running:
            while pending and len(running) < options.jobs:
                mutant, module = pending.pop(0)
                chosen = concerned(mutant, jobs, kills, options.seconds, self.area.rooms)
                child, pipe = judged(mutant, module, chosen)
                running[child] = mutant, pipe
            child, status = os.wait()
            mutant, pipe = running.pop(child)
            with os.fdopen(pipe) as stream:
                log = stream.read().splitlines()
            by = log[-1] if status else None
            if by:
                kills[mutant.file, mutant.function, by] += 1
            verdicts[mutant.identity] = {
                "file": mutant.file,
                "line": mutant.span[0],
                "source": mutant.line,
                "original": mutant.original,
                "mutated": mutant.mutated,
                "by": by,
                "ran": len(log) - 1,
            }
            if not by:
                self.survivors += 1
                print(
                    f"{mutant.file}:{mutant.span[0]}: {mutant.line}\n    {mutant.original}  ->  {mutant.mutated}   ({len(log) - 1} ran)",
                    flush=True,
                )
            if stored and (len(pending) % 20 == 0 or not running):
                part = stored.with_suffix(".part")
                part.write_text(json.dumps(verdicts, indent=1))
                part.replace(stored)
        noticed = sum(v["by"] is not None for name, v in verdicts.items() if name in tried)
        print(f"{len(tried)} mutants, {noticed} noticed, {len(tried) - noticed} not", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="such as seeger or certified/kl_newton; all by default"
    )
    parser.add_argument("--area", choices=sorted(AREAS), default="pac_bayes")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--sample", type=int, help="try only so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=40.0, help="worth of checks and tests for one mutant")
    parser.add_argument("--json", help="file of verdicts, read first and kept up to date")
    parser.add_argument(
        "--tests", nargs="+", help="these files below tests/ only, and no checks: what new tests notice"
    )
    parser.add_argument(
        "--keys", nargs="+", help="the checks of these results only, as pb.pinsker; with --tests, beside them"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        import pytest

        campaign = Campaign(options)
        tests = options.tests or campaign.area.tests
        pytest.main(
            ["-q", "-s", "-p", "no:cacheprovider", *(f"tests/{name}" for name in tests)],
            plugins=[campaign],
        )
        return 1 if campaign.survivors else 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in FOLDERS:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__")) if (
                ROOT / name
            ).is_dir() else shutil.copy(ROOT / name, tree)
        arguments = [
            str(Path(a).resolve()) if before == "--json" else a
            for before, a in zip(["", *sys.argv[1:]], sys.argv[1:], strict=False)
        ]
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, "tools/mutate_constants.py", "--inside", *arguments], cwd=tree, env=environment
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
