"""The report as files: well formed, complete, escaped, honest about what is stale or missing, and always the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import Page, check, problems, result, store, verdict

from nonvacuous.bounds import seeger_kl
from nonvacuous.numerics.methods import METHODS
from nonvacuous.proofs.pac_bayes.foundations import change_of_measure, maurer
from nonvacuous.proofs.verification import verify
from nonvacuous.report import write_report
from nonvacuous.theory.errors import StorageError

FIRST = result("pb.first")
SECOND = result("pb.second", uses=(FIRST,))
OTHER = result("iw.other")
CATALOGUE = (FIRST, SECOND, OTHER)
CLAIMS = ("Formula", "Agreement", "HighProbabilityBound", "LimitWithRate", "Identity", "Inequality")


def read(out: Path, name: str) -> Page:
    return Page((out / "report" / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    store(
        out,
        verdict("pb.first", [check(claim) for claim in CLAIMS]),
        verdict("pb.second", [check(controls=(("constant off", "supported", 0.5),))], controls_refuted=False),
    )
    certificate = seeger_kl(risk=0.0155, kl=73.2, n=1200, delta=0.025).as_json()
    write_report(
        out,
        CATALOGUE,
        {"certificate": certificate, "title": "Digits & more", "test_error": 0.0266, "numbers": {"draws": 100}},
    )
    return out


def test_pages_are_well_formed_and_every_link_resolves(written: Path) -> None:
    assert problems(written / "report") == []


def test_every_result_and_method_has_a_page_that_the_index_links(written: Path) -> None:
    expected = {f"{r.key}.html" for r in CATALOGUE} | {f"method.{m.name}.html" for m in METHODS}
    assert {path.name for path in (written / "report").iterdir()} == expected | {"index.html", "style.css"}
    assert expected <= set(read(written, "index.html").links)


def test_pages_carry_no_script_and_reach_nothing_outside_the_folder(written: Path) -> None:
    for path in (written / "report").glob("*.html"):
        page = Page(path.read_text(encoding="utf-8"))
        assert not {"script", "iframe", "img"} & set(page.tags)
        assert not [link for link in page.links if ":" in link or link.startswith("/")]
    assert "url(" not in (written / "report" / "style.css").read_text()


def test_result_page_shows_what_the_verdict_says(written: Path) -> None:
    words = read(written, "pb.first.html").words
    for expected in (
        "supported", "constant off", "resolves 1.0×10⁻¹⁵ relative", "replayed from axioms {Markov}", "Draws are independent.",
        "A note on the PAC Bayesian theorem", "Theorem 1; a < b", "read in the source", "nonvacuous.bounds.seeger_kl",
        "@misc{maurer2004,", "321 MB", "2026-01-02 03:04:05 UTC", "nonvacuous verify pb.first", '{"x": 1.5}', "x ≤ y", "Setting(x=1)",
    ):  # fmt: skip
        assert expected in words, expected
    page = read(written, "pb.first.html")
    assert page.classes.count("plot") == len(CLAIMS)
    assert "math" in page.classes


def test_a_surviving_control_is_shouted(written: Path) -> None:
    words = read(written, "pb.second.html").words
    assert "A control survived." in words
    assert "refuted, as it must be" not in words
    index = read(written, "index.html")
    assert "6 of 7" in index.words
    assert "1 survived" in index.words
    assert "0 of 1" in index.words


def test_what_was_not_run_says_so(written: Path) -> None:
    page = read(written, "iw.other.html")
    assert "Not run." in page.words
    assert "constant off" in page.words
    assert "plot" not in page.classes
    assert "1 planned" in read(written, "index.html").words


def test_an_empty_run_gives_a_report(tmp_path: Path) -> None:
    write_report(tmp_path, CATALOGUE)
    assert problems(tmp_path / "report") == []
    assert "Nothing has been run yet" in read(tmp_path, "index.html").words


def test_changed_code_makes_a_verdict_stale(tmp_path: Path) -> None:
    code = {"modules": ["nonvacuous.theory.errors"], "digest": "0" * 32}
    store(tmp_path, verdict("pb.first", [check()], code=code))
    write_report(tmp_path, (FIRST,))
    page = read(tmp_path, "pb.first.html")
    assert "Stale." in page.words
    assert "of 2026-01-02, when the verdict was supported" in page.words
    index = read(tmp_path, "index.html")
    for expected in ("0 of 1", "1 stale", "0 of 0", "no fresh verdict"):
        assert expected in index.words
    assert any("node is-stale" in c for c in index.classes)


def test_hostile_text_is_text(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;`<b>` $\\bad{"
    evil = result('pb.../<i>"&', title=attack, control=attack, text=attack)
    bad = check(controls=((attack, "refuted", "inf"),), detail=attack)
    bad["name"] = bad["power"] = attack
    store(tmp_path, verdict(evil.key, [bad], title=attack))
    certificate = seeger_kl(risk=0.1, kl=1.0, n=100, delta=0.05).as_json() | {"quantity": attack}
    write_report(tmp_path, (evil,), {"certificate": certificate, "title": attack, "numbers": {attack: attack}})
    assert problems(tmp_path / "report") == []
    for path in (tmp_path / "report").glob("*.html"):
        page = Page(path.read_text(encoding="utf-8"))
        assert not {"script", "img", "b", "i"} & set(page.tags)
    assert "<script>alert(1)</script>" in read(tmp_path, "index.html").words


def test_the_same_verdicts_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        store(tmp_path / name, *(json.loads(path.read_text()) for path in (written / "verdicts").iterdir()))
        write_report(tmp_path / name, CATALOGUE)
    for path in (tmp_path / "a" / "report").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "report" / path.name).read_bytes(), path.name


def test_the_certificate_stands_beside_the_test_error(written: Path) -> None:
    words = read(written, "index.html").words
    for expected in ("Digits & more", "≤ 0.1082", "0.0266", "0.975", "i.i.d. examples", "draws", "Delta ledger"):
        assert expected in words, expected
    assert "Vacuous." not in words


def test_the_numbers_of_a_job_are_shown_by_their_names(tmp_path: Path) -> None:
    job = {
        "certificate": seeger_kl(risk=0.02, kl=5.0, n=700, delta=0.05).as_json(),
        "test_gibbs_error": 0.0123,
        "n_bound": 719,
        "identity": "c0ffee",
    }
    write_report(tmp_path, (FIRST,), job)
    words = read(tmp_path, "index.html").words
    assert "0.0123" in words
    assert "n bound719" in words
    assert "c0ffee" not in words


def test_a_vacuous_certificate_is_called_vacuous(tmp_path: Path) -> None:
    write_report(tmp_path, (FIRST,), {"certificate": seeger_kl(risk=0.5, kl=float("inf"), n=10, delta=0.05).as_json()})
    assert "Vacuous." in read(tmp_path, "index.html").words
    assert problems(tmp_path / "report") == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 99}', '{"schema_version": 1}'])
def test_a_verdict_that_cannot_be_read_is_a_typed_error(tmp_path: Path, content: str) -> None:
    store(tmp_path, verdict("pb.first", []))
    (tmp_path / "verdicts" / "pb.first.json").write_text(content)
    with pytest.raises(StorageError, match="verify again"):
        write_report(tmp_path, (FIRST,))


def test_method_page_comes_from_the_source(written: Path) -> None:
    words = read(written, "method.laplace.html").words
    for expected in ("LaplaceConfig", "prior_precision", "required", "fit(", "Objective."):
        assert expected in words, expected


def test_real_verdicts_make_a_report(tmp_path: Path) -> None:
    catalogue = (change_of_measure.RESULT, maurer.RESULT)
    assert list(verify(catalogue[:1], out=tmp_path))
    write_report(tmp_path, catalogue)
    assert problems(tmp_path / "report") == []
    page = read(tmp_path, "pb.dv.html")
    assert page.classes.count("plot") == len(change_of_measure.RESULT.checks)
    assert "Stale." not in page.words


def test_writing_a_report_imports_neither_torch_nor_pyplot(written: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nonvacuous.report import write_report; from pages import result;"
        "write_report(Path(sys.argv[1]), (result('pb.first'), result('pb.second')));"
        "print(sorted({'torch', 'matplotlib.pyplot', 'jax'} & set(sys.modules)))"
    )
    store(tmp_path, *(json.loads(path.read_text()) for path in (written / "verdicts").iterdir()))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]", done.stderr
