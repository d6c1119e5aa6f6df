"""A run that is killed, interrupted, short of time or of disk goes on from where it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLOW = '''
"""Eight experiments, each of which leaves a mark when it runs; when FROM have run, the others take LONG seconds."""
import os, pathlib, time
import numpy as np
from nonvacuous.numerics.claims import Agreement, Comparison
from nonvacuous.proofs.result import ByBudget, Check, Control, Result
from nonvacuous.theory.statement import Kind, Source, Statement

MARKS = pathlib.Path(os.environ["MARKS"])

def experiment(setting, run):
    time.sleep(float(os.environ.get("LONG", "0.01")) if len(list(MARKS.iterdir())) >= int(os.environ.get("FROM", "8")) else 0.01)
    (MARKS / f"{run.block['index']}-{time.time_ns()}").touch()
    return {"value": np.array([float(run.block["index"])])}

def compare(setting, prediction, rows):
    return Comparison(rows["value"], prediction, np.full(8, 1e-12), 1.0)

STATEMENT = Statement(key="pb.slow", title="slow", kind=Kind.IDENTITY, text="t", latex="x", source=(Source("here", provenance="derived"),))
CHECK = Check("counts", Agreement("rounding"), settings=ByBudget(quick=(0.0,)), compare=compare, experiment=experiment,
              plan=ByBudget(quick=tuple({"index": i} for i in range(8))),
              controls=(Control("off by one", {"predict": lambda s: np.arange(8.0) + 1}),))
CATALOGUE = (Result(STATEMENT, predict=lambda s: np.arange(8.0), example=0.0, checks=(CHECK,)),)
'''


@pytest.fixture
def slow(tmp_path: Path):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "marks").mkdir()
    environment = {**os.environ, "MARKS": str(tmp_path / "marks")}
    command = [sys.executable, "-m", "nonvacuous.cli.main", "verify", "slow:CATALOGUE", "--jobs", "1", "--out", "runs"]

    def start(*more: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, *more], cwd=tmp_path, env=environment | extra, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )  # fmt: skip

    return tmp_path, start


def marks(folder: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (folder / "marks").iterdir())


def rows(folder: Path) -> dict[str, int]:
    return (
        {path.name: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.parquet")}
        if (folder / "runs").exists()
        else {}
    )


def wait_for_rows(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(rows(folder)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_a_random_moment(slow, how):
    folder, start = slow
    process = start(FROM="6", LONG="600")  # however slow the machine is, it will not finish before it is killed
    wait_for_rows(folder, 2)
    time.sleep(random.Random(int(how)).uniform(0, 0.1))
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    finished = rows(folder)
    assert 2 <= len(finished) < 8
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "goes on from there" in errors
    again = start()
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert f"{len(finished)} reused" in errors
    after = rows(folder)
    assert all(after[name] == stamp for name, stamp in finished.items()), "finished rows were not measured again"
    # at most the one experiment that was cut off ran twice
    assert set(marks(folder)) == set("01234567")
    assert len(marks(folder)) <= 9
    third = start()
    _, errors = third.communicate(timeout=120)
    assert "0 row files to measure, 8 reused" in errors


def test_time_limit(slow):
    folder, start = slow
    process = start("--time-limit", "3s", FROM="3", LONG="1")  # five of a second each do not fit
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "not finished: pb.slow" in errors
    assert 1 <= len(rows(folder)) < 8
    again = start()
    again.communicate(timeout=120)
    assert again.returncode == 0


def test_a_pool_measures_the_same_rows(slow):
    import pyarrow.parquet as pq

    folder, start = slow
    process = start("--jobs", "2")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    pooled = {path.name: pq.read_table(path).to_pydict() for path in (folder / "runs").rglob("*.parquet")}
    serial = start("--out", "serial")
    serial.communicate(timeout=120)
    assert serial.returncode == 0
    assert {path.name: pq.read_table(path).to_pydict() for path in (folder / "serial").rglob("*.parquet")} == pooled


def test_edited_code_measures_again(slow):
    folder, start = slow
    start().communicate(timeout=120)
    (folder / "slow.py").write_text(SLOW.replace("if len", "if True or len"))
    _, errors = start().communicate(timeout=120)
    assert "8 row files to measure, 0 reused" in errors
