"""docs/sweeps.md: its Slurm recipe runs, its commands exist, and rows of cards are judged where there is none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nonvacuous.errors import InvalidInput

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
MODULE = '''
"""Six experiments that note the device they were told."""
import os, pathlib
import numpy as np
from nonvacuous.numerics.claims import Agreement, Comparison
from nonvacuous.proofs.result import ByBudget, Check, Control, Result
from nonvacuous.theory.statement import Kind, Source, Statement

def experiment(setting, run):
    pathlib.Path(os.environ["MARKS"], f"{run.block['index']}").touch()
    return {"value": np.array([float(run.block["index"])])}

def compare(setting, prediction, rows):
    return Comparison(rows["value"], prediction, np.full(6, 1e-12), 1.0)

STATEMENT = Statement(key="pb.spread", title="spread", kind=Kind.IDENTITY, text="t", latex="x", source=(Source("here", provenance="derived"),))
CHECK = Check("counts", Agreement("rounding"), settings=ByBudget(quick=(0.0,)), compare=compare, experiment=experiment,
              plan=ByBudget(quick=tuple({"index": i} for i in range(6))),
              controls=(Control("off by one", {"predict": lambda s: np.arange(6.0) + 1}),))
CATALOGUE = (Result(STATEMENT, predict=lambda s: np.arange(6.0), example=0.0, checks=(CHECK,)),)
'''


@pytest.fixture
def cluster(tmp_path: Path):
    """A folder with a catalogue, and stand-ins for the two commands of Slurm: `scontrol` notes what is put back into the queue."""
    (tmp_path / "spread.py").write_text(MODULE)
    (tmp_path / "marks").mkdir()
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "srun").write_text('#!/bin/bash\nexec "$@"\n')
    (commands / "scontrol").write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/queue\n')
    (commands / "nonvacuous").write_text(f'#!/bin/bash\nexec {sys.executable} -m nonvacuous.cli.main "$@"\n')
    for path in commands.iterdir():
        path.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path), "MARKS": str(tmp_path / "marks"),
        "RESULTS": "spread:CATALOGUE", "BUDGET": "quick", "DEVICE": "cpu", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_JOB_ID": "77",
    }  # fmt: skip
    return tmp_path, environment


def recipe(limit: str) -> str:
    (script,) = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    assert "--time-limit 10m" in script
    return script.replace("10m", limit)


def submit(folder: Path, environment: dict[str, str], task: int, limit: str = "10m") -> int:
    environment = {**environment, "SLURM_ARRAY_TASK_ID": str(task)}
    done = subprocess.run(
        ["bash", "-c", recipe(limit)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stderr
    return done.returncode


def test_the_array_measures_everything_and_requeues_what_is_left(cluster):
    folder, environment = cluster
    assert submit(folder, environment, 1, limit="1e-9s") == 0  # nothing was begun
    assert not list((folder / "marks").iterdir())
    assert (folder / "queue").read_text() == "requeue 77\n"
    for task in (1, 2):
        assert submit(folder, environment, task) == 0
    assert (folder / "queue").read_text() == "requeue 77\n"
    assert len(list((folder / "marks").iterdir())) == 6
    assert submit(folder, {**environment, "BUDGET": "huge"}, 1) == 3


def test_commands_of_the_page_exist():
    from nonvacuous.cli.sweep import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"nonvacuous sweep (\w+)", TEXT)) == known


def test_rows_of_a_card_are_judged_without_one(cluster, monkeypatch):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    from nonvacuous.api import pick_device
    from nonvacuous.proofs import sweep

    folder, environment = cluster
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("MARKS", environment["MARKS"])
    import spread

    def nonvacuous(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["nonvacuous", *arguments], cwd=folder, env=environment, capture_output=True, text=True)

    with pytest.raises(InvalidInput, match="no device"):
        pick_device("cuda")
    refused = nonvacuous("verify", "spread:CATALOGUE", "--device", "cuda", "--jobs", "1", "--out", "rows")
    assert (refused.returncode, "no device 'cuda'" in refused.stderr) == (3, True)
    planned = json.loads(
        nonvacuous("sweep", "plan", "spread:CATALOGUE", "--budget", "quick", "--device", "cuda", "--json").stdout
    )
    assert planned["total"] == 6
    # the experiment uses no torch: what a machine with a card would have written
    list(sweep.run(spread.CATALOGUE, out=folder / "rows", budget="quick", device="cuda"))
    judged = nonvacuous("verify", "spread:CATALOGUE", "--device", "cuda", "--jobs", "1", "--out", "rows")
    assert judged.returncode == 0, judged.stderr
    assert "supported" in judged.stdout
    assert nonvacuous("verify", "spread:CATALOGUE", "--device", "tpu", "--jobs", "1", "--out", "rows").returncode == 3
