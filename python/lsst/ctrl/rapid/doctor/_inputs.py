"""The pipeline, and what it reads beside raws."""

from __future__ import annotations

__all__ = ("look_at_calibrations", "look_at_pipeline", "look_at_reference_catalogues")

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping

import astropy.time
import astropy.units as u

from lsst.daf.butler import Butler, DataCoordinate, DatasetType, MissingDatasetTypeError, Timespan

from ..plan import CalibrationError, Calibrations, InputKind, Planner
from ..service import CompiledRun
from ._finding import Finding, Level, fault, fine, short, warning
from ._place import Place

_NIGHT_HOURS = 12.0


def look_at_pipeline(place: Place) -> Iterator[Finding]:
    """See whether the pipeline and its companions can be planned, and how."""
    for pipeline in place.compiled().pipelines.values():
        steps = ", ".join(f"{step.label} ({step.planner})" for step in pipeline.steps)
        yield fine(f"{pipeline.name} can be planned: {steps}")
        for step in pipeline.steps:
            if step.planner is Planner.BUILDER:
                yield warning(
                    f"step {step.label} of {pipeline.name} waits for the registry before each shard "
                    f"({'; '.join(step.reasons)})"
                )


def look_at_calibrations(place: Place) -> Iterator[Finding]:
    """See whether what steps read is certified for all detectors, now and in the morning."""
    compiled = place.compiled()
    types = {kind.name: kind for pipeline in compiled.pipelines.values() for kind in pipeline.calibrations}
    required = {name for p in compiled.pipelines.values() for step in p.steps for name in step.required}
    calibrations = Calibrations(types.values(), compiled.inputs)
    calibrations.refresh(place.butler())
    now = astropy.time.Time(time.time(), format="unix")
    moments = {"now": now, f"in {_NIGHT_HOURS:g} h": now + _NIGHT_HOURS * u.hour}
    for name in sorted(types):
        faults = [
            finding if name in required or not finding.todo else _without(finding)
            for instrument in compiled.instruments
            for key in _kinds(calibrations, types[name], instrument)
            if (finding := _look_at(calibrations, types[name], key, compiled, moments)) is not None
        ]
        yield from faults or [fine(f"{name} is certified for every detector that is expected")]


def _without(finding: Finding) -> Finding:
    """Return what is told of a calibration that tasks may do without."""
    return dataclasses.replace(finding, level=Level.WARN, todo=f"tasks go on without; {finding.todo}")


def _kinds(
    calibrations: Calibrations, dataset_type: DatasetType, instrument: str
) -> list[dict[str, str | int]]:
    """Return the data IDs, detectors aside, of which there is a calibration at all, or the instrument alone.

    Which filters are used in a night nobody knows before; those that have none are not used.
    """
    names = [name for name in dataset_type.dimensions.required if name != "detector"]
    found = {
        tuple(ref.dataId[name] for name in names)
        for ref in calibrations.refs()
        if ref.datasetType.name == dataset_type.name
    }
    kinds = [dict(zip(names, values, strict=True)) for values in sorted(found)]
    return [kind for kind in kinds if kind.get("instrument", instrument) == instrument] or [
        {"instrument": instrument}
    ]


def _look_at(
    calibrations: Calibrations,
    dataset_type: DatasetType,
    key: Mapping[str, str | int],
    compiled: CompiledRun,
    moments: Mapping[str, astropy.time.Time],
) -> Finding | None:
    """Return what is wrong with the calibrations of one type and data ID; `None` if nothing is."""
    name, required = dataset_type.name, dataset_type.dimensions.required
    what = f"{name} of {' '.join(map(str, key.values()))}"
    todo = f"certify what is missing in a collection of {', '.join(compiled.inputs)}, or leave detectors out"
    detectors = sorted(compiled.expected[str(key["instrument"])]) if "detector" in required else [-1]
    if not {*required} <= {*key, "detector"}:
        return fault(f"{what}: none is certified", todo)
    for when, moment in moments.items():
        timespan, missing = Timespan(moment, moment + 1 * u.s), []
        for detector in detectors:
            values = {dimension: key.get(dimension, detector) for dimension in required}
            data_id = DataCoordinate.standardize(values, dimensions=dataset_type.dimensions)
            try:
                found = calibrations.find(name, data_id, timespan)
            except CalibrationError as err:
                return fault(str(err).rstrip("."))
            if found is None:
                missing.append(detector)
        if missing:
            of = f" for detectors {short(missing)}" if "detector" in required else ""
            tell = fault if when == "now" else warning
            return tell(f"{what}: none holds {when}{of}", todo)
    return None


def look_at_reference_catalogues(place: Place) -> Iterator[Finding]:
    """See whether the input collections have something of each catalogue that steps look up by the sky."""
    compiled = place.compiled()
    for pipeline in compiled.pipelines.values():
        for step in pipeline.steps:
            for name in [*step.reads(InputKind.PREREQUISITE), *step.reads(InputKind.EXISTING)]:
                dataset_type = pipeline.dataset_types[name]
                if not dataset_type.dimensions.skypix:
                    continue
                if _has_one(place.butler(), dataset_type, compiled.inputs):
                    yield fine(f"{name} is there, for step {step.label} of {pipeline.name}")
                else:
                    yield fault(
                        f"{name}, which step {step.label} of {pipeline.name} reads, is in none of "
                        f"{', '.join(compiled.inputs)}",
                        "ingest it ('butler ingest-files'), or name its collection with -i",
                    )


def _has_one(butler: Butler, dataset_type: DatasetType, collections: Iterable[str]) -> bool:
    try:
        return bool(
            butler.query_datasets(dataset_type, list(collections), find_first=False, limit=1, explain=False)
        )
    except MissingDatasetTypeError:
        return False
