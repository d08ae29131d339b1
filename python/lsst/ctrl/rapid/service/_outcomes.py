"""The outcomes that shards left in the repository."""

from __future__ import annotations

__all__ = ("kinds_of", "read_outcomes")

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, MissingDatasetTypeError

from ..commit import outcome_dataset_type
from ..model import Outcome, ShardKey
from ..plan import CompiledPipeline, Step


def kinds_of(pipelines: Iterable[CompiledPipeline]) -> Sequence[tuple[Step, Sequence[str]]]:
    """Return one step of each kind of outcome of exposures and groups, and the tasks of all of this kind."""
    kinds: dict[str, tuple[Step, dict[str, None]]] = {}
    for pipeline in pipelines:
        for step in pipeline.arrival_steps:
            name = outcome_dataset_type(step).name
            kinds.setdefault(name, (step, {}))[1].update(dict.fromkeys(step.tasks))
    return [(step, list(tasks)) for step, tasks in kinds.values()]


def read_outcomes(
    butler: Butler,
    step: Step,
    tasks: Sequence[str],
    instrument: str,
    runs: Sequence[str],
    of: Sequence[int] | Sequence[str],
) -> Mapping[ShardKey, Mapping[DatasetRef, bool]]:
    """Return the outcomes of a step's shards, and whether each says that its shard was shed.

    Parameters
    ----------
    butler
        The repository.
    step
        The step.
    tasks
        Those of all steps with outcomes of this kind.
    instrument
        Name of the instrument.
    runs
        Where outcomes may be.
    of
        Numbers of exposures, or names of groups.
    """
    dataset_type = outcome_dataset_type(step)
    where = f"{'group' if step.per_group else 'exposure'} IN (:wanted)"
    bind = {"wanted": list(of)}
    found: defaultdict[ShardKey, list[DatasetRef]] = defaultdict(list)
    try:
        refs = butler.query_datasets(
            dataset_type.name, runs, find_first=False, where=where, bind=bind, instrument=instrument,
            limit=None, explain=False,
        )  # fmt: skip
    except MissingDatasetTypeError:
        return {}
    for ref in refs:
        found[_key(step, ref.dataId)].append(ref)
    # What left a log has run; of the others, and where there are several, the outcome itself must be asked.
    unsure = set(found)
    for task in tasks:
        if not unsure:
            break
        with contextlib.suppress(MissingDatasetTypeError), butler.query() as query:
            rows = query.join_dataset_search(f"{task}_log", runs).data_ids(dataset_type.dimensions)
            ran = {_key(step, row) for row in rows.where(where, instrument=instrument, bind=bind)}
            unsure -= {key for key in ran if len(found[key]) == 1}
    return {
        key: {ref: key in unsure and butler.get(ref)["outcome"] == Outcome.SHED for ref in refs_of}
        for key, refs_of in found.items()
    }


def _key(step: Step, data_id: DataCoordinate) -> ShardKey:
    detector = int(data_id["detector"]) if step.per_detector else None
    of = str(data_id["group"]) if step.per_group else int(data_id["exposure"])
    return step.label, str(data_id["instrument"]), of, detector
