"""What earlier runs ended, asked for by the exposure."""

from __future__ import annotations

__all__ = ("EndedBefore", "Member")

import dataclasses
import datetime
import logging
import re
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DatasetRef,
)

from ..commit import outcome_dataset_type
from ..ingest import Raw
from ..model import OutcomeRecord, Shard, ShardKey
from ..plan import (
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    RecordsMessage,
    Step,
    partial_chain,
    records_to_message,
    run_name,
    split_records,
)
from ._ended import Ended, Made, gathers_of
from ._inputs import merge_records
from ._leftovers import read_scratch
from ._outcomes import kinds_of, read_outcomes

_LOG = logging.getLogger(__name__)

_EXPOSURES_KEPT = 256
"""Exposures of which it is remembered what ended: raws of one mostly come together."""

_EXPOSURES_AT_ONCE = 8
"""Exposures that are asked for together: files that are there at the start come in order."""

_DAY = re.compile(r"\d{8}")
_ANY_DAY = 0
"""Stands for the day of RUNs that are not of one: they may have outcomes of any."""

_NOTHING = Ended({}, {})


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """Where an exposure belongs: its observing day and its group."""

    day_obs: int
    group: str


class EndedBefore:
    """Finds what earlier runs, or this one a while ago, ended.

    Parameters
    ----------
    butler
        The repository, for the names of the RUNs.
    instruments
        Those whose raws are taken.
    pipelines
        The pipelines of the run.
    output
        The chain below which the RUNs are.
    scratch
        Names of the dataset types that are not registered: outcomes tell where their files are.

    Notes
    -----
    The repository is the only truth, and it is asked for no more than what somebody wants to know, so that
    what a start costs does not grow with the years: an exposure's outcomes are in the RUNs of its observing
    day, a group's in those of that day and of the two beside it, and are found by number or name.

    An exposure of which the registry knew nothing when this run began has no outcome: nothing is asked for
    it. To tell this from memory the exposures of an observing day are listed once, those of the two newest
    days that have RUNs at the start.  Of a day without a RUN nothing is asked.

    `members`, `read` and `read_made` may be called in any thread, each with a butler of that thread; the rest
    in one.
    """

    def __init__(
        self,
        butler: Butler,
        instruments: Sequence[str],
        pipelines: Sequence[CompiledPipeline],
        output: str,
        scratch: Set[str] = frozenset(),
    ) -> None:
        self._pipelines, self._output, self._scratch = list(pipelines), output, scratch
        self._kinds = kinds_of(pipelines)
        self._has_groups = any(step.per_group for step, _ in self._kinds)
        # What is scratch is gone once all has been gathered.
        self._made_again = not any(
            scratch & set(step.reads(InputKind.EARLIER_STEP)) for p in pipelines for step in gathers_of(p)
        )
        self._runs: defaultdict[int, dict[str, None]] = defaultdict(dict)
        for run in butler.collections.query(f"{output}/*", collection_types=CollectionType.RUN):
            if run.startswith(f"{partial_chain(output)}/"):
                continue
            name = run.removeprefix(f"{output}/").partition("/")[0]
            self._runs[int(name) if _DAY.fullmatch(name) else _ANY_DAY][run] = None
        self._listed: dict[tuple[str, int], dict[int, str]] = {}
        self._ended: OrderedDict[tuple[str, int], Ended] = OrderedDict()
        self.shed: dict[ShardKey, DatasetRef] = {}
        for day in self.newest_days:
            for instrument in instruments:
                self._list(butler, instrument, day)

    @property
    def days(self) -> int:
        """Number of observing days that have RUNs."""
        return len(self._runs)

    @property
    def newest_days(self) -> list[int]:
        """The newest observing days that have RUNs."""
        return sorted(self._runs.keys() - {_ANY_DAY})[-2:]

    # By arrival

    def at_hand(self, raw: Raw) -> Ended | None:
        """Return what ended of a raw's exposure and group; `None` if the repository must be asked first."""
        if (found := self._ended.get((raw.instrument, raw.exposure))) is not None:
            return found
        days = self._days_of(raw.day_obs)
        if not any(self._runs_of(days)):
            return _NOTHING
        listed = [self._listed.get((raw.instrument, day)) for day in days if self._runs_of([day])]
        if any(one is None or raw.exposure in one or self._is_group_in(raw, one) for one in listed):
            return None
        return _NOTHING

    def find(self, butler: Butler, raw: Raw) -> Mapping[int, Ended]:
        """Ask what ended of a raw's exposure and of some that follow it; changes nothing."""
        days = self._days_of(raw.day_obs)
        listed = {day: self._list(butler, raw.instrument, day) for day in days}
        own = listed[raw.day_obs]
        if raw.exposure not in own and not any(self._is_group_in(raw, one) for one in listed.values()):
            return {raw.exposure: _NOTHING}
        next_ones = [e for e in sorted(own) if e > raw.exposure and (raw.instrument, e) not in self._ended]
        members = {raw.exposure: Member(raw.day_obs, raw.group)}
        members |= {e: Member(raw.day_obs, own[e]) for e in next_ones[: _EXPOSURES_AT_ONCE - 1]}
        return self.read(butler, raw.instrument, members)

    def remember(self, instrument: str, found: Mapping[int, Ended]) -> None:
        """Keep what was found at hand."""
        for exposure, ended in found.items():
            self._ended[instrument, exposure] = ended
            self.shed.update(ended.shed)
        while len(self._ended) > _EXPOSURES_KEPT:
            self._ended.popitem(last=False)

    def forgotten(self, raw: Raw, run: str) -> None:
        """Note that this run forgets what it did with an exposure, in a RUN: it can be asked for now."""
        self._runs[raw.day_obs][run] = None
        self._listed.setdefault((raw.instrument, raw.day_obs), {})[raw.exposure] = raw.group
        self._ended.pop((raw.instrument, raw.exposure), None)

    def _is_group_in(self, raw: Raw, listed: Mapping[int, str]) -> bool:
        return self._has_groups and raw.group in list(listed.values())

    def _days_of(self, day: int) -> list[int]:
        """Return the days in whose RUNs an exposure's outcomes, and those of its group, may be."""
        return [_day_beside(day, -1), day, _day_beside(day, 1)] if self._has_groups else [day]

    def _runs_of(self, days: Iterable[int]) -> list[str]:
        return [run for day in (*days, _ANY_DAY) for run in list(self._runs.get(day, ()))]

    def _list(self, butler: Butler, instrument: str, day: int) -> Mapping[int, str]:
        """Return the exposures that the registry has of a day, with their groups."""
        found = self._listed.get((instrument, day))
        if found is None:
            with butler.query() as query:
                rows = query.data_ids(["exposure"]).where(
                    "day_obs = :wanted", instrument=instrument, bind={"wanted": day}
                )
                found = {int(row["exposure"]): str(row["group"]) for row in rows}
            self._listed[instrument, day] = found
        return found

    # By exposure

    def members(self, butler: Butler, instrument: str, exposures: Iterable[int]) -> Mapping[int, Member]:
        """Return where exposures belong, of those that had come when this run began."""
        with butler.query() as query:
            rows = query.data_ids(["exposure"]).where(
                "exposure IN (:wanted)", instrument=instrument, bind={"wanted": list(exposures)}
            )
            found = {int(row["exposure"]): Member(int(row["day_obs"]), str(row["group"])) for row in rows}
        days = {m.day_obs for m in found.values() if self._runs_of([m.day_obs])}
        listed = {day: self._list(butler, instrument, day) for day in days}
        return {e: m for e, m in found.items() if m.day_obs in listed and e in listed[m.day_obs]}

    def read(self, butler: Butler, instrument: str, members: Mapping[int, Member]) -> Mapping[int, Ended]:
        """Ask what ended of exposures and of their groups.

        Parameters
        ----------
        butler
            The repository.
        instrument
            Name of the instrument.
        members
            The exposures, and where they belong.
        """
        found: defaultdict[int | str, Ended] = defaultdict(lambda: Ended({}, {}))
        days: defaultdict[int, list[int]] = defaultdict(list)
        for exposure, member in members.items():
            days[member.day_obs].append(exposure)
        for day, exposures in days.items():
            groups = {members[exposure].group for exposure in exposures}
            for step, tasks in self._kinds:
                runs = self._runs_of(self._days_of(day) if step.per_group else [day])
                if not runs:
                    continue
                of = sorted(groups) if step.per_group else sorted(exposures)
                for key, refs in read_outcomes(butler, step, tasks, instrument, runs, of).items():
                    ref = self._enter(found[key[2]], key, refs, day)
                    if step.unit == "exposure" and not step.per_detector and ref.run in self._names(day):
                        self._enter_gathered(butler, found[key[2]], key, ref)
        return {
            exposure: Ended(
                {**found[exposure].ended, **found[member.group].ended},
                {**found[exposure].shed, **found[member.group].shed},
                found[exposure].gathered,
            )
            for exposure, member in members.items()
        }

    def _enter(self, found: Ended, key: ShardKey, refs: Mapping[DatasetRef, bool], day: int) -> DatasetRef:
        """Enter a shard's outcomes, of which there may be one in each RUN of its day; returns which holds."""
        ran = [ref for ref, shed in refs.items() if not shed]
        # Where there are several, that of the RUN that is written now: this one would have to be replaced.
        ref = max(ran or refs, key=lambda ref: ref.run in self._names(day))
        if ran:
            found.ended[key] = ref.run
        else:
            found.shed[key] = ref
        return ref

    def _enter_gathered(self, butler: Butler, found: Ended, key: ShardKey, ref: DatasetRef) -> None:
        """Enter what a gather took that could be removed from its RUN, and made again."""
        try:
            gathered = OutcomeRecord.model_validate(butler.get(ref)).gathered if self._made_again else ()
        except (OSError, ValueError) as err:
            _LOG.warning("%s cannot be read (%s): what it tells of is not made again.", ref, err)
            return
        if gathered:
            found.gathered[key] = frozenset(gathered)

    def _names(self, day: int) -> set[str]:
        return {run_name(self._output, day, pipeline.name, pipeline.hash) for pipeline in self._pipelines}

    def read_made(self, butler: Butler, shard: Shard, run: str, name: str) -> Made:
        """Find a dataset type's datasets of a shard's exposure or group, of all detectors, in a RUN."""
        of = {key: value for key, value in shard.data_id.items() if key != "detector"}
        refs = butler.query_datasets(name, run, data_id=of, find_first=False, limit=None, explain=False)
        exported = butler._datastore.export_records(refs)  # noqa: SLF001 -- as upstream's builder
        split = split_records(records_to_message(exported))
        by_detector: defaultdict[int | None, list[DatasetRef]] = defaultdict(list)
        for ref in refs:
            by_detector[int(ref.dataId["detector"]) if "detector" in ref.dataId else None].append(ref)
        made = {
            detector: (
                [DatasetMessage.of(ref) for ref in found],
                merge_records(split.get(ref.id, {}) for ref in found),
            )
            for detector, found in by_detector.items()
        }
        return {**made, **self._read_scratch(butler, shard, run, name)} if name in self._scratch else made

    def _read_scratch(self, butler: Butler, shard: Shard, run: str, name: str) -> Made:
        """Find the files of a scratch dataset type of a shard's exposure or group."""
        step = next(step for step, _ in self._kinds if _is_of(step, shard))
        of = {key: value for key, value in shard.data_id.items() if key != "detector"}
        outcome = outcome_dataset_type(step).name
        refs = butler.query_datasets(outcome, run, data_id=of, find_first=False, limit=None, explain=False)
        found: dict[int | None, tuple[Sequence[DatasetMessage], RecordsMessage]] = {}
        for ref, record in read_scratch(butler, refs).items():
            outputs = [output for output in record.outputs if output.dataset_type == name]
            split = split_records(record.datastore_records)
            detector = int(ref.dataId["detector"]) if step.per_detector else None
            if outputs:
                found[detector] = outputs, merge_records(split.get(output.id, {}) for output in outputs)
        return found


def _is_of(step: Step, shard: Shard) -> bool:
    """Tell whether a shard's outcome is of the kind of a step's."""
    kind = step.label, step.per_detector, step.per_group
    return kind == (shard.step, shard.detector is not None, shard.group is not None)


def _day_beside(day: int, days: int) -> int:
    """Return the observing day so many days after another."""
    date = datetime.date(day // 10_000, day // 100 % 100, day % 100) + datetime.timedelta(days)
    return int(date.strftime("%Y%m%d"))
