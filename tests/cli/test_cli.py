"""Every verb: what it prints, its exit code, and what it does with bad input."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nonvacuous as nv
from nonvacuous.statements import STATEMENTS

KL = ["bound", "pb.kl", "--risk", "0.0155", "--kl", "73.2", "--n", "30000"]


def test_list(nonvacuous):
    done = nonvacuous("list", "--json")
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    assert len(rows) >= 16
    for row in rows:
        assert set(row) == {
            "schema_version",
            "key",
            "area",
            "title",
            "kind",
            "derivation",
            "cited_steps",
            "evidence",
            "date",
            "controls",
        }
        assert row["evidence"] in ("supported", "stale"), row["key"]
        assert all(control["verdict"] == "refuted" for control in row["controls"])
        assert row["area"] in (
            "pac_bayes",
            "infinite_width",
            "implicit_bias",
            "function_space",
            "variance_propagation",
            "scaling_laws",
        )
    assert "pb.kl" in nonvacuous("list").stdout


def test_list_reads_the_run_folder(nonvacuous, quick_run):
    done = nonvacuous("list", "--json", "--out", str(quick_run.out))
    assert all(row["evidence"] == "supported" for row in json.loads(done.stdout))


def test_edited_code_makes_evidence_stale(nonvacuous, quick_run, tmp_path):
    folder = tmp_path / "run" / "verdicts"
    folder.mkdir(parents=True)
    verdict = {**quick_run.verdicts["pb.kl"], "code": {**quick_run.verdicts["pb.kl"]["code"], "digest": "0" * 32}}
    (folder / "pb.kl.json").write_text(json.dumps(verdict))
    rows = json.loads(nonvacuous("list", "--json", "--out", str(tmp_path / "run")).stdout)
    assert {row["key"]: row["evidence"] for row in rows}["pb.kl"] == "stale"


@pytest.mark.parametrize("command", [["list"], ["show", "pb.kl"], ["graph"], ["methods"], ["cite", "pb.kl"]])
def test_reading_imports_no_torch(command, tmp_path, without):
    code = f"import sys\nfrom nonvacuous.cli.main import run\nsys.exit(run({command!r}))"
    done = subprocess.run([sys.executable, "-c", without("torch") + code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("key", [statement.key for statement in STATEMENTS])
def test_show(nonvacuous, key):
    done = nonvacuous("show", key)
    assert done.returncode == 0
    assert key in done.stdout


def test_the_example_that_show_prints_runs(nonvacuous):
    for row in json.loads(nonvacuous("list", "--json").stdout):
        entry = json.loads(nonvacuous("show", row["key"], "--json").stdout)
        done = nonvacuous("predict", row["key"], "--input", "-", input=json.dumps(entry["example"]))
        assert done.returncode == 0, (row["key"], done.stderr)
        answer = json.loads(done.stdout)
        assert answer["key"] == row["key"]
        assert answer["prediction"]


def test_cite_and_graph_and_methods(nonvacuous):
    assert "@article{seeger2002" in nonvacuous("cite", "pb.kl").stdout
    edges = json.loads(nonvacuous("graph", "--json").stdout)["edges"]
    assert {"from": "pb.kl", "uses": "pb.xi"} in edges
    assert "laplace" in nonvacuous("methods").stdout
    assert "prior" in nonvacuous("methods", "laplace").stdout


def test_bound(nonvacuous):
    done = nonvacuous(*KL, "--delta", "0.025", "--json")
    assert done.returncode == 0
    certificate = json.loads(done.stdout)
    assert certificate["value"] == nv.bounds.seeger_kl(risk=0.0155, kl=73.2, n=30_000, delta=0.025).value
    assert nonvacuous(*KL, "--log-inv-delta", "690", "--json").returncode == 0
    for infinity in ('"inf"', "1e999"):
        given = f'{{"risk": 0.0, "kl": {infinity}, "n": 10, "delta": 0.1}}'
        assert json.loads(nonvacuous("bound", "pb.kl", "--input", "-", "--json", input=given).stdout)["value"] == 1.0


def test_certify_and_check(nonvacuous, tmp_path):
    rng = np.random.default_rng(0)
    losses = (rng.random((400, 300)) < 0.03).astype(float)
    np.save(tmp_path / "losses.npy", losses)
    np.savetxt(tmp_path / "losses.csv", losses.T, delimiter=",")
    options = ["--kl", "4", "--delta", "0.05", "--json"]
    done = nonvacuous("certify", "losses.npy", "--axis", "draws,examples", *options, "--save", "c.json")
    assert done.returncode == 0, done.stderr
    turned = nonvacuous("certify", "losses.csv", "--axis", "examples,draws", *options)
    assert json.loads(turned.stdout)["inputs"]["n"] == json.loads(done.stdout)["inputs"]["n"] == 300
    checked = nonvacuous("check", "c.json", "--json")
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["sound"] is True
    # a certificate with its number shaved is caught, by the exact value
    data = json.loads((tmp_path / "c.json").read_text())
    data["value"] = data["raw"] = math.nextafter(data["value"] * (1 - 1e-14), 0)
    (tmp_path / "shaved.json").write_text(json.dumps(data))
    shaved = nonvacuous("check", "shaved.json")
    assert shaved.returncode == 1
    assert "NOT SOUND" in shaved.stdout


BAD = [
    [],
    ["nonsense"],
    ["list", "--nonsense"],
    ["show", "pb.nothing"],
    ["cite", "nobody1900"],
    ["methods", "nothing"],
    [*KL],
    [*KL, "--delta", "0"],
    [*KL, "--delta", "1"],
    [*KL, "--delta", "nan"],
    [*KL, "--delta", "0.1", "--log-inv-delta", "3"],
    [*KL, "--delta", "0.1", "--draws", "3"],
    ["bound", "pb.kl", "--risk", "1.5", "--kl", "1", "--n", "10", "--delta", "0.1"],
    ["bound", "pb.kl", "--risk", "0.5", "--kl", "-1", "--n", "10", "--delta", "0.1"],
    ["bound", "pb.kl", "--risk", "0.5", "--kl", "nan", "--n", "10", "--delta", "0.1"],
    ["bound", "pb.kl", "--risk", "0.5", "--kl", "1", "--n", "0", "--delta", "0.1"],
    ["bound", "pb.xi", "--n", "10"],
    ["predict", "pb.nothing", "--input", "-"],
    ["predict", "pb.kl", "--input", "absent.json"],
    ["certify", "absent.npy", "--axis", "draws,examples", "--kl", "1", "--delta", "0.1"],
    ["check", "absent.json"],
    ["verify", "pb.nothing"],
    ["verify", "pb.xi", "--budget", "huge"],
    ["verify", "pb.xi", "--device", "tpu"],
    ["verify", "pb.xi", "--time-limit", "soon"],
    ["verify", "pb.xi", "--out", "/proc/nowhere"],
    ["verify", "absent_module:CATALOGUE"],
    ["report", "--out", "absent"],
    ["new", "nonsense"],
]


@pytest.mark.parametrize("arguments", BAD, ids=[" ".join(a) or "nothing" for a in BAD])
def test_bad_input_exits_with_3(nonvacuous, arguments):
    done = nonvacuous(*arguments)
    if not arguments:
        assert "Usage" in done.stdout + done.stderr
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "nan", '{"risk": NaN, "kl": 1, "n": 5, "log_inv_delta": 3}', '{"risk": 0.1}', '{"risk": 0.1, "kl": 1, "n": 5, "log_inv_delta": 3, "x": 1}',
     '{"risk": "a", "kl": 1, "n": 5, "log_inv_delta": 3}', '{"risk": 0.1, "kl": 1, "n": 5.5, "log_inv_delta": 3}', '{"risk": [0.1], "kl": 1, "n": 5, "log_inv_delta": 3}'],
)  # fmt: skip
def test_malformed_settings(nonvacuous, text):
    done = nonvacuous("predict", "pb.kl", "--input", "-", input=text)
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00garbage", b"\x80\x04\x95pickle"])
def test_files_that_are_not_arrays(nonvacuous, tmp_path, content):
    for name in ("x.npy", "x.npz", "x.csv", "x.json"):
        (tmp_path / name).write_bytes(content)
        verb = (
            ["check", name]
            if name.endswith("json")
            else ["certify", name, "--axis", "draws,examples", "--kl", "1", "--delta", "0.1"]
        )
        done = nonvacuous(*verb)
        assert done.returncode == 3, (name, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr


def test_pickled_arrays_are_refused(nonvacuous, tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    done = nonvacuous("certify", "x.npy", "--axis", "draws,examples", "--kl", "1", "--delta", "0.1")
    assert done.returncode == 3


def test_new_scaffolds_a_result_that_verifies(nonvacuous, tmp_path):
    assert nonvacuous("new", "pb.my_bound").returncode == 0
    command = [
        sys.executable,
        "-m",
        "nonvacuous.cli.main",
        "verify",
        "my_bound:CATALOGUE",
        "--jobs",
        "1",
        "--json",
        "--out",
        "runs",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)["results"]
    assert record["verdict"] == "supported"
    assert record["derivation"].startswith("replayed")
    assert nonvacuous("new", "pb.my_bound").returncode == 3, "nothing is overwritten"


def test_the_console_script(tmp_path):
    """Once in a process of its own: the script exists, and a reader that leaves early is not an error."""
    script = Path(sys.executable).with_name("nonvacuous")
    done = subprocess.run(
        f"{script} list --json | head -c 10", shell=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert subprocess.run([script, "show", "pb.nothing"], capture_output=True, cwd=tmp_path).returncode == 3


def test_what_is_no_certificate_is_printed_and_not_saved(nonvacuous, tmp_path):
    arguments = ("bound", "pb.gibbs", "-o", "losses=[0.1,0.2]", "-o", "beta=2.0")
    done = nonvacuous(*arguments, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["value"]["weights"]
    done = nonvacuous(*arguments, "--save", str(tmp_path / "c.json"))
    assert done.returncode == 3
    assert "no certificate" in done.stderr
    assert not (tmp_path / "c.json").exists()


def test_the_word_false_is_no_truth_value(nonvacuous):
    """ "False" is not JSON, so it stays a word, and words count as true: a file would pass for a prefix-free code."""
    done = nonvacuous(
        "bound", "pb.compression", "-o", "errors=1", "--n", "50", "--delta", "0.1", "-o", "message_bits=20", "-o", "prefix_free=False"
    )  # fmt: skip
    assert done.returncode == 3
    assert "True or False" in done.stderr
    assert nonvacuous("bound", "pb.mcallester", "--risk", "0.1", "--kl", "1", "--n", "50", "--delta", "0.1", "-o", "constant=[1]").returncode == 3  # fmt: skip


def test_a_closed_form_that_overflows_is_bad_input(nonvacuous):
    setting = '{"kl": 3.0, "log_constant": 1e308, "log_inv_delta": 2.3}'
    done = nonvacuous("predict", "pb.master", "--input", "-", input=setting)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
