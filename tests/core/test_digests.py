"""Identity by content: what differs in code, closure, arguments or sources differs in its digest."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.digests import code_digest, content_digest, label, source_modules
from nonvacuous.proofs.pac_bayes.foundations import maurer
from nonvacuous.proofs.pac_bayes.kl_bounds import seeger
from nonvacuous.proofs.verification import verify


@dataclass(frozen=True)
class Experiment:
    value: float

    def run(self):
        return self.value


def closure(x):
    return lambda: x


def test_functions_are_told_apart():
    different = [
        lambda s: 1.0,
        lambda s: 2.0,
        closure(1),
        closure(2),
        Experiment(1.0).run,
        Experiment(2.0).run,
        functools.partial(closure, 1),
        functools.partial(closure, 2),
        functools.partial(lambda s: 3.0),
        functools.partial(lambda s: 4.0),
        functools.cache(lambda s: 5.0),
        functools.cache(lambda s: 6.0),
    ]
    digests = [content_digest(function) for function in different]
    assert len(set(digests)) == len(different)
    assert content_digest(closure(1)) == content_digest(closure(1))
    assert content_digest(maurer.RESULT) == content_digest(maurer.RESULT)


def test_results_are_told_apart():
    changed = [
        replace(maurer.RESULT, predict=lambda s: maurer.XiPrediction(3.0 * s.n)),
        replace(maurer.RESULT, derivation=maurer.RESULT.derivation[1:]),
        replace(maurer.RESULT, checks=maurer.RESULT.checks[:1]),
        replace(maurer.RESULT, checks=(replace(maurer.RESULT.checks[0], claim=replace(maurer.FORMULA, count=3)),)),
    ]
    digests = {content_digest(result) for result in (maurer.RESULT, *changed)}
    assert len(digests) == 1 + len(changed)


def test_a_standing_verdict_is_for_the_same_theorem_only(tmp_path):
    small = replace(maurer.RESULT, checks=(replace(maurer.RESULT.checks[0], claim=replace(maurer.FORMULA, count=5)),))
    false = replace(small, predict=lambda s: maurer.XiPrediction(3.0 * s.n))

    def run(result):
        planned, judged = verify((result,), out=tmp_path)
        return planned.standing, judged.verdict["verdict"]

    assert run(small) == (0, "supported")
    assert run(small) == (1, "supported")
    assert run(false) == (0, "refuted")


def test_sources_follow_imports():
    modules = source_modules([seeger.predict])
    assert "nonvacuous.numerics.certified.kl_newton" in modules
    assert "nonvacuous.theory.statements.pac_bayes" in modules
    assert not any(name.startswith(("numpy", "scipy", "nonvacuous.proofs.infinite_width")) for name in modules)
    assert code_digest(modules) != code_digest(modules[1:])


def test_imports_count_however_deep(tmp_path, monkeypatch):
    """The walk over statements sees what a walk over the whole tree sees."""
    source = """
def f(x):
    for i in x:
        while i:
            with x:
                try:
                    import deep_1
                except ValueError:
                    import deep_2
                else:
                    import deep_3
                finally:
                    import deep_4
            break
        else:
            import deep_5
    else:
        import deep_6
    match x:
        case 1:
            import deep_7
    class C:
        async def g(self):
            if x: import deep_8
            elif i: import deep_9
            return (lambda: 1) if x else [1 for _ in x]
"""
    (tmp_path / "my_deep.py").write_text(source + "\ndef experiment():\n    return 1\n")
    for k in range(1, 10):
        (tmp_path / f"deep_{k}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    import my_deep

    assert {f"deep_{k}" for k in range(1, 10)} <= set(source_modules([my_deep.experiment]))


def test_sources_beside_a_foreign_catalogue_count(tmp_path, monkeypatch):
    (tmp_path / "my_helper.py").write_text("VALUE = 1\n")
    (tmp_path / "my_catalogue.py").write_text(
        "import my_helper\nimport nonvacuous as nv\n\ndef experiment():\n    return my_helper.VALUE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import my_catalogue

    modules = source_modules([functools.partial(print, my_catalogue.experiment)])
    assert {"my_catalogue", "my_helper", "nonvacuous.numerics.bounds.seeger"} <= set(modules)


def test_functions_without_a_file_have_no_past():
    scope = {"__name__": "typed_in"}
    exec("LIMIT = 1\ndef experiment(): return LIMIT", scope)
    first = content_digest(scope["experiment"])
    scope["LIMIT"] = 2
    assert content_digest(scope["experiment"]) != first, "its globals count, since no file speaks for them"
    assert source_modules([scope["experiment"]]) == ("typed_in",)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(InvalidInput, match="content"):
        content_digest(iter(()))
    assert content_digest(np.float64(1)) != content_digest(1.0)
    assert label(functools.partial(closure, 1)) != label(functools.partial(closure, 2))
