"""What a repository's registry and datastore have of one output, in a few large queries."""

from __future__ import annotations

__all__ = ("Contents", "RegisteredRaw", "read_contents", "read_raws")

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from lsst.daf.butler import Butler, CollectionType, DatasetRef, MissingDatasetTypeError
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.pipe.base.pipeline_graph import TaskImportMode
from lsst.pipe.base.pipeline_graph.io import SerializedPipelineGraph

from ..model import Outcome
from ._disk import Disk, local_path
from ._model import Finding, Imbalance
from ._outcomes import LeftOutcome, Planned, read_outcome, told
from ._sent import RawKey

_OUTCOME = re.compile(r"rapid_.+_outcome")
_PIPELINE = "rapid_pipeline"
_AT_ONCE = 500
"""Numbers in one condition of a query."""


@dataclasses.dataclass(frozen=True, slots=True)
class RegisteredRaw:
    """A raw that is registered, and its file."""

    run: str
    path: str
    in_store: bool
    """Whether the file is the datastore's own, not where it landed."""
    is_there: bool


class _Dataset(NamedTuple):
    """What a registered dataset is, in as little memory as can be."""

    name: str
    run: str
    dimensions: tuple[str, ...]
    values: tuple[str | int, ...]

    def __str__(self) -> str:
        of = told(dict(zip(self.dimensions, self.values, strict=True)))
        return f"{self.name} {of} in {self.run}" if of else f"{self.name} in {self.run}"


@dataclasses.dataclass(slots=True)
class Contents:
    """What an output's RUNs have.

    Attributes
    ----------
    runs
        The RUNs, and the names of the dataset types that each has.
    outcomes
        All outcomes, those of partial gathers apart.
    partial
        Outcomes of partial gathers.
    gathers
        By RUN the labels of its pipeline's steps that gather the detectors of an exposure.
    datasets
        How many datasets there are.
    loose
        Products that no outcome has told of yet, by their ID.
    findings
        What is not as it must be in the registry and the datastore.
    """

    runs: dict[str, frozenset[str]]
    outcomes: list[LeftOutcome] = dataclasses.field(default_factory=list)
    partial: list[LeftOutcome] = dataclasses.field(default_factory=list)
    gathers: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    datasets: int = 0
    loose: dict[UUID, _Dataset] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)


def read_contents(butler: Butler, output: str, disk: Disk) -> Contents:
    """Return what the RUNs of an output have.

    Parameters
    ----------
    butler
        The repository; it is only read.
    output
        The chain below which the RUNs are.
    disk
        The files; each that is registered is asked for.
    """
    day = re.compile(re.escape(output) + r"/(partial/)?\d{8}/[^/]+")
    infos = butler.collections.query_info(f"{output}/*", CollectionType.RUN, include_summary=True)
    runs = {info.name: info.dataset_types or frozenset() for info in infos if day.fullmatch(info.name)}
    contents = Contents(dict(runs))
    names = sorted({name for types in runs.values() for name in types})
    kinds = [name for name in names if _OUTCOME.fullmatch(name)]
    # An outcome that is registered while this goes on must not be missed by its products, nor they by it.
    before = {ref.id for kind in kinds for ref in _refs(butler, kind, runs)}
    for name in names:
        if name not in kinds:
            _take(contents, butler, disk, name, _refs(butler, name, runs), output)
    for kind in kinds:
        refs = _refs(butler, kind, runs)
        paths = _take(contents, butler, disk, kind, refs, output)
        for ref in refs:
            left = _left(butler, disk, ref, paths.get(ref.id))
            _match_products(contents, butler, left, may_be_new=ref.id not in before)
            is_partial = ref.run.startswith(f"{output}/partial/")
            (contents.partial if is_partial else contents.outcomes).append(left.without_plan())
    contents.findings += [
        Finding(imbalance=Imbalance.NO_OUTCOME, what=str(of)) for of in contents.loose.values()
    ]
    for run, types in runs.items():
        contents.gathers[run] = set(_gathers(butler, run, types))
    return contents


def read_raws(
    butler: Butler, disk: Disk, exposures: Mapping[str, Iterable[int]]
) -> Mapping[RawKey, Sequence[RegisteredRaw]]:
    """Return the registered raws of exposures, with their files.

    Parameters
    ----------
    butler, disk
        The repository and its files.
    exposures
        Numbers of the exposures, by instrument.
    """
    found: defaultdict[RawKey, list[RegisteredRaw]] = defaultdict(list)
    for instrument, wanted in exposures.items():
        numbers = sorted(set(wanted))
        for first in range(0, len(numbers), _AT_ONCE):
            refs = _query(
                butler, "raw", "*/raw/*", where="exposure IN (:wanted)", instrument=instrument,
                bind={"wanted": numbers[first : first + _AT_ONCE]},
            )  # fmt: skip
            paths = _paths(butler, refs)
            for ref in refs:
                key = instrument, int(ref.dataId["exposure"]), int(ref.dataId["detector"])
                found[key].append(_registered_raw(ref.run, paths.get(ref.id), disk))
    return found


def _registered_raw(run: str, stored: tuple[str, StoredFileInfo] | None, disk: Disk) -> RegisteredRaw:
    if stored is None:
        return RegisteredRaw(run, "", in_store=False, is_there=False)
    store, info = stored
    path = local_path(info.path)
    in_store = "://" not in path and not path.startswith("/")
    is_there = Path(path).exists() if path.startswith("/") else disk.size(store, info.path) is not None
    return RegisteredRaw(run, path, in_store, is_there)


def _query(butler: Butler, name: str, runs: Any, **conditions: Any) -> Sequence[DatasetRef]:
    try:
        return butler.query_datasets(name, runs, find_first=False, limit=None, explain=False, **conditions)
    except MissingDatasetTypeError:
        return []


def _refs(butler: Butler, name: str, runs: Mapping[str, frozenset[str]]) -> Sequence[DatasetRef]:
    """Return all datasets of a type in those RUNs that have any."""
    having = [run for run, types in runs.items() if name in types]
    return _query(butler, name, having) if having else []


def _paths(butler: Butler, refs: Sequence[DatasetRef]) -> dict[UUID, tuple[str, StoredFileInfo]]:
    """Return the datastore and the record of each dataset that has a file."""
    found: dict[UUID, tuple[str, StoredFileInfo]] = {}
    exported = butler._datastore.export_records(refs)  # noqa: SLF001 -- no public way asks for many at once
    for store, data in exported.items():
        for dataset, tables in data.records.items():
            for info in (info for infos in tables.values() for info in infos):
                if isinstance(info, StoredFileInfo):
                    found[dataset] = store, info
    return found


def _take(
    contents: Contents, butler: Butler, disk: Disk, name: str, refs: Sequence[DatasetRef], output: str
) -> dict[UUID, tuple[str, StoredFileInfo]]:
    """Look at all datasets of a type: their files, and whether one is there twice."""
    contents.datasets += len(refs)
    paths = _paths(butler, refs)
    seen: dict[tuple[Any, ...], str] = {}
    is_product = not _OUTCOME.fullmatch(name)
    for ref in refs:
        of = _Dataset(name, ref.run, tuple(ref.dataId.dimensions.required), ref.dataId.required_values)
        if of.values and is_product:
            contents.loose[ref.id] = of
        if of.values and is_product and not ref.run.startswith(f"{output}/partial/"):
            first = seen.setdefault(of.values, ref.run)
            if first != ref.run:
                found = Finding(imbalance=Imbalance.REGISTERED_TWICE, what=str(of), why=f"and in {first}")
                contents.findings.append(found)
        _check_file(contents, disk, of, paths.get(ref.id))
    return paths


def _check_file(
    contents: Contents, disk: Disk, of: _Dataset, stored: tuple[str, StoredFileInfo] | None
) -> None:
    if stored is None:
        contents.findings.append(Finding(imbalance=Imbalance.NO_FILE, what=str(of)))
        return
    store, info = stored
    size = disk.size(store, info.path)
    if size is None:
        uri = str(disk.uri(store, info.path))
        contents.findings.append(Finding(imbalance=Imbalance.FILE_GONE, what=str(of), why=uri))
    elif size >= 0 and 0 <= info.file_size != size:
        why = f"{disk.uri(store, info.path)} has {size} bytes, registered are {info.file_size}"
        contents.findings.append(Finding(imbalance=Imbalance.FILE_DIFFERS, what=str(of), why=why))


def _left(
    butler: Butler, disk: Disk, ref: DatasetRef, stored: tuple[str, StoredFileInfo] | None
) -> LeftOutcome:
    """Read an outcome, its file itself: upstream's way takes ten times as long for each."""
    record = None
    try:
        if stored is not None and stored[1].path.endswith(".json"):
            record = read_outcome(disk.uri(stored[0], stored[1].path).read())
        elif stored is not None:
            record = read_outcome(butler.get(ref))
    except (OSError, ValueError, RuntimeError):
        record = None
    return LeftOutcome(ref.id, ref.datasetType.name, ref.run, dict(ref.dataId.required), record)


def _match_products(contents: Contents, butler: Butler, outcome: LeftOutcome, *, may_be_new: bool) -> None:
    """Compare what is registered with what the quanta of an outcome were to write."""
    if outcome.record is None:
        why = f"in {outcome.run}"
        contents.findings.append(Finding(imbalance=Imbalance.UNREADABLE, what=str(outcome), why=why))
        return
    quanta = list(outcome.planned())
    if outcome.record.outcome is Outcome.DONE and not may_be_new:
        contents.findings += _lost(contents, butler, outcome, quanta)
    for quantum in quanta:
        for dataset, _ in quantum.outputs:
            contents.loose.pop(dataset, None)


def _lost(
    contents: Contents, butler: Butler, outcome: LeftOutcome, quanta: Sequence[Planned]
) -> Iterator[Finding]:
    """Yield what a shard's quanta wrote and what is not registered."""
    made_here = {dataset for quantum in quanta for dataset, _ in quantum.outputs}
    scratch = outcome.record.scratch if outcome.record is not None else ""
    for quantum in quanta:
        missing = {d: n for d, n in quantum.outputs if d not in contents.loose and str(d) not in scratch}
        if not missing:
            continue
        if quantum.metadata is not None and quantum.metadata not in missing:
            # It ran: its metadata tell what it wrote, which may be less than was planned.
            ref = butler.get_dataset(quantum.metadata)
            try:
                wrote = set(butler.get(ref)["quantum"].getArray("outputs")) if ref is not None else set()
            except (OSError, ValueError, RuntimeError):
                wrote = set(map(str, missing))  # nobody can tell any more
            missing = {d: n for d, n in missing.items() if str(d) in wrote}
        elif any(d in made_here and d not in contents.loose for d, _ in quantum.inputs):
            continue  # what it would have read was not made: it was left out
        for name in sorted(set(missing.values())):
            yield Finding(
                imbalance=Imbalance.NO_PRODUCT, what=str(outcome), why=f"{name} is not in {outcome.run}"
            )


def _gathers(butler: Butler, run: str, types: frozenset[str]) -> Iterator[str]:
    """Yield the labels of the steps of a RUN's pipeline that gather the detectors of an exposure."""
    for name in types:
        found = re.fullmatch(r"rapid_(.+)_gather_outcome", name)
        if found and "exposure" in butler.get_dataset_type(name).dimensions.required:
            yield found[1]
    if _PIPELINE not in types:
        return
    ref = butler.find_dataset(_PIPELINE, collections=run)
    if ref is None:
        return
    try:
        graph = SerializedPipelineGraph.model_validate_json(butler.get(ref)["graph"])
    except (OSError, ValueError, RuntimeError):
        return  # that its file is gone, or another, is found where files are compared
    steps = graph.deserialize(TaskImportMode.DO_NOT_IMPORT).steps
    for label in steps:
        required = steps.get_dimensions(label).required
        if "detector" not in required and {"exposure", "visit"} & set(required):
            yield label
