"""A repository for every shape: a camera with calibrations, and then a night of two exposures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import astropy.time
from lsst.daf.butler import (
    Butler,
    CollectionType,
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    DimensionRecord,
    Timespan,
)
from lsst.pipe.base.tests.mocks import MockDataset
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from lsst.ctrl.rapid.instruments import RAW_STORAGE_CLASS

from .shape_words import D, E

INPUTS = "defaults"
"""The chain of everything that is there before the night."""

RAW_RUN = "raw/all"

_MIDNIGHT = astropy.time.Time("2026-05-01T00:00:00", scale="tai")


class Writer(Protocol):
    """Makes datasets of one type."""

    def __call__(
        self, butler: Butler, name: str, data_ids: Sequence[Mapping[str, Any]], run: str
    ) -> list[DatasetRef]: ...


def registered(
    butler: Butler, name: str, data_ids: Sequence[Mapping[str, Any]], run: str
) -> list[DatasetRef]:
    """Make datasets that the registry alone knows: enough to plan with."""
    butler.collections.register(run, CollectionType.RUN)
    return butler.registry.insertDatasets(name, data_ids, run=run)


def stored(butler: Butler, name: str, data_ids: Sequence[Mapping[str, Any]], run: str) -> list[DatasetRef]:
    """Make datasets that mock tasks can read."""
    butler.collections.register(run, CollectionType.RUN)
    dataset_type = butler.get_dataset_type(name)
    refs = []
    for data_id in data_ids:
        mock = MockDataset(
            dataset_id=None, dataset_type=dataset_type.to_simple(), data_id=dict(data_id), run=run
        )
        refs.append(butler.put(mock, dataset_type, data_id, run=run))
    return refs


@dataclasses.dataclass(frozen=True)
class Night:
    """Two exposures of one group and of two filters, of four detectors.

    Attributes
    ----------
    class_name
        Where the instrument's class is.
    instrument, detectors, filters, group, exposures, day_obs
        Data ID values; filters by exposure, with their bands.
    """

    instrument: str = "ShapeCam"
    class_name: str = "support.shape_tasks.ShapeCam"
    detectors: tuple[int, ...] = (0, 1, 2, 3)
    filters: tuple[tuple[str, str], ...] = (("r_57", "r"), ("g_6", "g"))
    group: str = "g1"
    exposures: tuple[int, ...] = (1, 2)
    day_obs: int = 20260501

    def hours(self, begin: float | None, end: float | None) -> Timespan:
        """Return a time span in hours after midnight; `None` is without a limit."""
        return Timespan(
            *(
                None if h is None else _MIDNIGHT + astropy.time.TimeDelta(3600 * h, format="sec")
                for h in (begin, end)
            )
        )

    def data_ids(self, *dimensions: str, detectors: int = 4, exposures: int = 2) -> list[dict[str, Any]]:
        """Return data IDs of the first so many exposures and detectors."""
        rows: list[dict[str, Any]] = [{"instrument": self.instrument}]
        if "exposure" in dimensions:
            rows = [{**row, "exposure": number} for row in rows for number in self.exposures[:exposures]]
        if "physical_filter" in dimensions:
            rows = [{**row, "physical_filter": name} for row in rows for name, _ in self.filters]
        if "detector" in dimensions:
            rows = [{**row, "detector": number} for row in rows for number in self.detectors[:detectors]]
        return rows


def _box(ra: float, dec: float, width: float, height: float) -> ConvexPolygon:
    corners = [(ra, dec), (ra + width, dec), (ra + width, dec + height), (ra, dec + height)]
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*corner)) for corner in corners])


_DETECTOR, _FILTER = ("instrument", "detector"), "physical_filter"
_TRACT, _PATCH = ("skymap", "tract"), ("skymap", "tract", "patch")

_TYPES: Sequence[tuple[str, tuple[str, ...], str, bool]] = (
    ("toy_bias", _DETECTOR, "StructuredDataDict", True),
    ("toy_flat", (*_DETECTOR, _FILTER), "StructuredDataDict", True),
    ("camera", ("instrument",), "StructuredDataDict", True),
    ("defects", _DETECTOR, "StructuredDataDict", True),
    ("fringe", (*_DETECTOR, _FILTER), "StructuredDataDict", True),
    ("gains", _DETECTOR, "ArrowAstropy", True),
    ("transmission", ("instrument", "band"), "StructuredDataDict", True),
    ("filter_curve", ("instrument", _FILTER), "StructuredDataDict", True),
    ("linearity", _DETECTOR, "StructuredDataDict", False),
    ("survey", (), "StructuredDataDict", False),
    ("given_schema", (), "StructuredDataDict", False),
    ("refcat", ("htm7",), "StructuredDataDict", False),
    ("other_refcat", ("htm7",), "StructuredDataDict", False),
    ("template", _PATCH, "StructuredDataDict", False),
    ("tract_background", _TRACT, "StructuredDataDict", False),
    ("guide", D, "StructuredDataDict", False),
    ("pointing", E, "StructuredDataDict", False),
    ("seeing", E, "StructuredDataDict", False),
    ("converted", D, "ArrowTable", False),
)
"""Name, dimensions, storage class that is mocked, and whether it is a calibration."""


def fill(butler: Butler, night: Night, write: Writer) -> None:
    """Add what is there before the night: the camera, calibrations, reference catalogues, sky maps."""
    universe = butler.dimensions
    for name, dimensions, storage_class, calibration in _TYPES:
        butler.registry.registerDatasetType(
            DatasetType(
                name, dimensions, f"_mock_{storage_class}", universe=universe, isCalibration=calibration
            )
        )
    butler.registry.registerDatasetType(DatasetType("raw", D, RAW_STORAGE_CLASS, universe=universe))
    _add_sky(butler, night)
    _add_calibrations(butler, night, write)
    write(butler, "survey", [{}], run="given")
    write(butler, "given_schema", [{}], run="given")
    htm7 = universe.skypix_dimensions["htm7"]
    pixels = {
        pixel
        for index in range(len(night.exposures))
        for begin, end in htm7.pixelization.envelope(_visit_region(night, index))
        for pixel in range(begin, end)
    }
    for name, chosen in (("refcat", sorted(pixels)), ("other_refcat", sorted(pixels)[::2])):
        write(butler, name, [{"htm7": pixel} for pixel in chosen], run="refcats")
    patches = [(0, 0), (0, 1), (1, 0)]
    write(butler, "template", [{"skymap": "toy", "tract": t, "patch": p} for t, p in patches], run="given")
    write(butler, "tract_background", [{"skymap": "toy", "tract": t} for t in (0, 1)], run="given")
    butler.collections.register(RAW_RUN, CollectionType.RUN)
    butler.collections.register(INPUTS, CollectionType.CHAINED)
    butler.collections.redefine_chain(INPUTS, [RAW_RUN, "newer", "calib", "given", "made", "refcats"])


def add_camera(butler: Butler, night: Night) -> None:
    """Add the instrument's dimension records."""
    sync = butler.registry.syncDimensionData
    limits = {"detector_max": 1000, "visit_max": 10**10, "exposure_max": 10**10}
    sync(
        "instrument",
        {"name": night.instrument, "class_name": night.class_name, **limits},
    )
    for number in night.detectors:
        values = {"id": number, "full_name": f"R00_S0{number}", "purpose": "SCIENCE"}
        sync("detector", {"instrument": night.instrument, **values})
    for name, band in night.filters:
        sync("physical_filter", {"instrument": night.instrument, "name": name, "band": band})


def _add_sky(butler: Butler, night: Night) -> None:
    """Add a sky map: tract 0 has all of the first exposure, tract 1 half of the second."""
    insert = butler.registry.insertDimensionData
    insert("skymap", {"name": "toy", "hash": b"toy", "tract_max": 2, "patch_nx_max": 2, "patch_ny_max": 1})
    whole, half = _box(9.9, -0.1, 2.2, 0.6), _box(9.9, 4.9, 0.9, 0.6)
    insert("tract", {"skymap": "toy", "id": 0, "region": whole}, {"skymap": "toy", "id": 1, "region": half})
    for tract, patch, region in (
        (0, 0, _box(9.9, -0.1, 1.2, 0.6)),
        (0, 1, _box(11.0, -0.1, 1.1, 0.6)),
        (1, 0, half),
    ):
        insert(
            "patch",
            {"skymap": "toy", "tract": tract, "id": patch, "cell_x": patch, "cell_y": 0, "region": region},
        )


def _add_calibrations(butler: Butler, night: Night, write: Writer) -> None:
    """Add calibrations: what holds changes between the exposures, and one collection shadows another."""
    for name in ("calib", "newer"):
        butler.collections.register(name, CollectionType.CALIBRATION)
    certify = butler.registry.certify

    def made(name: str, *dimensions: str, run: str = "made", detectors: int = 4) -> list[DatasetRef]:
        return write(butler, name, night.data_ids(*dimensions, detectors=detectors), run=run)

    certify("calib", made("toy_bias", "detector"), night.hours(None, None))
    certify("newer", made("toy_bias", "detector", run="made/bias2", detectors=2)[1:], night.hours(1.5, None))
    certify("calib", made("toy_flat", "detector", "physical_filter"), night.hours(None, None))
    certify("calib", made("fringe", "detector", "physical_filter"), night.hours(0.5, None))
    certify("newer", made("camera"), night.hours(None, None))
    certify("calib", made("gains", "detector"), night.hours(0, 1.5))
    certify("calib", made("gains", "detector", run="made/gains2"), night.hours(1.5, 3))
    certify("calib", made("defects", "detector", detectors=3), night.hours(0, 1.5))
    certify("calib", made("filter_curve", "physical_filter"), night.hours(None, None))
    bands = [{"instrument": night.instrument, "band": band} for _, band in night.filters]
    certify("newer", write(butler, "transmission", bands, run="made"), night.hours(0.5, None))
    made("linearity", "detector")


def _visit_region(night: Night, index: int) -> ConvexPolygon:
    return _box(10.0, 5.0 * index, 0.5 * len(night.detectors), 0.4)


def add_exposures(butler: Butler, night: Night) -> None:
    """Add the dimension records of the exposures, visits with regions included."""
    sync, insert = butler.registry.syncDimensionData, butler.registry.insertDimensionData
    camera = {"instrument": night.instrument}
    sync("day_obs", {**camera, "id": night.day_obs})
    sync("group", {**camera, "name": night.group})
    sync("visit_system", {**camera, "id": 0, "name": "one-to-one"})
    for index, number in enumerate(night.exposures):
        common = {
            **camera,
            "id": number,
            "physical_filter": night.filters[index][0],
            "day_obs": night.day_obs,
            "timespan": night.hours(index + 1, index + 1.01),
        }
        insert("exposure", {**common, "obs_id": f"E{number}", "group": night.group})
        insert("visit", {**common, "name": f"E{number}", "region": _visit_region(night, index)})
        insert("visit_definition", {**camera, "exposure": number, "visit": number})
        insert("visit_system_membership", {**camera, "visit": number, "visit_system": 0})
        for place, detector in enumerate(night.detectors):
            region = _box(10.0 + 0.5 * place, 5.0 * index, 0.4, 0.4)
            insert(
                "visit_detector_region", {**camera, "visit": number, "detector": detector, "region": region}
            )


def add_given(butler: Butler, night: Night, write: Writer) -> None:
    """Add what others made of the exposures: of one detector, and of one exposure, there is less."""
    write(butler, "guide", night.data_ids("exposure", "detector", detectors=3), run="given")
    write(butler, "pointing", night.data_ids("exposure", exposures=1), run="given")
    write(butler, "seeing", night.data_ids("exposure"), run="given")


def raws(butler: Butler, night: Night, exposure: int, detectors: Iterable[int]) -> list[DatasetRef]:
    """Return the raws of an exposure, which need not be registered; the exposure's records must be."""
    dataset_type = butler.get_dataset_type("raw")
    return [
        DatasetRef(
            dataset_type,
            butler.registry.expandDataId(
                instrument=night.instrument, exposure=exposure, detector=d, dimensions=dataset_type.dimensions
            ),
            run=RAW_RUN,
            id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
        )
        for d in detectors
    ]


def records(butler: Butler, night: Night, exposure: int) -> list[DimensionRecord]:
    """Return the dimension records of an exposure, as who reads raws makes them."""
    found: list[DimensionRecord] = []
    for element in (
        "day_obs",
        "group",
        "exposure",
        "visit",
        "visit_definition",
        "visit_detector_region",
        "visit_system",
        "visit_system_membership",
    ):
        dimensions = butler.dimensions[element].minimal_group
        values: dict[str, Any] = {"instrument": night.instrument}
        if "exposure" in dimensions:
            values["exposure"] = exposure
        if "visit" in dimensions:
            values["visit"] = exposure
        found += butler.query_dimension_records(element, explain=False, limit=None, **values)
    return found
