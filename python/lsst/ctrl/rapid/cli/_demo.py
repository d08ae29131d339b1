"""The embedded repository: made for a first look, with calibrations of the simulated camera."""

from __future__ import annotations

__all__ = ("add_demo_calibrations", "make_embedded_repository")

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import astropy.time
import astropy.units as u

from lsst.daf.butler import (
    Butler,
    ButlerConfig,
    DatasetRef,
    DatasetType,
    QuantumBackedButler,
    StorageClassFactory,
    Timespan,
)
from lsst.images import Image

from .._frame import FRAME_KEY, PIXEL_FRAME
from ..datastore import open_datastore
from ..ingest import make_repository
from ..instruments import filter_band, physical_filter
from ..plan import RecordStore, register_run
from ..simulator import SimulationConfig, expected_calibrations

_LOG = logging.getLogger(__name__)

_VALID = Timespan(
    astropy.time.Time("2015-01-01T00:00:00", scale="tai"),
    astropy.time.Time("2100-01-01T00:00:00", scale="tai"),
)
_METADATA: dict[str, int | float | str | bool | None] = {FRAME_KEY: PIXEL_FRAME}
_PROGRESS_SECONDS = 2.0
_BATCH = 40


def make_embedded_repository(root: Path, instruments: Sequence[str], config: SimulationConfig) -> None:
    """Make the embedded repository, or complete it; what is there already stays.

    Parameters
    ----------
    root
        Its folder.
    instruments
        Names of the instruments to register.
    config
        The simulation whose camera the demo calibrations are for.
    """
    make_repository(root, instruments)
    if config.instrument in instruments:
        add_demo_calibrations(root, config)


def add_demo_calibrations(root: Path, config: SimulationConfig) -> None:
    """Register and certify bias, dark, flat and gains of simulated detectors that have none.

    Parameters
    ----------
    root
        The repository.
    config
        The simulation: its instrument, detectors, scale, filter and seed.

    Notes
    -----
    The calibrations are the noise-free truth of the simulated sensors, valid from 2015 to 2100.
    """
    with Butler.from_config(str(root), writeable=True) as butler:
        types = _dataset_types(butler)
        run, calibrations = f"{config.instrument}/calib/demo", f"{config.instrument}/calib"
        register_run(butler, run)
        wanted_filter = _register_filter(butler, config)
        flats = butler.query_datasets(
            types["flat"],
            run,
            where="physical_filter = wanted",
            bind={"wanted": wanted_filter},
            instrument=config.instrument,
            find_first=False,
            limit=None,
            explain=False,
        )
        there = {int(ref.dataId["detector"]) for ref in flats}
        known = butler.query_datasets(types["bias"], run, find_first=False, limit=None, explain=False)
        with_bias = {int(ref.dataId["detector"]) for ref in known}
        wanted = [number for number in config.detector_numbers if number not in there]
        if not wanted:
            return
        _LOG.info("Making demo calibrations of %d detector(s) of %s.", len(wanted), config.instrument)
        writer = _Writer(butler, root, config, run, calibrations, types, wanted_filter)
        told = time.monotonic()
        for first in range(0, len(wanted), _BATCH):
            batch = wanted[first : first + _BATCH]
            writer.write(batch, only_flats=with_bias)
            if time.monotonic() - told > _PROGRESS_SECONDS:
                told = time.monotonic()
                _LOG.info("Demo calibrations: %d of %d detectors.", first + len(batch), len(wanted))


def _dataset_types(butler: Butler) -> dict[str, DatasetType]:
    types = {}
    for name, dimensions, storage_class in (
        ("bias", ["instrument", "detector"], "ImageV2"),
        ("dark", ["instrument", "detector"], "ImageV2"),
        ("flat", ["instrument", "detector", "physical_filter"], "ImageV2"),
        ("amplifier_gain", ["instrument", "detector"], "StructuredDataDict"),
    ):
        found = DatasetType(name, dimensions, storage_class, universe=butler.dimensions, isCalibration=True)
        butler.registry.registerDatasetType(found)
        types[name] = found
    return types


def _register_filter(butler: Butler, config: SimulationConfig) -> str:
    """Register the simulation's filter, if the registry has not seen it, and return its name there."""
    name = physical_filter(config.instrument, {"FILTER": config.physical_filter, "GRATING": "empty"})
    butler.registry.syncDimensionData(
        "physical_filter",
        {"instrument": config.instrument, "name": name, "band": filter_band(config.instrument, name)},
    )
    return name


class _Writer:
    """Writes calibrations of many detectors with one registry transaction for each batch."""

    def __init__(
        self,
        butler: Butler,
        root: Path,
        config: SimulationConfig,
        run: str,
        calibrations: str,
        types: dict[str, DatasetType],
        physical_filter: str,
    ) -> None:
        self._butler = butler
        self._config = config
        self._run = run
        self._calibrations = calibrations
        self._types = types
        self._filter = physical_filter
        self._records = RecordStore.from_butler(butler, [config.instrument])
        self._datastore = open_datastore(ButlerConfig(str(root)), butler.dimensions)
        self._storage_classes = StorageClassFactory()

    def write(self, detectors: Iterable[int], only_flats: set[int]) -> None:
        """Write and certify the calibrations of some detectors."""
        objects: dict[DatasetRef, object] = {}
        for number in detectors:
            for name, obj in self._make(number).items():
                if name == "flat" or number not in only_flats:
                    objects[self._ref(name, number)] = obj
        limited = QuantumBackedButler(
            [], [ref.id for ref in objects], self._butler.dimensions, self._datastore, self._storage_classes
        )
        for ref, obj in objects.items():
            limited.put(obj, ref)
        with self._butler.transaction():
            self._butler.transfer_from(limited, list(objects))
            self._butler.registry.certify(self._calibrations, list(objects), _VALID)
        self._datastore.forget(objects)

    def _ref(self, name: str, detector: int) -> DatasetRef:
        data_id = self._records.expand(
            self._types[name].dimensions,
            instrument=self._config.instrument,
            detector=detector,
            physical_filter=self._filter,
        )
        return DatasetRef(self._types[name], data_id, run=self._run)

    def _make(self, detector: int) -> dict[str, object]:
        truth = expected_calibrations(
            self._config.instrument, detector, scale=self._config.scale, seed=self._config.seed
        )
        return {
            "bias": Image(truth.bias, unit=u.adu, metadata=_METADATA),
            "dark": Image(truth.dark, unit=u.adu / u.s, metadata=_METADATA),
            "flat": Image(truth.flat, metadata=_METADATA),
            "amplifier_gain": {
                name: {"gain": float(gain), "read_noise": float(truth.read_noise_e[name])}
                for name, gain in truth.gains.items()
            },
        }
