"""The health of each amplifier, from the raw alone."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

__all__ = ("QuickAmplifierStatsConfig", "QuickAmplifierStatsConnections", "QuickAmplifierStatsTask")

import math
from typing import ClassVar

import astropy.units as u
import numpy as np
from astropy.table import Table

from lsst.ctrl.rapid.instruments import RawImage, RawSegment
from lsst.pex.config import Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from ._amplifier_values import saturation_level
from ._overscan import measure_overscan
from ._statistics import robust_statistics, thin

_DETECTOR = ("instrument", "exposure", "detector")

_COLUMNS = {
    "detector": (np.int32, None, "Number of the detector"),
    "amplifier": (np.str_, None, "Name of the amplifier"),
    "overscan_mean": (np.float32, u.adu, "Mean of the serial overscan at the rows of the data"),
    "overscan_noise": (np.float32, u.adu, "Standard deviation of an overscan pixel about its row"),
    "image_median": (np.float32, u.adu, "Median of the data above the overscan"),
    "image_sigma": (np.float32, u.adu, "Robust standard deviation of the data"),
    "saturated_fraction": (np.float32, None, "Fraction of the data pixels at or above the saturation level"),
}


class QuickAmplifierStatsConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """Inputs and outputs of `QuickAmplifierStatsTask`."""

    raw = Input(name="raw", storageClass="RapidRaw", dimensions=_DETECTOR, doc="Raw of one detector, ADU.")
    stats = Output(
        name="quick_amplifier_stats",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
        doc="One row for each amplifier: level and noise of its overscan, median and spread of its data.",
    )


class QuickAmplifierStatsConfig(PipelineTaskConfig, pipelineConnections=QuickAmplifierStatsConnections):
    """What counts as saturated."""

    fullWell = Field[float](
        doc="Signal (electrons, by the nominal gain) of a saturated pixel; 0 leaves only the nominal limit.",
        default=120_000.0,
        check=lambda value: value >= 0.0,
    )


class QuickAmplifierStatsTask(PipelineTask):
    """Measure the overscan and the data of each amplifier of a raw."""

    ConfigClass: ClassVar[type[QuickAmplifierStatsConfig]] = QuickAmplifierStatsConfig
    _DefaultName: ClassVar[str] = "quickAmplifierStats"
    config: QuickAmplifierStatsConfig

    def run(self, raw: RawImage) -> Struct:
        """Measure one raw.

        Parameters
        ----------
        raw
            Raw of one detector, ADU; not modified.

        Returns
        -------
        result
            With ``stats``: `~astropy.table.Table`, a row for each amplifier in the order of the raw.  Values
            are in ADU as the columns' units say; where an amplifier's saturation level is not known, its
            fraction is NaN.
        """
        rows = [
            (raw.detector, segment.amplifier.name, *_measure(segment, self.config.fullWell))
            for segment in raw.segments
        ]
        return Struct(stats=_table(rows))


def _measure(segment: RawSegment, full_well: float) -> tuple[float, float, float, float, float]:
    geometry = segment.amplifier.unassembled_raw_geometry
    assert geometry is not None, "A raw's amplifiers have their raw geometry."
    overscan = measure_overscan(segment)
    data = segment.section(geometry.data_bbox)
    median, sigma = robust_statistics(thin(data))
    nominal = segment.amplifier.nominal_calibrations
    level = saturation_level(segment.amplifier, nominal.gain, full_well) if nominal else math.inf
    saturated = (
        np.count_nonzero(data >= level + overscan.mean) / data.size if np.isfinite(level) else math.nan
    )
    return overscan.mean, overscan.noise, median - overscan.mean, sigma, saturated


def _table(rows: list[tuple[int, str, float, float, float, float, float]]) -> Table:
    table = Table()
    for index, (name, (dtype, unit, description)) in enumerate(_COLUMNS.items()):
        table[name] = np.array([row[index] for row in rows], dtype=dtype)
        table[name].unit = unit
        table[name].description = description
    return table
