"""One line on an exposure: seeing, sky, and which detectors it has."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

__all__ = ("QuickExposureSummaryConfig", "QuickExposureSummaryConnections", "QuickExposureSummaryTask")

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import astropy.units as u
import numpy as np
from astropy.table import Table

from lsst.ctrl.rapid.instruments import load_camera
from lsst.daf.butler import DeferredDatasetHandle
from lsst.pex.config import ListField
from lsst.pipe.base import (
    InputQuantizedConnection,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from ._observation import Observation

_EXPOSURE = ("instrument", "exposure")
_DETECTOR = ("instrument", "exposure", "detector")

_COLUMNS: dict[str, tuple[type, u.UnitBase | None, str]] = {
    "instrument": (np.str_, None, "Name of the instrument"),
    "exposure": (np.int64, None, "Exposure ID"),
    "day_obs": (np.int64, None, "Observing day, YYYYMMDD; 0 if not known"),
    "seq_num": (np.int64, None, "Number in the day; 0 if not known"),
    "observation_type": (np.str_, None, "What kind of exposure"),
    "physical_filter": (np.str_, None, "Filter"),
    "exposure_time": (np.float64, u.s, "Exposure time"),
    "seeing_median": (np.float64, u.arcsec, "Median over the detectors of the stars' FWHM"),
    "seeing_p25": (np.float64, u.arcsec, "Lower quartile of the same"),
    "seeing_p75": (np.float64, u.arcsec, "Upper quartile of the same"),
    "ellipticity_median": (np.float64, None, "Median over the detectors of the stars' ellipticity"),
    "sky_median": (np.float64, u.electron, "Median over the detectors of the sky in a pixel"),
    "noise_median": (np.float64, u.electron, "Median over the detectors of the noise of a pixel"),
    "overscan_noise_median": (np.float64, u.adu, "Median over the amplifiers of the overscan's noise"),
    "overscan_noise_max": (np.float64, u.adu, "Largest of the same"),
    "source_count": (np.int64, None, "Sources of all detectors together"),
    "n_detectors_done": (np.int64, None, "Detectors with a summary"),
    "n_detectors_failed": (np.int64, None, "Detectors with a raw but no summary"),
    "n_detectors_missing": (np.int64, None, "Expected detectors without a raw"),
    "detectors_done": (np.str_, None, "Their numbers"),
    "detectors_failed": (np.str_, None, "Their numbers"),
    "detectors_missing": (np.str_, None, "Their numbers"),
}


class QuickExposureSummaryConnections(PipelineTaskConnections, dimensions=_EXPOSURE):
    """Inputs and outputs of `QuickExposureSummaryTask`.

    The raws alone constrain it, so that an exposure of which every detector failed still has its line.
    """

    raws = Input(
        name="raw",
        storageClass="RapidRaw",
        dimensions=_DETECTOR,
        multiple=True,
        deferLoad=True,
        doc="Raws of the exposure; only counted, never loaded.",
    )
    summaries = Input(
        name="quick_detector_summary",
        storageClass="StructuredDataDict",
        dimensions=_DETECTOR,
        multiple=True,
        deferLoad=True,
        deferGraphConstraint=True,
        minimum=0,
        doc="Sky, noise and seeing of the detectors.",
    )
    amplifiers = Input(
        name="quick_amplifier_stats",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
        multiple=True,
        deferLoad=True,
        deferGraphConstraint=True,
        minimum=0,
        doc="Levels and noise of the amplifiers.",
    )
    summary = Output(
        name="quick_exposure_summary",
        storageClass="ArrowAstropy",
        dimensions=_EXPOSURE,
        doc="One row on the exposure.",
    )


class QuickExposureSummaryConfig(PipelineTaskConfig, pipelineConnections=QuickExposureSummaryConnections):
    """What a whole exposure is."""

    expectedDetectors = ListField[int](
        doc="Numbers of the detectors that an exposure should have; empty: all science detectors.", default=[]
    )


class QuickExposureSummaryTask(PipelineTask):
    """Sum up the detectors of an exposure in one row."""

    ConfigClass: ClassVar[type[QuickExposureSummaryConfig]] = QuickExposureSummaryConfig
    _DefaultName: ClassVar[str] = "quickExposureSummary"
    config: QuickExposureSummaryConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        """Run with the handles of a quantum, and write the row."""
        observation = Observation.of_quantum(butlerQC)
        butlerQC.put(self.run(**butlerQC.get(inputRefs), observation=observation), outputRefs)

    def run(
        self,
        raws: Iterable[DeferredDatasetHandle],
        summaries: Iterable[DeferredDatasetHandle] = (),
        amplifiers: Iterable[DeferredDatasetHandle] = (),
        *,
        observation: Observation,
    ) -> Struct:
        """Sum up one exposure.

        Parameters
        ----------
        raws, summaries, amplifiers
            Handles of what there is of each detector; their data IDs name the detectors.  Raws are not
            loaded.
        observation
            The exposure.

        Returns
        -------
        result
            With ``summary``: `~astropy.table.Table` of one row, units on the columns; NaN where no detector
            says anything.

        Raises
        ------
        LookupError
            If the instrument is not of the LSSTCam family and no detectors are configured.
        """
        records = {int(handle.dataId["detector"]): handle.get() for handle in summaries}
        with_raw = {int(handle.dataId["detector"]) for handle in raws}
        expected = set(self.config.expectedDetectors) or set(load_camera(observation.instrument).science)
        detectors = {
            "done": sorted(records),
            "failed": sorted(with_raw - records.keys()),
            "missing": sorted(expected - with_raw - records.keys()),
        }
        ordered = [records[number] for number in detectors["done"]]
        seeing = _collect(ordered, "psf_fwhm")
        noise = [np.asarray(handle.get()["overscan_noise"], dtype=np.float64) for handle in amplifiers]
        overscan_noise = np.concatenate(noise) if noise else np.empty(0)
        row: dict[str, Any] = {
            "instrument": observation.instrument,
            "exposure": observation.exposure,
            "day_obs": observation.day_obs or 0,
            "seq_num": observation.seq_num or 0,
            "observation_type": observation.observation_type or "",
            "physical_filter": observation.physical_filter or "",
            "exposure_time": np.nan if observation.exposure_time is None else observation.exposure_time,
            "seeing_median": _quantile(seeing, 0.5),
            "seeing_p25": _quantile(seeing, 0.25),
            "seeing_p75": _quantile(seeing, 0.75),
            "ellipticity_median": _quantile(_collect(ordered, "psf_e"), 0.5),
            "sky_median": _quantile(_collect(ordered, "sky"), 0.5),
            "noise_median": _quantile(_collect(ordered, "noise"), 0.5),
            "overscan_noise_median": _quantile(overscan_noise, 0.5),
            "overscan_noise_max": _quantile(overscan_noise, 1.0),
            "source_count": int(_collect(ordered, "n_sources").sum()),
        }
        for name, numbers in detectors.items():
            row[f"n_detectors_{name}"] = len(numbers)
            row[f"detectors_{name}"] = ",".join(map(str, numbers))
        return Struct(summary=_table(row))


def _collect(records: Sequence[dict[str, Any]], key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the values of those records that have one."""
    values = [record[key] for record in records if record.get(key) is not None]
    return np.array(values, dtype=np.float64)


def _quantile(values: np.ndarray[Any, Any], fraction: float) -> float:
    return float(np.quantile(values, fraction)) if values.size else np.nan


def _table(row: dict[str, Any]) -> Table:
    table = Table()
    for name, (dtype, unit, description) in _COLUMNS.items():
        table[name] = np.array([row[name]], dtype=dtype)
        table[name].unit = unit
        table[name].description = description
    return table
