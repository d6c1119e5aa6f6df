"""Conformance of every result: statement, derivation, verdict and controls, read from the session's one verification."""

from __future__ import annotations

import pytest

from nonvacuous.numerics.claims import Formula
from nonvacuous.proofs.catalogue import CATALOGUE
from nonvacuous.proofs.derivations import used_results
from nonvacuous.statements import STATEMENTS
from nonvacuous.theory.statement import Kind

KEYS = [result.key for result in CATALOGUE]


def test_the_first_results_are_all_there():
    wanted = {
        "pb.xi", "pb.dv", "pb.klinv", "pb.kl", "pb.gibbs_mc", "pb.data_prior", "pb.cramer", "ib.ls_minnorm", "ib.regression_w2",
        "iw.nngp_limit", "iw.ntk_recursion", "iw.lin_cov_inf", "iw.rnd_equals_ensemble", "fs.lla_function", "vp.one_hidden_exact",
        "us.blr_gaussian_design",
    }  # fmt: skip
    assert wanted <= set(KEYS)
    assert len(KEYS) == len(set(KEYS))


def test_the_run_succeeded(quick_run):
    assert quick_run.code == 0, quick_run.messages
    assert [r["key"] for r in quick_run.printed["results"]] == KEYS
    assert quick_run.printed["schema_version"] == 1


@pytest.mark.parametrize("key", KEYS)
def test_supported_with_every_control_refuted(quick_run, key):
    verdict = quick_run.verdicts[key]
    for check in verdict["checks"]:
        assert check["verdict"] == "supported", f"{check['name']}: {check['detail']}; {check['power']}"
        assert check["power"], "a check must say what it could have seen"
        assert check["controls"], "a check without a control cannot fail"
        for control in check["controls"]:
            assert control["verdict"] == "refuted", f"{check['name']} / {control['name']}: {control['detail']}"


@pytest.mark.parametrize("key", KEYS)
def test_derivation_replays(quick_run, key):
    derivation = quick_run.verdicts[key]["derivation"]
    assert derivation["failed"] == 0, [step for step in derivation["steps"] if step["ok"] is False]
    assert derivation["steps"], "every result of the first catalogue has a derivation"
    assert derivation["status"].startswith(("replayed from axioms", "cited steps"))


@pytest.mark.parametrize("result", CATALOGUE, ids=KEYS)
def test_structure(result):
    for used in result.uses:
        assert used.key in KEYS, "a result rests on results of the catalogue"
        assert KEYS.index(used.key) < KEYS.index(result.key), "teaching order: foundations first"
    assert used_results(result)[-1] is result
    assert type(result.predict(result.example)).__name__ != "NoneType"
    assert len({check.name for check in result.checks}) == len(result.checks)
    if result.statement.function is not None:
        assert any(isinstance(check.claim, Formula) for check in result.checks), (
            "a shipped closed form has a formula check"
        )


def test_results_are_statements_and_definitions_are_not_results():
    by_key = {statement.key: statement for statement in STATEMENTS}
    assert len(by_key) == len(STATEMENTS)
    for result in CATALOGUE:
        assert by_key[result.key] is result.statement
    for statement in STATEMENTS:
        assert (statement.kind in (Kind.DEFINITION, Kind.ALGORITHM)) == (statement.key not in KEYS)


def test_every_verdict_records_its_provenance(quick_run):
    for verdict in quick_run.verdicts.values():
        provenance = verdict["provenance"]
        assert provenance["version"]
        assert provenance["python"]
        assert provenance["libraries"]["numpy"]
        assert verdict["date"]
        assert verdict["peak_memory_mb"] > 0
        assert verdict["code"]["modules"]
