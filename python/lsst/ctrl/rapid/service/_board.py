"""How far each exposure is: for the terminal and the log."""

from __future__ import annotations

__all__ = ("Board",)

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Collection, Mapping, Set

from ..control import FailureLine
from ..ingest import Raw
from ..model import Outcome, Shard, ShardReport, format_numbers
from ._status import ExposureStatus

_LOG = logging.getLogger(__name__)

_EXPOSURES_KEPT = 500
_FAILURES_KEPT = 20


class Board:
    """The exposures of a run, newest last.

    Parameters
    ----------
    after
        The steps that each gather reads from, by pipeline and step.
    gathering
        The pipelines that gather what arrives.
    """

    def __init__(self, after: Mapping[tuple[str, str], frozenset[str]], gathering: Set[str]) -> None:
        self._after = after
        self._gathering = gathering
        self._failures: deque[FailureLine] = deque(maxlen=_FAILURES_KEPT)
        self._exposures: OrderedDict[tuple[str, int], ExposureStatus] = OrderedDict()

    @property
    def exposures(self) -> list[ExposureStatus]:
        """The exposures, in the order in which they came."""
        return list(self._exposures.values())

    @property
    def failures(self) -> tuple[FailureLine, ...]:
        """The latest shards that failed, newest first."""
        return tuple(reversed(self._failures))

    def arrived(self, raw: Raw, pipeline: str, expected: int, *, ended: bool, gathered: bool) -> None:
        """A raw of an expected detector has come.

        Parameters
        ----------
        raw
            The raw.
        pipeline
            Name of the pipeline that was chosen for it.
        expected
            Number of detectors that are processed of its exposure.
        ended
            Whether an earlier run has dealt with it.
        gathered
            Whether an earlier run has gathered its exposure, and nothing has come since.
        """
        key = (raw.instrument, raw.exposure)
        status = self._exposures.get(key)
        if status is None:
            record = raw.exposure_records["exposure"]
            status = self._exposures[key] = ExposureStatus(
                instrument=raw.instrument,
                exposure=raw.exposure,
                pipeline=pipeline,
                observation_type=str(record.observation_type),
                physical_filter=str(record.physical_filter),
                expected=expected,
                first_closed=raw.file_closed,
                gathered="waits" if pipeline in self._gathering else "none",
            )
            while len(self._exposures) > _EXPOSURES_KEPT:
                self._exposures.popitem(last=False)
        status.arrived += 1
        if ended:
            status.detector_ended(raw.detector, "", Outcome.DONE)
        if gathered and status.gathered == "waits":
            status.gathered = "earlier"
        if not ended and not status.announced:
            status.announced = True
            _LOG.info(
                "%s exposure %d (%s, %s): the first of %d detectors has come; %s.",
                raw.instrument,
                raw.exposure,
                status.observation_type,
                status.physical_filter,
                expected,
                pipeline,
            )

    def gathering(self, shard: Shard, missing: frozenset[int]) -> None:
        """A gather has begun."""
        if (status := self._exposures.get((shard.instrument, shard.exposure))) is not None:
            status.gathered = "runs"
        if missing:
            _LOG.warning(
                "%s: %d detector(s) are missing: %s.",
                shard,
                len(missing),
                format_numbers(missing),
            )

    def gathering_in_part(self, shard: Shard, detectors: Collection[int]) -> None:
        """A gather of what has ended has begun."""
        status = self._exposures.get((shard.instrument, shard.exposure))
        if status is not None:
            status.gathered = "runs in part"
        expected = len(detectors) if status is None else status.expected
        _LOG.info("%s: %d of %d detectors have ended.", shard, len(detectors), expected)

    def committed(self, shard: Shard, report: ShardReport) -> None:
        """A shard's end is in the registry."""
        if report.outcome is Outcome.FAILED:
            when = report.times.committed or time.time()
            self._failures.append(
                FailureLine(time=when, what=str(shard), reason=report.reason, repeat=report.repeat)
            )
            _LOG.error("%s failed: %s", shard, report.reason)
            if report.repeat:
                _LOG.error("Repeat it with: %s", report.repeat)
        if shard.day_obs is not None:
            _LOG.info("%s %s.", shard, report.outcome)
            return
        status = self._exposures.get((shard.instrument, shard.exposure))
        if status is None:
            return
        status.last_committed = report.times.committed
        if shard.detector is None:
            status.gathered = f"{report.outcome} in part" if shard.partial else str(report.outcome)
            self._log_gather(shard, status, report)
        else:
            status.detector_ended(shard.detector, shard.step, report.outcome)

    def _log_gather(self, shard: Shard, status: ExposureStatus, report: ShardReport) -> None:
        since = time.time() if report.times.committed is None else report.times.committed
        seconds = since - status.first_closed if status.first_closed is not None else float("nan")
        done, failed = status.count(self._after[shard.pipeline, shard.step])
        counted = f"{done} of {status.expected} detectors done, {failed} failed; " if done or failed else ""
        _LOG.info(
            "%s %s: %sin the registry %.1f s after its first file.", shard, report.outcome, counted, seconds
        )
