"""What earlier runs ended of an exposure."""

from __future__ import annotations

__all__ = ("Ended", "Made", "gathered_of", "gathers_of", "shards_of", "still_read")

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from lsst.daf.butler import DatasetRef

from ..ingest import Raw
from ..model import Shard, ShardKey
from ..plan import CompiledPipeline, DatasetMessage, InputKind, RecordsMessage, Step

type Made = Mapping[int | None, tuple[Sequence[DatasetMessage], RecordsMessage]]
"""Datasets and where their files are, by detector."""


@dataclasses.dataclass(slots=True)
class Ended:
    """What earlier runs ended of an exposure and of its group.

    Attributes
    ----------
    ended
        The RUN of each shard that was done or failed: it is not run again.
    shed
        The outcome of each shard that was shed: it may be run now, and its outcome is replaced then.
    gathered
        The detectors that each gather of an exposure took; of those alone that can be made again.
    made
        What has been looked up of their products, by dataset type, RUN, and exposure or group.
    restored
        Of which shards what they made is known again, by dataset type.
    is_told
        Whether the registered raws of the exposure have been told, to be gathered again.
    """

    ended: dict[ShardKey, str]
    shed: dict[ShardKey, DatasetRef]
    gathered: dict[ShardKey, frozenset[int]] = dataclasses.field(default_factory=dict)
    made: dict[tuple[str, str, int | str], Made] = dataclasses.field(default_factory=dict)
    restored: set[tuple[str, ShardKey]] = dataclasses.field(default_factory=set)
    is_told: bool = False

    def detectors(self, pipeline: CompiledPipeline) -> set[int]:
        """Return the detectors of the exposure that have ended a step of a pipeline."""
        labels = {step.label for step in _of_exposures(pipeline)}
        return {detector for label, _, _, detector in self.ended if label in labels and detector is not None}

    def is_outdated(self, pipeline: CompiledPipeline, instrument: str, exposure: int, more: Set[int]) -> bool:
        """Tell whether a gather that ended took not all detectors that have ended, and ``more``."""
        if not self.gathered:  # of almost all exposures, those that are new
            return False
        wanted = self.detectors(pipeline) | more
        gathers = [(step.label, instrument, exposure, None) for step in gathers_of(pipeline)]
        return any(key in self.gathered and not wanted <= self.gathered[key] for key in gathers)

    def has_detector(self, pipeline: CompiledPipeline, instrument: str, exposure: int, detector: int) -> bool:
        """Tell whether a detector of an exposure went through a pipeline's steps for detectors.

        Where there are none, whether its exposure was gathered.
        """
        keys = [(step.label, instrument, exposure, detector) for step in _of_exposures(pipeline)]
        if not keys:
            return self.has_gathers(pipeline, instrument, exposure)
        return all(key in self.ended for key in keys)

    def was_shed(self, pipeline: CompiledPipeline, instrument: str, exposure: int, detector: int) -> bool:
        """Tell whether a detector of an exposure was shed at a step of a pipeline."""
        keys = [(step.label, instrument, exposure, detector) for step in _of_exposures(pipeline)]
        return any(key in self.shed for key in keys)

    def has_gathers(self, pipeline: CompiledPipeline, instrument: str, exposure: int) -> bool:
        """Tell whether all gathers of an exposure ended, and took all of its detectors that ended."""
        if any(step.per_group for step in pipeline.steps):
            # Whether more exposures of its group are to come is not known here; its raws are looked at again.
            return False
        all_ended = all(
            (step.label, instrument, exposure, None) in self.ended for step in gathers_of(pipeline)
        )
        return all_ended and not self.is_outdated(pipeline, instrument, exposure, frozenset())

    def is_whole(
        self,
        pipelines: Iterable[CompiledPipeline],
        place: tuple[str, int],
        wanted: Iterable[int],
        others: Iterable[int] = (),
    ) -> bool:
        """Tell whether all was made of an exposure's detectors by a pipeline, and ``others`` were shed."""
        wanted, others = list(wanted), list(others)
        return any(
            self.has_gathers(pipeline, *place)
            and all(self.has_detector(pipeline, *place, one) for one in wanted)
            and all(self.was_shed(pipeline, *place, one) for one in others)
            for pipeline in pipelines
        )


def still_read(pipeline: CompiledPipeline, made_by: Step, ended: Ended, raw: Raw) -> list[str]:
    """Return the names of what a step that ended made for steps that have not ended.

    Parameters
    ----------
    pipeline
        The pipeline.
    made_by
        The step that ended.
    ended
        What ended of the raw's exposure and group.
    raw
        The raw whose detector is asked for.
    """
    wanted: set[str] = set()
    for step in pipeline.arrival_steps:
        if _shard(pipeline, step, raw).key not in ended.ended:
            wanted.update(step.reads(InputKind.EARLIER_STEP))
    producers = {name: pipeline.graph.producer_of(name) for name in wanted}
    return sorted(n for n, producer in producers.items() if producer and producer.label in made_by.tasks)


def gathered_of(
    pipeline: CompiledPipeline, ended: Ended, instrument: str, exposure: int
) -> Iterator[tuple[Shard, str, str]]:
    """Yield what gathers of an exposure read: shards of earlier steps, their RUNs, and dataset types."""
    wanted = {name for step in gathers_of(pipeline) for name in step.reads(InputKind.EARLIER_STEP)}
    for step in _of_exposures(pipeline):
        names = [n for n in sorted(wanted) if (p := pipeline.graph.producer_of(n)) and p.label in step.tasks]
        for (label, _, _, detector), run in ended.ended.items():
            if label == step.label and detector is not None:
                shard = Shard(pipeline.name, label, instrument, exposure, detector)
                yield from ((shard, run, name) for name in names)


def shards_of(pipeline: CompiledPipeline, raw: Raw) -> Iterator[tuple[Step, Shard]]:
    """Yield the shards of a pipeline that a raw is of: its detector's and the gathers'."""
    for step in pipeline.arrival_steps:
        yield step, _shard(pipeline, step, raw)


def _shard(pipeline: CompiledPipeline, step: Step, raw: Raw) -> Shard:
    detector = raw.detector if step.per_detector else None
    group = raw.group if step.per_group else None
    return Shard(pipeline.name, step.label, raw.instrument, raw.exposure, detector, group)


def _of_exposures(pipeline: CompiledPipeline) -> list[Step]:
    """Return the steps per detector of an exposure."""
    return [step for step in pipeline.steps if step.per_detector and not step.per_group]


def gathers_of(pipeline: CompiledPipeline) -> list[Step]:
    """Return the steps that gather an exposure."""
    return [step for step in pipeline.arrival_steps if step.unit == "exposure" and not step.per_detector]
