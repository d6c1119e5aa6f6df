"""Sweeps: shares that add up to a serial run, rows collected from other folders, a Dask cluster that loses a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.errors import InvalidInput
from nonvacuous.proofs.sweep import Shard

MODULE = '''
"""Twelve experiments, each of which leaves a mark when it runs."""
import os, pathlib, time
import numpy as np
from nonvacuous.numerics.claims import Agreement, Comparison
from nonvacuous.numerics.randomness import generator
from nonvacuous.proofs.result import ByBudget, Check, Control, Result
from nonvacuous.theory.statement import Kind, Source, Statement

def experiment(setting, run):
    time.sleep(float(os.environ.get("NAP", "0")))
    (pathlib.Path(os.environ["MARKS"]) / f"{run.block['index']}-{time.time_ns()}").touch()
    return {"value": np.array([float(run.block["index"])]), "noise": generator(run.seed, "noise").normal(size=1)}

def compare(setting, prediction, rows):
    return Comparison(rows["value"], prediction, np.full(12, 1e-12), 1.0)

STATEMENT = Statement(key="pb.swept", title="swept", kind=Kind.IDENTITY, text="t", latex="x", source=(Source("here", provenance="derived"),))
CHECK = Check("counts", Agreement("rounding"), settings=ByBudget(quick=(0.0,)), compare=compare, experiment=experiment,
              plan=ByBudget(quick=tuple({"index": i} for i in range(12))),
              controls=(Control("off by one", {"predict": lambda s: np.arange(12.0) + 1}),))
CATALOGUE = (Result(STATEMENT, predict=lambda s: np.arange(12.0), example=0.0, checks=(CHECK,)),)
'''


@pytest.fixture
def work(tmp_path: Path, nonvacuous, monkeypatch: pytest.MonkeyPatch):
    """A folder with a catalogue, the environment for other processes, and the command line in this one."""
    (tmp_path / "swept.py").write_text(MODULE)
    (tmp_path / "marks").mkdir()
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "swept", raising=False)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def call(*arguments: str, code: int = 0, nap: float = 0) -> str:
        monkeypatch.setenv("NAP", str(nap))
        done = nonvacuous(*arguments)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return tmp_path, environment, call


def rows(folder: Path) -> dict[str, bytes]:
    """Names and values of the stored rows, without who measured them."""
    import pyarrow.parquet as pq

    return {path.name: pq.read_table(path).schema.metadata[b"content"] for path in folder.glob("rows/*/*.parquet")}


def marks(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[0]) for path in (folder / "marks").iterdir())


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(1, 40))
def test_every_spec_is_in_exactly_one_share(identity, count):
    assert sum(Shard(i, count).has(identity) for i in range(1, count + 1)) == 1


def test_shares_in_folders_of_their_own_add_up_to_the_serial_run(work):
    folder, _, call = work
    call("verify", "swept:CATALOGUE", "--jobs", "1", "--out", "serial")
    serial = rows(folder / "serial")
    assert len(serial) == 12
    shares = []
    for i in (1, 2, 3):
        planned = json.loads(
            call(
                "sweep", "plan", "swept:CATALOGUE", "--budget", "quick", "--shard", f"{i}/3", "--out", f"s{i}", "--json"
            )
        )
        call("sweep", "run", "swept:CATALOGUE", "--budget", "quick", "--shard", f"{i}/3", "--out", f"s{i}")
        shares.append(rows(folder / f"s{i}"))
        assert planned["total"] == len(shares[-1])
    assert sum(map(len, shares)) == 12
    found = json.loads(call("sweep", "collect", "s1", "s2", "s3", "--out", "all", "--json"))
    assert (found["copied"], found["damaged"]) == (12, [])
    assert rows(folder / "all") == serial
    before = len(marks(folder))
    judged = call("verify", "swept:CATALOGUE", "--jobs", "1", "--out", "all")
    assert "0 row files to measure, 12 reused" in judged
    assert len(marks(folder)) == before
    again = json.loads(call("sweep", "collect", "s1", "s2", "--out", "all", "--json"))
    assert (again["copied"], again["present"]) == (0, len(shares[0]) + len(shares[1]))


def test_a_share_resumes_and_counts_what_is_left(work):
    folder, _, call = work
    limited = ("sweep", "run", "swept:CATALOGUE", "--budget", "quick", "--out", "r", "--time-limit", "1s")
    text = call(*limited, code=2, nap=0.4)
    assert "left" in text
    done = len(rows(folder / "r"))
    assert 0 < done < 12
    call("sweep", "run", "swept:CATALOGUE", "--budget", "quick", "--out", "r")
    assert marks(folder) == list(range(12))


def test_damaged_rows_are_left_behind_and_named(work):
    folder, _, call = work
    call("sweep", "run", "swept:CATALOGUE", "--budget", "quick", "--out", "a")
    victim = next((folder / "a").glob("rows/*/*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-40])
    text = call("sweep", "collect", "a", "--out", "b", code=3)
    assert victim.name in text
    assert len(rows(folder / "b")) == 11


def test_a_cluster_that_loses_a_worker_loses_nothing(work, monkeypatch):
    distributed = pytest.importorskip("distributed")
    folder, environment, call = work
    environment["NAP"] = "0.5"
    for name in ("PYTHONPATH", "NAP"):  # for the workers
        monkeypatch.setenv(name, environment[name])
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]
        process = subprocess.Popen(
            [
                sys.executable, "-m", "nonvacuous.cli.main", "sweep", "run", "swept:CATALOGUE", "--budget", "quick",
                "--out", "d", "--cluster", cluster.scheduler_address,
            ],
            cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while len(marks(folder)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(pids[0], signal.SIGKILL)
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    call("sweep", "run", "swept:CATALOGUE", "--budget", "quick", "--out", "serial")
    assert rows(folder / "d") == rows(folder / "serial")
    assert "0 row files to measure, 12 reused" in call("verify", "swept:CATALOGUE", "--jobs", "1", "--out", "d")


def test_no_scheduler(work):
    pytest.importorskip("distributed")
    _, _, call = work
    text = call(
        "sweep", "run", "swept:CATALOGUE", "--budget", "quick", "--out", "n", "--cluster", "tcp://127.0.0.1:9", code=3
    )
    assert "dask scheduler" in text


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "-1/2"])
def test_bad_shards(work, shard):
    _, _, call = work
    assert "I/N" in call("sweep", "plan", "swept:CATALOGUE", f"--shard={shard}", code=3)


def test_other_bad_input(work):
    _, _, call = work
    assert "budget" in call("sweep", "plan", "swept:CATALOGUE", "--budget", "huge", code=3)
    assert "no rows" in call("sweep", "collect", "nowhere", code=3)
    with pytest.raises(InvalidInput):
        Shard(2, 1)


def test_a_store_that_cannot_be_written_ends_the_run_at_once(work):
    folder, _, call = work
    (folder / "full").mkdir()
    (folder / "full" / "rows").write_text("a file where a folder is needed")
    text = call("sweep", "run", "swept:CATALOGUE", "--budget", "quick", "--out", "full", code=3)
    assert text.count("error in") == 1
    assert len(marks(folder)) == 1
