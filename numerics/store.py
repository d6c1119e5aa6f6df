"""What was measured: one Parquet file per Spec, written atomically, keyed by content, never overwritten by edited code."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..theory.errors import StorageError

Rows = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Spec:
    """What to run, identified by content. `code` digests the sources it runs, so edited code never reuses old rows."""

    key: str
    check: str
    setting: str
    block: str
    seed: int
    dtype: str
    device: str
    code: str

    @functools.cached_property
    def identity(self) -> str:
        from .digests import content_digest

        return content_digest(self)

    def path(self, folder: Path) -> Path:
        return folder / "rows" / self.key / f"{self.identity}.parquet"


def prepare(folder: Path) -> None:
    """Create the output folder and prove that it can be written to, before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"writable")
    except OSError as error:
        raise StorageError(
            f"The output folder {folder} cannot be written to ({error.strerror or error}).",
            "Choose another with --out.",
        ) from error


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write to a temporary name beside `path` and rename: a reader sees the old file or the new one, never half of one.

    durable: whether to wait until the disk has it. What is cheap to make again and tells when it is damaged need not.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~umask())  # mkstemp's 0600 would hide a report from the web server it is copied to
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}).",
            "Free some space or choose another folder with --out; everything stored so far is intact and will be reused.",
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def umask() -> int:
    """The process's file-creation mask (reading it means setting it for a moment)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_rows(folder: Path, spec: Spec, rows: Mapping[str, NDArray[Any]], provenance: Mapping[str, Any]) -> None:
    """Store columns of equal length (each one- or two-dimensional) with their provenance in the file's metadata."""
    columns = {name: np.asarray(value) for name, value in rows.items()}
    lengths = {len(value) for value in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"{spec.key}, {spec.check}: the columns have lengths {sorted(lengths)}; they must be equal")
    table = pa.table({name: pa.array(value.tolist() if value.ndim > 1 else value) for name, value in columns.items()})
    metadata = {b"nonvacuous": json.dumps(provenance).encode(), b"content": _content(table)}
    table = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    # a file that a power cut leaves damaged does not match its digest, and is measured again
    write_atomically(spec.path(folder), sink.getvalue().to_pybytes(), durable=False)


def _content(table: pa.Table) -> bytes:
    """Digest of the values of a table, whatever its layout on disk."""
    state = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        values = column.flatten() if pa.types.is_list(column.type) else column
        state.update(f"<{name}:{len(column)}:{values.type}".encode())
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            state.update(values.to_numpy(zero_copy_only=False).tobytes())
        else:
            state.update(repr(values.to_pylist()).encode())
    return state.hexdigest().encode()


def read_rows(folder: Path, spec: Spec) -> Rows | None:
    """The stored columns, or None when they are absent or damaged (then they are measured again)."""
    table = _sound_table(spec.path(folder))
    if table is None:
        return None
    return {
        name: np.asarray(column.to_pylist()) if pa.types.is_list(column.type) else column.to_numpy(zero_copy_only=False)
        for name, column in ((name, table[name].combine_chunks()) for name in table.column_names)
    }


def _sound_table(path: Path) -> pa.Table | None:
    """The table of a file whose values are those that were written, or None."""
    try:
        with pq.ParquetFile(path) as file:  # `read_table` would set up a data set first
            table = file.read(use_threads=False)
        return table if table.schema.metadata[b"content"] == _content(table) else None
    except PermissionError as error:
        raise StorageError(
            f"{path} could not be read ({error.strerror}).", "Check the folder's permissions."
        ) from error
    except (OSError, pa.ArrowException, KeyError, TypeError, UnicodeDecodeError):
        return None


def sound_rows(path: Path) -> bool:
    """Whether a file holds rows whose values are those that were written."""
    return _sound_table(path) is not None


def read_provenance(folder: Path, spec: Spec) -> dict[str, Any]:
    """Who measured the rows: version, git state, device, libraries, seconds, peak memory."""
    return dict(json.loads(pq.read_metadata(spec.path(folder)).metadata[b"nonvacuous"]))


def has_rows(folder: Path, spec: Spec) -> bool:
    """Whether undamaged rows are stored."""
    return read_rows(folder, spec) is not None
