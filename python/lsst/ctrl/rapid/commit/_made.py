"""What a gather left in a RUN, so that it can be removed before or after it is made again."""

from __future__ import annotations

__all__ = ("find_made", "find_superseded", "remove")

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from uuid import UUID

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, MissingDatasetTypeError
from lsst.daf.butler.registry import MissingCollectionError

from ..model import Shard
from ..plan import CompiledPipeline, Step, partial_chain, run_parts


def find_made(
    butler: Butler, pipeline: CompiledPipeline, step: Step, outcome: DatasetType, shard: Shard, run: str
) -> list[DatasetRef]:
    """Return what a shard left in a RUN: products, logs, metadata and outcome.

    Parameters
    ----------
    butler
        The repository.
    pipeline, step, outcome
        The shard's, and the dataset type of its outcomes.
    shard
        A gather of one exposure, or of a day.
    run
        The RUN; there may be none of that name.
    """
    names = {outcome.name}
    for label in step.tasks:
        node = pipeline.graph.tasks[label]
        names.update(edge.parent_dataset_type_name for edge in node.iter_all_outputs())
    refs: list[DatasetRef] = []
    for name in sorted(names):
        dimensions = butler.get_dataset_type(name).dimensions
        if shard.day_obs is not None:
            # A RUN is of one day: all that these tasks wrote to it is of this one.
            of = {"day_obs": shard.day_obs} if "day_obs" in dimensions else {}
        else:
            of = {key: shard.exposure for key in ("exposure", "visit") if key in dimensions}
            if not of:
                continue
        try:
            refs += butler.query_datasets(
                name,
                run,
                data_id={"instrument": shard.instrument, **of},
                find_first=False,
                limit=None,
                explain=False,
            )
        except (MissingCollectionError, MissingDatasetTypeError):
            continue
    return refs


def find_superseded(
    butler: Butler, output: str, outcomes: Mapping[tuple[str, str], DatasetType], runs: Collection[str]
) -> Iterator[tuple[Shard, str]]:
    """Yield partial gathers whose complete one is registered: a process was killed between the two.

    Parameters
    ----------
    butler
        The repository.
    output
        The chain below which the RUNs are.
    outcomes
        The dataset type of each step's outcomes, by pipeline and step.
    runs
        The RUNs of partial gathers.
    """
    for (pipeline, step), outcome in outcomes.items():
        # Shards of detectors and of groups are never made in part.
        if not runs or {"detector", "group"} & set(outcome.dimensions.required):
            continue
        for ref in butler.query_datasets(outcome, sorted(runs), find_first=False, limit=None, explain=False):
            complete = f"{output}/{ref.run.removeprefix(f'{partial_chain(output)}/')}"
            if run_parts(complete)[0] != pipeline:
                continue
            with contextlib.suppress(MissingCollectionError):
                if butler.find_dataset(outcome, ref.dataId, collections=complete) is not None:
                    yield _shard_of(pipeline, step, ref.dataId), ref.run


def _shard_of(pipeline: str, step: str, data_id: DataCoordinate) -> Shard:
    """Return the gather, of an exposure or of a day, that left an outcome."""
    instrument = str(data_id["instrument"])
    if "exposure" in data_id.dimensions:
        return Shard(pipeline, step, instrument, int(data_id["exposure"]))
    return Shard(pipeline, step, instrument, 0, day_obs=int(data_id["day_obs"]))


def remove(butler: Butler, datasets: Iterable[UUID]) -> int:
    """Remove datasets, by their IDs, with their files, those that are still there; returns how many."""
    there = [ref for dataset in datasets if (ref := butler.get_dataset(dataset)) is not None]
    if there:
        butler.pruneDatasets(there, disassociate=True, unstore=True, purge=True)
    return len(there)
