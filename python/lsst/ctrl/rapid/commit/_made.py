"""What a gather left in a RUN, so that it can be removed before the gather is made again."""

from __future__ import annotations

__all__ = ("find_made", "remove")

from collections.abc import Iterable
from uuid import UUID

from lsst.daf.butler import Butler, DatasetRef, DatasetType, MissingDatasetTypeError
from lsst.daf.butler.registry import MissingCollectionError

from ..model import Shard
from ..plan import CompiledPipeline, Step


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
        A gather of one exposure.
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
        of = {key: shard.exposure for key in ("exposure", "visit") if key in dimensions}
        if not of:
            continue
        try:
            refs += butler.query_datasets(
                name, run, data_id={"instrument": shard.instrument, **of}, find_first=False, explain=False
            )
        except (MissingCollectionError, MissingDatasetTypeError):
            continue
    return refs


def remove(butler: Butler, datasets: Iterable[UUID]) -> int:
    """Remove datasets, by their IDs, with their files, those that are still there; returns how many."""
    there = [ref for dataset in datasets if (ref := butler.get_dataset(dataset)) is not None]
    if there:
        butler.pruneDatasets(there, disassociate=True, unstore=True, purge=True)
    return len(there)
