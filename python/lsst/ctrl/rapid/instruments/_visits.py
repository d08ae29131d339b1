"""Visits: dimension records that an exposure of the sky gives, beside its own."""

from __future__ import annotations

__all__ = ("VISIT_SYSTEMS", "Visit", "make_visit", "visit_system_records")

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from lsst.daf.butler import DimensionRecord, DimensionUniverse
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from ._camera import camera_names, load_camera
from ._optics import Floats
from ._records import make_record
from ._sky import focal_plane_to_sky

ONE_TO_ONE = 0

VISIT_SYSTEMS: Mapping[int, str] = MappingProxyType({ONE_TO_ONE: "one-to-one"})
"""Names of the visit systems in use, by their numbers, which are the full stack's."""

PADDING: Mapping[str, int] = MappingProxyType({**dict.fromkeys(camera_names(), 250), "LATISS": 4000})
"""Pixels by which a detector's region is wider than the detector on each side, as the full stack has it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """The records of one visit.

    Attributes
    ----------
    systems
        The visit systems of its instrument.
    visit
        The visit, with its region.
    definition
        Which exposure it is of.
    memberships
        Which visit systems it is in.
    detector_regions
        Region of each detector of the camera, by number.
    """

    systems: tuple[DimensionRecord, ...]
    visit: DimensionRecord
    definition: DimensionRecord
    memberships: tuple[DimensionRecord, ...]
    detector_regions: Mapping[int, DimensionRecord]

    @property
    def records(self) -> tuple[DimensionRecord, ...]:
        """All records, in the order of insertion."""
        return (
            *self.systems,
            self.visit,
            self.definition,
            *self.memberships,
            *self.detector_regions.values(),
        )

    def records_for(self, detector: int) -> tuple[DimensionRecord, ...]:
        """Return what the data IDs of one detector need."""
        region = self.detector_regions.get(detector)
        return (self.visit, self.definition) if region is None else (self.visit, self.definition, region)


def make_visit(exposure: DimensionRecord, universe: DimensionUniverse) -> Visit | None:
    """Return the visit of an exposure.

    Parameters
    ----------
    exposure
        The exposure's own record.
    universe
        Dimensions of the repository.

    Returns
    -------
    visit
        The one-to-one visit that the full stack's ``DefineVisitsTask`` would define with its default
        configuration (``one-to-one``, ``single-raw-wcs``), or `None` if the exposure does not have one: if it
        lacks pointing or rotation, or cannot see the sky.

    Raises
    ------
    LookupError
        If the instrument is not of the LSSTCam family.

    Notes
    -----
    The visit has the exposure's number and name, also in a sequence of several exposures.  The region of a
    detector is the hull of its corners, 250 pixels outside (LATISS: 4000), that of the visit the hull of all
    of them, guiders and wavefront sensors included, whatever detectors there are raws of.
    """
    pointing = exposure.tracking_ra, exposure.tracking_dec, exposure.sky_angle
    # Older universes have no such field.
    if None in pointing or getattr(exposure, "can_see_sky", None) is False:
        return None
    reason = exposure.observation_reason
    key = {"instrument": exposure.instrument, "visit": exposure.id}
    corners = _sky_corners(exposure)
    return Visit(
        systems=visit_system_records(exposure.instrument, universe),
        visit=make_record(
            universe,
            "visit",
            instrument=exposure.instrument,
            id=exposure.id,
            name=exposure.obs_id,
            day_obs=exposure.day_obs,
            physical_filter=exposure.physical_filter,
            seq_num=exposure.seq_num,
            exposure_time=exposure.exposure_time,
            target_name=exposure.target_name,
            observation_reason="various" if reason is None else reason,
            science_program=exposure.science_program,
            azimuth=exposure.azimuth,
            zenith_angle=exposure.zenith_angle,
            timespan=exposure.timespan,
            region=_hull([corner for found in corners.values() for corner in found]),
        ),
        definition=make_record(universe, "visit_definition", exposure=exposure.id, **key),
        memberships=tuple(
            make_record(universe, "visit_system_membership", visit_system=system, **key)
            for system in VISIT_SYSTEMS
        ),
        detector_regions={
            detector: make_record(
                universe, "visit_detector_region", detector=detector, region=_hull(found), **key
            )
            for detector, found in corners.items()
        },
    )


def visit_system_records(instrument: str, universe: DimensionUniverse) -> tuple[DimensionRecord, ...]:
    """Return the records of an instrument's visit systems."""
    return tuple(
        make_record(universe, "visit_system", instrument=instrument, id=number, name=name)
        for number, name in VISIT_SYSTEMS.items()
    )


def _sky_corners(exposure: DimensionRecord) -> dict[int, list[UnitVector3d]]:
    """Return the corners of each detector, padded, on the sky."""
    detectors, x_mm, y_mm = _focal_plane_corners(exposure.instrument)
    vectors = focal_plane_to_sky(
        exposure.instrument,
        x_mm,
        y_mm,
        ra=exposure.tracking_ra,
        dec=exposure.tracking_dec,
        rotation=exposure.sky_angle,
    )
    return {
        detector: [UnitVector3d(*corner) for corner in corners]
        for detector, corners in zip(detectors, vectors.tolist(), strict=True)
    }


@functools.cache
def _focal_plane_corners(instrument: str) -> tuple[tuple[int, ...], Floats, Floats]:
    """Return a camera's detectors and the places of their padded corners (detector, corner), millimetres."""
    camera = load_camera(instrument)
    padding = PADDING[instrument]
    x_mm, y_mm = np.empty((len(camera), 4)), np.empty((len(camera), 4))
    for at, detector in enumerate(camera.values()):
        # A pixel's centre has whole numbers, so an edge lies half a pixel outside the first and the last.
        left, right = -0.5 - padding, detector.columns - 0.5 + padding
        low, high = -0.5 - padding, detector.rows - 0.5 + padding
        x_mm[at], y_mm[at] = detector.to_focal_plane(
            np.array([left, right, right, left]), np.array([low, low, high, high])
        )
    return tuple(camera), x_mm, y_mm


def _hull(corners: list[UnitVector3d]) -> ConvexPolygon:
    return ConvexPolygon.convexHull(corners)
