"""Scratch files that an earlier process left: what nobody is going to read is removed."""

from __future__ import annotations

__all__ = ("read_scratch", "remove_leftovers")

import contextlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from uuid import UUID

from lsst.daf.butler import Butler, CollectionType, DataCoordinate, DatasetRef, MissingDatasetTypeError

from ..commit import outcome_dataset_type
from ..datastore import ScratchFolder
from ..model import OutcomeRecord
from ..plan import CompiledPipeline, InputKind, Step
from ._scratch import ScratchRecord

_LOG = logging.getLogger(__name__)

_OF_ONE_DAY = re.compile(r"(partial/)?\d{8}/[^/]+")
"""What the name of a RUN has after that of its output chain."""


def remove_leftovers(
    butler: Butler,
    folder: ScratchFolder,
    output: str,
    pipelines: Iterable[CompiledPipeline],
    names: Set[str],
) -> None:
    """Remove scratch files that no step is going to read, while nothing writes any; raises nothing.

    Parameters
    ----------
    butler
        The repository.
    folder
        Where scratch files are.
    output
        The chain below which the RUNs are; others below its name may be another executor's.
    pipelines
        The pipelines of the run.
    names
        The scratch dataset types.

    Notes
    -----
    A file stays if the outcome of its shard is registered and a step that reads it has none yet: a raw of
    the exposure that is told of again makes it run.  What the registry knows stays, whatever it is.  Without
    leftovers, the repository is asked nothing.
    """
    try:
        _remove_leftovers(butler, folder, output, list(pipelines), names)
    except Exception:  # noqa: BLE001 -- no night ends for what is only in the way
        _LOG.exception("Scratch files of earlier runs could not be removed; the next start tries again.")


def _remove_leftovers(
    butler: Butler,
    folder: ScratchFolder,
    output: str,
    pipelines: Sequence[CompiledPipeline],
    names: Set[str],
) -> None:
    by_run = defaultdict(list)
    for uri, run, dataset in folder.leftovers():
        if _OF_ONE_DAY.fullmatch(run.removeprefix(f"{output}/")):
            by_run[run].append((uri, dataset))
    for run, files in by_run.items():
        kept = {ref.id for ref in butler.get_many_datasets({dataset for _, dataset in files})}
        for pipeline in pipelines:
            for step in pipeline.steps:
                kept |= _still_read(butler, pipeline, step, names, run)
        gone = [uri for uri, dataset in files if dataset not in kept]
        for uri in gone:
            try:
                uri.remove()
            except OSError as err:
                _LOG.error("%s is left of an earlier run and cannot be removed: %s.", uri, err)
        _LOG.info("Of %d scratch file(s) that are left in %s, nothing reads %d.", len(files), run, len(gone))


def read_scratch(butler: Butler, refs: Iterable[DatasetRef]) -> Mapping[DatasetRef, ScratchRecord]:
    """Return what shards left for later steps, by their outcomes, of those that left anything."""
    records = {ref: OutcomeRecord.model_validate(butler.get(ref)).scratch for ref in refs}
    return {ref: ScratchRecord.model_validate_json(text) for ref, text in records.items() if text}


def _still_read(
    butler: Butler, pipeline: CompiledPipeline, step: Step, names: Set[str], run: str
) -> set[UUID]:
    """Return the IDs of a step's scratch datasets in a RUN that a step without an outcome reads."""
    graph = pipeline.graph
    made = {e.parent_dataset_type_name for task in step.tasks for e in graph.tasks[task].outputs.values()}
    readers = [r for r in pipeline.steps if made & names & set(r.reads(InputKind.EARLIER_STEP))]
    unread: set[DataCoordinate] = set()
    for reader in readers:
        unread |= _without(butler, step, run, reader)
    by_instrument: dict[str, set[DataCoordinate]] = defaultdict(set)
    for data_id in unread:
        by_instrument[str(data_id["instrument"])].add(data_id)
    of = "group" if step.per_group else "exposure"
    found: set[UUID] = set()
    for instrument, data_ids in by_instrument.items():
        refs = butler.query_datasets(
            outcome_dataset_type(step), run, find_first=False, where=f"{of} IN (:wanted)",
            bind={"wanted": list({data_id[of] for data_id in data_ids})}, instrument=instrument, limit=None,
            explain=False,
        )  # fmt: skip
        for record in read_scratch(butler, (ref for ref in refs if ref.dataId in data_ids)).values():
            found |= {output.id for output in record.outputs}
    return found


def _without(butler: Butler, step: Step, run: str, reader: Step) -> set[DataCoordinate]:
    """Return a step's data IDs with an outcome in a RUN, of which a reader has none in any RUN of its day."""
    outcome, later = outcome_dataset_type(step), outcome_dataset_type(reader)
    day = butler.collections.query(f"{run.rpartition('/')[0]}/*", collection_types=CollectionType.RUN)
    ended: set[DataCoordinate] = set()
    with contextlib.suppress(MissingDatasetTypeError), butler.query() as query:
        ended = set(query.join_dataset_search(later.name, list(day)).data_ids(later.dimensions))
    with contextlib.suppress(MissingDatasetTypeError), butler.query() as query:
        rows = query.join_dataset_search(outcome.name, [run]).data_ids(outcome.dimensions | later.dimensions)
        return {row.subset(outcome.dimensions) for row in rows if row.subset(later.dimensions) not in ended}
    return set()
