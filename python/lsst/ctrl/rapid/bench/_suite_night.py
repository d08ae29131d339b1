"""A night in simulated time through the conductor that a live run uses, with more to do than can be done."""

from __future__ import annotations

__all__ = ("run",)

import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence

from ..conductor import Choice, PatternChoice, WholeCamera, compile_policy
from ..model import DownSelection, Mode, PatternSpec, Policy
from ..service import camera_detectors
from ._model import Chart, Curve, Findings, Goal, Row, Series, SuiteSettings, Tell
from ._night import INSTRUMENT, Night, NightPlan

_FLAT = 1.2
_QUICK = NightPlan(exposures=30, workers=20)
_DOWN = DownSelection(pattern=PatternSpec(include=("raft_checkerboard",)), above=60.0, below=20.0)
_POLICIES: Mapping[str, Policy] = {
    "consuming": Policy(mode=Mode.CONSUMING),
    "preemptive": Policy(mode=Mode.PREEMPTIVE),
    "consuming, down to raft_checkerboard": Policy(mode=Mode.CONSUMING, down_selection=_DOWN),
}


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Run nights with several policies, and count what became of every raw.

    Parameters
    ----------
    settings
        What was asked for.
    tell
        Takes a line on each thing that is done.
    """
    plan = _QUICK if settings.quick else NightPlan()
    rows: list[Row] = []
    goals: list[Goal] = []
    looks: list[Curve] = []
    backlogs: list[Curve] = []
    for name, policy in _POLICIES.items():
        tell(f"{name}: {plan.exposures} exposures of {plan.detectors} detectors.")
        started = time.process_time()
        night = Night(plan, policy, _choice(policy, plan))
        night.run()
        cpu = time.process_time() - started
        rows.append(_row(name, night, cpu))
        goals += _goals(name, night)
        hours = tuple(exposure * plan.cadence / 3600 for exposure in night.first_looks)
        looks.append(_curve(name, hours, list(night.first_looks.values())))
        hours = tuple(exposure * plan.cadence / 3600 for exposure in range(plan.exposures))
        backlogs.append(_curve(name, hours, night.backlog))
    return Findings(
        rows=tuple(rows),
        goals=tuple(goals),
        charts=(
            _chart("first-look", "From shutter close to the first gather", "s", looks),
            _chart("backlog", "Raws that wait when a shutter closes", "raws", backlogs),
        ),
        notes=_notes(plan),
        settings={name: str(value) for name, value in dataclasses.asdict(plan).items()},
    )


def _choice(policy: Policy, plan: NightPlan) -> Choice:
    """Return the patterns of a policy for the camera of the night."""
    if policy.down_selection is None:
        return WholeCamera({INSTRUMENT: frozenset(plan.camera)})
    return PatternChoice(compile_policy(policy, {INSTRUMENT: camera_detectors(INSTRUMENT)}))


def _quarters(night: Night) -> tuple[float, float]:
    """Return the median time to the first look in the first and in the last quarter of the night."""
    looks = [night.first_looks[exposure] for exposure in sorted(night.first_looks)]
    quarter = max(1, len(looks) // 4)
    return statistics.median(looks[:quarter]), statistics.median(looks[-quarter:])


def _row(name: str, night: Night, cpu: float) -> Row:
    balance = night.balance
    first, last = _quarters(night)
    counts = {
        "sent": balance.sent_count,
        "done": len(balance.done),
        "failed": len(balance.failed),
        "shed": len(balance.not_wanted),
        "gathered in part": balance.partial,
        "again": balance.again,
        "yields": balance.yields,
        "deaths": balance.deaths,
    }
    columns = {heading: Series(unit="", values=(float(count),)) for heading, count in counts.items()}
    return Row(
        what=name,
        columns={
            **columns,
            "first look, first quarter": Series(unit="s", values=(first,)),
            "first look, last quarter": Series(unit="s", values=(last,)),
            "first look, longest": Series(unit="s", values=(max(night.first_looks.values()),)),
            "backlog, greatest": Series(unit="raws", values=(float(max(night.backlog)),)),
            "backlog empty after the night": Series(
                unit="h", values=((night.emptied - night.plan.ends) / 3600,)
            ),
            "conductor and simulation": Series(unit="s", values=(cpu,)),
        },
    )


def _goals(name: str, night: Night) -> list[Goal]:
    balance = night.balance
    first, last = _quarters(night)

    def none(what: str, count: int) -> Goal:
        return Goal(name=f"{name}: {what}", bound="most", target=0, value=float(count), unit="")

    return [
        none("raws that neither ended nor wait nor run", abs(balance.difference)),
        none("raws that still wait at the end", balance.waiting),
        none("faults of order, and what ran twice", len(balance.faults)),
        none("exposures not gathered with all that ended", balance.ungathered),
        none("exposures never looked at", night.plan.exposures - len(night.first_looks)),
        Goal(
            name=f"{name}: first look in the last quarter of the night, of that in the first",
            bound="most",
            target=_FLAT,
            value=last / first,
            unit="x",
        ),
    ]


def _curve(name: str, hours: Sequence[float], values: Sequence[float]) -> Curve:
    return Curve(
        label=name, x=tuple(hours), y=tuple(Series(unit="", values=(float(value),)) for value in values)
    )


def _chart(name: str, title: str, unit: str, curves: Sequence[Curve]) -> Chart:
    return Chart(name=name, title=title, x_label="hours", y_label=unit, curves=tuple(curves))


def _notes(plan: NightPlan) -> tuple[str, ...]:
    load = (
        f"{plan.exposures} exposures of {plan.detectors} detectors, {plan.cadence:g} s apart, with the "
        f"faults {' and '.join(plan.faults)} of 'rapid-exec simulate'."
    )
    computers = (
        f"{plan.workers} workers could do {100 * plan.capacity:g} % of it within the cadence; a shard takes "
        f"{plan.shard_seconds:.1f} s give or take {100 * plan.spread:g} %, in {plan.quanta} quanta; one of "
        f"the workers dies every {plan.dies_every:g} s or so."
    )
    account = (
        "Simulated time, through the class that 'rapid-exec run' uses. What became of every raw is counted "
        "by a class that is told what was sent and what was decided, and nothing else."
    )
    look = (
        "First look: from shutter close until an exposure's first gather has ended, which begins "
        f"{plan.gather_timeout:g} s after its first detector has ended, or before if all have."
    )
    return load, computers, account, look
