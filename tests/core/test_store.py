"""Rows survive: atomic files, truncated files measured again, full and unwritable folders reported before or without loss."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from nonvacuous.errors import StorageError
from nonvacuous.numerics import store
from nonvacuous.numerics.digests import code_digest, content_digest, source_modules
from nonvacuous.numerics.store import Spec, has_rows, prepare, read_provenance, read_rows, write_rows

SPEC = Spec("pb.kl", "experiment", "setting", "block", 0, "float64", "cpu", "code")
ROWS = {
    "width": np.arange(3),
    "value": np.array([0.1, np.inf, -2.0]),
    "vector": np.arange(6.0).reshape(3, 2),
    "name": np.array(["a", "b", "c"]),
}


def test_round_trip(tmp_path):
    write_rows(tmp_path, SPEC, ROWS, {"seconds": 1.5})
    found = read_rows(tmp_path, SPEC)
    assert found is not None
    for name, value in ROWS.items():
        assert np.array_equal(found[name], value)
    assert read_provenance(tmp_path, SPEC)["seconds"] == 1.5
    assert not list(tmp_path.rglob(".*.parquet.*")), "no temporary file is left"


def test_truncated_file_is_measured_again(tmp_path):
    write_rows(tmp_path, SPEC, ROWS, {})
    path = SPEC.path(tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    assert not has_rows(tmp_path, SPEC)
    assert read_rows(tmp_path, SPEC) is None


def test_a_full_disk_keeps_what_was_stored(tmp_path, monkeypatch):
    write_rows(tmp_path, SPEC, ROWS, {})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    other = Spec("pb.kl", "experiment", "setting", "other", 0, "float64", "cpu", "code")
    with pytest.raises(StorageError, match="No space left"):
        write_rows(tmp_path, other, ROWS, {})
    assert has_rows(tmp_path, SPEC)
    assert not has_rows(tmp_path, other)
    assert len(list(tmp_path.rglob("*"))) == 3  # rows/, pb.kl/, one file


def test_an_unwritable_folder_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        prepare(tmp_path / "file" / "below")


def test_unequal_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="lengths"):
        write_rows(tmp_path, SPEC, {"a": np.arange(2), "b": np.arange(3)}, {})


def test_identity_is_by_content():
    assert SPEC.identity != Spec("pb.kl", "experiment", "setting", "block", 1, "float64", "cpu", "code").identity
    assert content_digest(np.array([1.0, 2.0])) == content_digest(np.array([1.0, 2.0]))
    assert content_digest(np.array([1.0, 2.0])) != content_digest(np.array([1.0, 2.0], dtype=np.float32))
    assert content_digest(("a", "b")) != content_digest(("ab",))
    assert content_digest(1) != content_digest(1.0)


def test_code_digest_follows_imports():
    from nonvacuous.proofs.pac_bayes.kl_bounds import seeger

    modules = source_modules([seeger.predict])
    assert "nonvacuous.numerics.certified.kl_newton" in modules
    assert "nonvacuous.theory.statements.pac_bayes" in modules
    assert "nonvacuous.proofs.infinite_width" not in modules
    assert code_digest(modules) != code_digest(modules[1:])


def test_a_write_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    store.write_atomically(path, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_damaged_values_are_measured_again(tmp_path):
    """A file that reads without complaint, but whose values are not those that were written."""
    import pyarrow.parquet as pq

    write_rows(tmp_path, SPEC, ROWS, {})
    path = SPEC.path(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "value", [[9.0, 9.0, 9.0]]).replace_schema_metadata(table.schema.metadata), path)
    assert read_rows(tmp_path, SPEC) is None
    assert not has_rows(tmp_path, SPEC)


@pytest.mark.parametrize("content", [b"3", b"null", b"\xff\xfe", b"{", b"{}"])
def test_damaged_verdicts_are_judged_again(tmp_path, content):
    from nonvacuous.proofs.pac_bayes.foundations import maurer
    from nonvacuous.proofs.verification import standing_verdict, verdict_path

    path = verdict_path(tmp_path, "pb.xi")
    path.parent.mkdir()
    path.write_bytes(content)
    assert standing_verdict(tmp_path, maurer.RESULT, "quick", 0, "cpu") is None
