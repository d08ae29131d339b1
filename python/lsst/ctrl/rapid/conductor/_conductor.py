"""Which shard runs when and where: one deterministic class, events and a clock in, decisions out."""

from __future__ import annotations

__all__ = ("Conductor",)

import dataclasses
from collections.abc import Mapping, Sequence

from ..model import Policy, Shard
from ._choice import Choice
from ._day import DayBefore, DayProgress
from ._decisions import Backlog, Decision, Give, Hold, Selected
from ._dispatcher import Dispatcher
from ._exposure import Gathering
from ._gates import Gates
from ._known import NOT_YET_KNOWN, Known
from ._steps import RAW, State, StepRule


class Conductor:
    """Decides which shard runs when and where.

    Parameters
    ----------
    steps
        Steps of each pipeline by its name, each after those that it depends on.
    choice
        Which detectors of an exposure are processed.
    gathering
        When gathers run that not all detectors have come to.
    attempts
        How often a shard is tried whose worker died under it.
    policy
        What comes first; its patterns are in ``choice``.
    partners
        Detectors that one worker processes, each by the other, by instrument.

    Notes
    -----
    Newest exposure first, always.  A detector goes back to the worker that it was on before, unless that one
    is busy and another is free.  No shard runs twice at once, and none that ended runs again but a gather.

    A gather runs when every expected detector has ended; a failed one counts as ended.  If that has not
    happened some time after the first one ended, a partial gather runs with those that have, and the complete
    one when the rest have ended, after the exposure's deadline without those that have not come.  If one
    comes still later, the complete gather is made again, once what it made before has been removed.  A step
    of a group runs when as many exposures have come and ended as their headers say, or after the deadline of
    the newest.  A step of an observing day runs in part after every so many exposures, and whole when the day
    is over and all that has come of it has ended; if more comes still later, it is made again.

    What waits of exposures older than the newest is the backlog: `Mode` says when it is worked off.  While
    more waits than the policy allows, exposures are processed in part.

    The class has no clock and does no I/O: the same events at the same times give the same decisions.
    """

    def __init__(
        self,
        steps: Mapping[str, Sequence[StepRule]],
        choice: Choice,
        gathering: Gathering,
        attempts: int = 2,
        *,
        policy: Policy | None = None,
        partners: Mapping[str, Mapping[int, int]] | None = None,
    ) -> None:
        self._choice = choice
        self._policy = policy or Policy()
        self._attempts = attempts
        self._known = known = Known(steps, gathering)
        self._dispatcher = Dispatcher(known.active, known.progress, steps, partners or {}, self._policy.mode)
        self._gates = Gates(known, self._dispatcher)
        self._draining = False
        self._paused = False
        self._held: set[Hold] = set()

    # What is wanted

    def set_policy(self, policy: Policy, choice: Choice) -> None:
        """Have another policy, for exposures whose first raw is still to come; the mode holds at once."""
        self._policy, self._choice = policy, choice
        self._dispatcher.mode = policy.mode

    @property
    def gathering(self) -> Gathering:
        """When gathers run, for exposures whose first raw is still to come."""
        return self._known.gathering

    def set_gathering(self, gathering: Gathering) -> None:
        """Have other times for gathers, for exposures whose first raw is still to come."""
        self._known.gathering = gathering

    def pause(self) -> None:
        """Dispatch nothing until `resume`; what runs goes on."""
        self._paused = True

    def resume(self) -> None:
        """Dispatch again."""
        self._paused = False

    def hold(self, why: Hold) -> None:
        """Dispatch nothing until `release`, whatever a person says."""
        self._held.add(why)

    def release(self, why: Hold) -> None:
        """End what `hold` began, unless there is another reason."""
        self._held.discard(why)

    def drain(self) -> None:
        """Dispatch nothing more; what runs may end."""
        self._draining = True

    # Events: workers

    def worker_ready(self, worker: str) -> None:
        """A worker can take a shard."""
        self._dispatcher.workers.ready(worker)

    def worker_lost(self, worker: str) -> None:
        """A worker can take none any more; the shard that it had is told by `lost`."""
        self._dispatcher.workers.lost(worker)

    # Events: raws

    def expect(self, instrument: str, exposure: int, detectors: frozenset[int]) -> None:
        """Expect these detectors of an exposure, whatever the policy says."""
        self._known.selected[instrument, exposure] = Selected(detectors)
        if (found := self._known.exposures.get((instrument, exposure))) is not None:
            found.expected = detectors

    def expect_group(self, instrument: str, group: str, size: int) -> None:
        """Expect at least so many exposures of a group, whatever headers say; told before their raws."""
        self._known.group_sizes[instrument, group] = size

    def expect_more(self, instrument: str, exposure: int, detectors: frozenset[int]) -> None:
        """Expect these detectors of an exposure, too, in every mode and whatever the policy says.

        They are worked off although the policy is to wait, for somebody has asked for them.
        """
        place = (instrument, exposure)
        before = self._known.selected.get(place)
        if before is None:
            self._known.selected[place] = Selected(detectors)
        else:
            more = before.detectors | detectors
            self._known.selected[place] = dataclasses.replace(before, detectors=more)
        if (found := self._known.exposures.get(place)) is not None:
            found.expected |= detectors
        self._dispatcher.ask_for(place)

    def select(self, pipeline: str, instrument: str, exposure: int, *, guaranteed: bool = False) -> Selected:
        """Return which detectors of an exposure are processed: decided once, when its first raw has come.

        Parameters
        ----------
        pipeline, instrument, exposure
            What it is.
        guaranteed
            Whether the policy says that this exposure is always whole.
        """
        place = (instrument, exposure)
        if (selected := self._known.selected.get(place)) is None:
            rule = self._policy.down_selection
            high = self._dispatcher.load.judge(self._dispatcher.seconds_of_work, rule)
            if guaranteed:
                selected = self._choice.whole(instrument, pipeline, exposure)
            elif high:
                selected = self._choice.reduced(instrument, pipeline, exposure)
            else:
                selected = self._choice.usual(instrument, pipeline, exposure)
            self._known.selected[place] = selected
        return selected

    def is_selected(self, instrument: str, exposure: int) -> bool:
        """Tell whether it is decided which detectors of an exposure are processed."""
        return (instrument, exposure) in self._known.selected

    def raw(
        self,
        pipeline: str,
        instrument: str,
        exposure: int,
        detector: int,
        now: float,
        newness: float,
        group: str = "",
        group_size: int = 1,
        day_obs: int | None = None,
    ) -> Sequence[Shard]:
        """A raw of a selected detector can be worked on.

        Parameters
        ----------
        pipeline
            Name of the pipeline for it.
        instrument, exposure, detector
            What it is.
        now
            The time.
        newness
            The greater, the earlier its exposure's turn; the first raw's counts.
        group, group_size
            Name of its exposure's group, and how many exposures that has.
        day_obs
            Its exposure's observing day; `None` if nothing is run for days.

        Returns
        -------
        shards
            Those that it made ready.
        """
        selected = self.select(pipeline, instrument, exposure)
        found = self._known.exposure(pipeline, (instrument, exposure), now, newness, selected)
        self._dispatcher.note_newest(found)
        found.arrive(detector, now)
        self._gates.enter(found)
        if (whole := self._known.join(found, group, group_size)) is not None:
            self._gates.enter(whole)
        ready = self._gates.advance(found, now, detector)
        if day_obs is not None and (day := self._known.join_day(found, day_obs, now)) is not None:
            ready += self._gates.advance_day(day, now)
        return ready

    def resume_day(
        self, pipeline: str, instrument: str, day_obs: int, before: DayBefore, now: float
    ) -> Sequence[Shard]:
        """Earlier runs left this of an observing day; told once, before the first of its raws.

        Returns
        -------
        shards
            Those that are ready now, because the day is over.
        """
        if (day := self._known.day(pipeline, instrument, day_obs, now)) is None:
            return []
        day.resume(before)
        return self._gates.advance_day(day, now)

    def raw_committed(self, instrument: str, exposure: int, detector: int, now: float) -> Sequence[Shard]:
        """A raw is in the registry, or never will be; returns the shards that this made ready."""
        return self._note_commit(instrument, exposure, RAW, detector, now)

    # Events: shards

    def already_ended(
        self, shard: Shard, *, failed: bool, now: float, gathered: frozenset[int] | None = None
    ) -> None:
        """A shard ended in an earlier run: it is not run again, and counts in its exposure's gather.

        Parameters
        ----------
        shard, failed, now
            What ended, how, and the time.
        gathered
            Of a gather of an exposure, the detectors that it took: once more have ended, and all of these
            have been told, it is made again.  `None`: it never is.
        """
        known, state = self._known, State.FAILED if failed else State.DONE
        if shard.group is not None:
            known.group(shard.pipeline, shard.instrument, shard.group, 1).ended_earlier(shard, state)
            return
        place = (shard.instrument, shard.exposure)
        selected = self.select(shard.pipeline, *place)
        exposure = known.exposure(shard.pipeline, place, now, NOT_YET_KNOWN, selected)
        exposure.ended_earlier(shard, state, gathered)

    def ended(
        self, shard: Shard, *, failed: bool, now: float, seconds: float | None = None
    ) -> Sequence[Shard]:
        """A shard has ended on its worker, which is free again.

        Parameters
        ----------
        shard, failed, now
            What has ended, how and when.
        seconds
            How long it took, if that tells how long others will take.

        Returns
        -------
        shards
            Those that it made ready.
        """
        self._dispatcher.ended(shard, seconds)
        return self._end(shard, State.FAILED if failed else State.DONE, now)

    def yielded(self, shard: Shard) -> None:
        """A shard has stopped between two quanta, as it was asked to: it waits again, to be begun anew."""
        self._dispatcher.yielded(shard)

    def lost(self, shard: Shard, reason: str, now: float) -> Sequence[Shard]:
        """The worker of a shard is gone: the shard is tried again, on another worker, or given up.

        Returns
        -------
        shards
            Those that giving it up made ready: it counts as ended in its exposure's gather.
        """
        attempt = self._dispatcher.lost(shard)
        if attempt < self._attempts:
            self._dispatcher.make_ready(shard)
            return []
        self._gates.tell(Give(shard, f"{reason} (attempt {attempt} of {self._attempts})", attempt))
        return self._end(shard, State.FAILED, now)

    def committed(self, shard: Shard, now: float) -> Sequence[Shard]:
        """What a shard made is in the registry, or never will be; returns the shards that this made ready."""
        if shard.day_obs is not None:
            if isinstance(day := self._known.progress(shard), DayProgress):
                day.commit(shard)
                return self._gates.advance_day(day, now)
            return []
        if shard.group is not None:
            if (whole := self._known.groups.get((shard.instrument, shard.group))) is not None:
                whole.committed.add((shard.step, shard.detector))
            return self._gates.settle_in_day((shard.instrument, shard.exposure), now)
        found = self._known.exposures.get((shard.instrument, shard.exposure))
        if found is not None and shard.detector is None and not found.is_current(shard):
            return []
        return self._note_commit(shard.instrument, shard.exposure, shard.step, shard.detector, now)

    def replaced(self, instrument: str, exposure: int, now: float) -> Sequence[Shard]:
        """What an exposure's complete gathers made is gone; returns the gathers that are ready now."""
        found = self._known.exposures[instrument, exposure]
        found.replaced()
        return self._gates.advance(found, now)

    def withdrawn(self, shard: Shard, now: float) -> Sequence[Shard]:
        """What the steps of a shard's day made is gone, or stays; returns the shards that are ready now."""
        day = self._known.progress(shard)
        assert isinstance(day, DayProgress), "Only what is made of a day is withdrawn."
        day.withdrawn()
        return self._gates.advance_day(day, now)

    # Events: time

    def tick(self, now: float) -> Sequence[Shard]:
        """Time has passed; returns the gathers that this made ready."""
        return self._gates.pass_time(now)

    def clock_set(self, seconds: float) -> None:
        """The clock was set by so many seconds: gates wait as long as they would have."""
        for found in self._known.active.values():
            found.shift(seconds)

    def close_gates(self, now: float) -> Sequence[Shard]:
        """No more raws will come: open gathers run with what is there, and the backlog is worked off.

        Returns
        -------
        shards
            The gathers that are ready now.
        """
        self._dispatcher.close()
        ready: list[Shard] = []
        for found in list(self._known.active.values()):
            found.close(now)
            ready += self._gates.advance(found, now)
        return ready

    def forget(self, instrument: str, exposure: int) -> Sequence[int] | None:
        """Forget an exposure, with those of its group: what became of it is in the registry.

        Whoever tells of it again must first tell what ended of it, by `already_ended`, as after a restart.

        Returns
        -------
        forgotten
            The exposures that are forgotten, this one included; `None` if something of them is still to be
            done or to be committed, and nothing was forgotten.
        """
        return self._known.forget((instrument, exposure))

    # Decisions

    def decide(self) -> list[Decision]:
        """Return what to do now."""
        decisions = self._gates.take_told()
        if self._draining or self._paused or self._held:
            return decisions
        decisions += self._dispatcher.dispatch()
        decisions += self._dispatcher.ask_to_yield()
        return decisions

    # What is seen

    @property
    def policy(self) -> Policy:
        """The policy that holds."""
        return self._policy

    @property
    def paused(self) -> bool:
        """Whether nothing is dispatched until `resume`."""
        return self._paused

    @property
    def running(self) -> Mapping[Shard, str]:
        """The shards that run, and where."""
        return self._dispatcher.workers.running

    @property
    def free_workers(self) -> int:
        """Number of workers that could take a shard."""
        return self._dispatcher.workers.free

    @property
    def ready(self) -> int:
        """Number of shards that wait for a worker."""
        return self._dispatcher.load.waiting

    @property
    def idle(self) -> bool:
        """Whether nothing runs, could be dispatched or is about to be told."""
        if self.running or self._gates.has_told:
            return False
        return self._draining or self.ready == 0 or not self._dispatcher.can_dispatch

    @property
    def has_told(self) -> bool:
        """Whether something that is not a dispatch is to be told by `decide`."""
        return self._gates.has_told

    @property
    def backlog(self) -> Backlog:
        """What waits of exposures older than the newest."""
        return self._dispatcher.backlog

    @property
    def open_gates(self) -> int:
        """Number of exposures and groups whose gather still waits for detectors."""
        return sum(found.waits for found in self._known.active.values())

    @property
    def next_deadline(self) -> float | None:
        """When `tick` must be called at the latest; `None` when time alone opens no gate."""
        return self._gates.next_deadline

    def gathered(self, shard: Shard) -> frozenset[int]:
        """Return the detectors that a gather of an exposure takes; none of other shards."""
        found = self._known.exposures.get((shard.instrument, shard.exposure))
        if shard.detector is not None or shard.group is not None or shard.day_obs is not None:
            return frozenset()
        return frozenset() if found is None or found.gather is None else found.gather.detectors

    def missing(self, instrument: str, exposure: int) -> frozenset[int]:
        """Return the expected detectors of an exposure that have not come."""
        found = self._known.exposures[instrument, exposure]
        return found.expected - found.arrived

    def is_finished(self, instrument: str, exposure: int) -> bool:
        """Tell whether everything that has come of an exposure has ended, its gathers and group included."""
        return (instrument, exposure) in self._known.exposures and not self.is_active(instrument, exposure)

    def is_active(self, instrument: str, exposure: int) -> bool:
        """Tell whether something of an exposure, or of its group, is still to be done."""
        return self._known.is_active((instrument, exposure))

    def settled(self, instrument: str, exposure: int) -> Sequence[int | str]:
        """Return which exposures, by number, and which group, by name, are settled with an exposure.

        Returns
        -------
        settled
            Nothing, if something of them is still to be done or to be committed.
        """
        return self._known.settled((instrument, exposure))

    def seal(self, instrument: str, exposure: int) -> None:
        """Have an exposure's gathers not made again: what they read is gone."""
        found = self._known.exposures.get((instrument, exposure))
        if found is not None and found.gather is not None:
            found.gather.final = True

    def is_known(self, shard: Shard) -> bool:
        """Tell whether a shard is ready, runs or has ended."""
        return self._known.has(shard)

    # How

    def _note_commit(
        self, instrument: str, exposure: int, step: str, detector: int | None, now: float
    ) -> Sequence[Shard]:
        found = self._known.exposures.get((instrument, exposure))
        if found is None:
            return []
        found.committed.add((step, detector))
        ready: list[Shard] = []
        if found.waits or self._known.waits_for_commits(found.pipeline):
            ready += self._gates.advance(found, now, detector)
        return ready + self._gates.settle_in_day(found.place, now)

    def _end(self, shard: Shard, state: State, now: float) -> Sequence[Shard]:
        found = self._known.progress(shard)
        found.end(shard, state, now)
        self._dispatcher.forget_tries(shard)
        return self._gates.advance(found, now, shard.detector)
