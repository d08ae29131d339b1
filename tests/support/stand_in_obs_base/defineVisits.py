"""The task that defines visits, one for each exposure."""

from __future__ import annotations

import dataclasses
import enum
from types import SimpleNamespace

from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from . import Instrument, loadCamera


class VisitSystem(enum.Enum):
    ONE_TO_ONE = 0
    BY_SEQ_START_END = 2

    def __str__(self):
        return self.name.lower().replace("_", "-")


@dataclasses.dataclass
class VisitDefinitionData:
    instrument: str
    id: int
    name: str
    visit_systems: set
    exposures: list


class DefineVisitsConfig:
    def __init__(self):
        self.computeVisitRegions = SimpleNamespace(active=SimpleNamespace(padding=0.01))


class _Group:
    def group(self, exposures, instrument):
        for exposure in exposures:
            yield VisitDefinitionData(
                instrument.getName(), exposure.id, exposure.obs_id, {VisitSystem.ONE_TO_ONE}, [exposure]
            )

    def getVisitSystems(self):
        return {VisitSystem.ONE_TO_ONE}


class _Regions:
    def __init__(self, config, butler):
        self.config = config
        self.butler = butler

    def compute(self, visit, *, collections=None):
        exposure = visit.exposures[0]
        camera, _ = loadCamera(self.butler, exposure.dataId, collections=collections)
        size = camera["size"] + self.config.padding
        regions = {
            int(number): ConvexPolygon.convexHull(
                [
                    UnitVector3d(
                        LonLat.fromDegrees(exposure.tracking_ra + x + i, exposure.tracking_dec + y + j)
                    )
                    for i in (-size, size)
                    for j in (-size, size)
                ]
            )
            for number, (x, y) in camera["detectors"].items()
        }
        corners = [corner for region in regions.values() for corner in region.getVertices()]
        return ConvexPolygon.convexHull(corners), regions


class DefineVisitsTask:
    def __init__(self, config, *, butler):
        self.butler = butler
        self.groupExposures = _Group()
        self.computeVisitRegions = _Regions(config.computeVisitRegions.active, butler)


def define_visits(butler, instrument, collections):
    """Do what ``butler define-visits`` does: returns how many visits are new; a conflict is an error."""
    instrument = Instrument.fromName(instrument, butler.registry)
    config = DefineVisitsConfig()
    instrument.applyConfigOverrides("defineVisits", config)
    task = DefineVisitsTask(config, butler=butler)
    sync = butler.registry.syncDimensionData
    sync("visit_system", {"instrument": instrument.getName(), "id": 0, "name": "one-to-one"})
    new = 0
    exposures = [
        record
        for record in butler.query_dimension_records("exposure", instrument=instrument.getName())
        if None not in (record.tracking_ra, record.sky_angle) and record.can_see_sky is not False
    ]
    for definition in task.groupExposures.group(exposures, instrument):
        region, regions = task.computeVisitRegions.compute(definition, collections=collections)
        exposure = definition.exposures[0]
        key = {"instrument": definition.instrument, "visit": definition.id}
        visit = {
            "instrument": definition.instrument,
            "id": definition.id,
            "name": definition.name,
            "physical_filter": exposure.physical_filter,
            "target_name": exposure.target_name,
            "science_program": exposure.science_program,
            "observation_reason": exposure.observation_reason,
            "day_obs": exposure.day_obs,
            "zenith_angle": exposure.zenith_angle,
            "azimuth": exposure.azimuth,
            "seq_num": exposure.seq_num,
            "exposure_time": exposure.exposure_time,
            "timespan": exposure.timespan,
            "region": region,
        }
        is_new = sync("visit", visit)
        new += is_new
        parts = [
            ("visit_definition", {**key, "exposure": exposure.id}),
            ("visit_system_membership", {**key, "visit_system": 0}),
            *(("visit_detector_region", {**key, "detector": n, "region": r}) for n, r in regions.items()),
        ]
        for element, row in parts:
            # Of a visit that is there, its parts are compared, which upstream does not even do.
            if sync(element, row) and not is_new:
                raise ConflictingDefinitionError(f"{element} of {key} was missing")
    return new
