"""Compares two RUNs dataset by dataset, as the acceptance of the executor is stated: times and ids aside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, ButlerLogRecords, DatasetRef
from lsst.images import Image, MaskedImage
from lsst.pipe.base import TaskMetadata
from lsst.pipe.base.tests.mocks import MockDataset
from matplotlib.image import imread

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SECONDS = re.compile(r"\d+\.\d+ seconds")
_MEASURED = re.compile(
    r"(?i)utc|time|maxresident|memory|fault|block(in|out)puts|switches|version|nodename|swaps|gc_metrics|^outputs$"
)
"""Metadata that says when and on what machine a quantum ran."""


def differences(butler: Butler, ours: str, theirs: str, ignored: Iterable[str] = ()) -> list[str]:
    """Return what differs between two RUNs; outcomes and what a test names are left out."""
    found: list[str] = []
    left, right = _by_key(butler, ours, ignored), _by_key(butler, theirs, ignored)
    found += [f"only in {ours}: {key}" for key in left.keys() - right.keys()]
    found += [f"only in {theirs}: {key}" for key in right.keys() - left.keys()]
    for key in sorted(left.keys() & right.keys(), key=str):
        a, b = _read(butler, left[key]), _read(butler, right[key])
        if (told := _difference(a, b, ours, theirs)) is not None:
            found.append(f"{key}: {told}")
    return found


def _read(butler: Butler, ref: DatasetRef) -> Any:
    """Return a dataset; a plot, which has no reader, as its pixels."""
    if ref.datasetType.storageClass_name == "Plot":
        return imread(butler.getURI(ref).ospath)
    return butler.get(ref)


def _by_key(butler: Butler, run: str, ignored: Iterable[str]) -> dict[tuple[Any, ...], DatasetRef]:
    keys = {}
    for dataset_type in butler.registry.queryDatasetTypes():
        name = dataset_type.name
        if name.startswith("rapid_") or name == "packages" or name in ignored or dataset_type.isCalibration():
            continue
        for ref in butler.query_datasets(dataset_type, run, find_first=False, limit=None, explain=False):
            keys[name, *ref.dataId.required_values] = ref
    return keys


def _difference(a: Any, b: Any, ours: str, theirs: str) -> str | None:
    if type(a) is not type(b):
        return f"{type(a).__name__} and {type(b).__name__}"
    match a:
        case MaskedImage():
            for plane in ("image", "mask", "variance"):
                if getattr(a, plane) != getattr(b, plane):
                    return f"{plane} differs"
            return None if a.metadata == b.metadata else "metadata differs"
        case Image():
            return None if a == b and a.metadata == b.metadata else "pixels or metadata differ"
        case Table():
            return _table_difference(a, b)
        case MockDataset():
            x, y = (_without_identity(m.model_dump_json(), run) for m, run in ((a, ours), (b, theirs)))
            return None if x == y else f"{x} and {y}"
        case TaskMetadata():
            x, y = (_without_measured(json.loads(m.model_dump_json())) for m in (a, b))
            return None if x == y else f"{x} and {y}"
        case ButlerLogRecords():
            x, y = ([_log_line(r, run) for r in records] for records, run in ((a, ours), (b, theirs)))
            return None if x == y else f"{x} and {y}"
        case np.ndarray():
            return None if np.array_equal(a, b) else "arrays differ"
        case _:
            return None if a == b else f"{a!r} and {b!r}"


def _table_difference(a: Table, b: Table) -> str | None:
    if a.colnames != b.colnames or len(a) != len(b):
        return f"columns {a.colnames} x {len(a)} and {b.colnames} x {len(b)}"
    for name in a.colnames:
        x, y = a[name], b[name]
        if x.unit != y.unit or x.dtype != y.dtype:
            return f"column {name}: {x.dtype} {x.unit} and {y.dtype} {y.unit}"
        equal_nan = x.dtype.kind == "f"
        if not np.array_equal(np.asarray(x), np.asarray(y), equal_nan=equal_nan):
            return f"column {name}: {x} and {y}"
    return None


def _without_identity(text: str, run: str) -> str:
    return _UUID.sub("UUID", text).replace(run, "RUN")


def _without_measured(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _without_measured(v) for k, v in tree.items() if not _MEASURED.search(k)}
    return tree


def _log_line(record: Any, run: str) -> tuple[str, str, str]:
    message = _SECONDS.sub("S seconds", _UUID.sub("UUID", record.message)).replace(run, "RUN")
    return record.name, record.levelname, message
