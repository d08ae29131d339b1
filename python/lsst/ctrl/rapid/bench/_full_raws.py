"""Raws of full size, and the calibrations that belong to them."""

from __future__ import annotations

__all__ = ("certify_calibrations", "make_calibrations", "take_raws")

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import astropy.time
import astropy.units as u
import numpy as np

from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan
from lsst.images import Image

from ..simulator import SimulationConfig, expected_calibrations, simulate
from ._raws import INSTRUMENT, TinyRaw

_FILTER = "r_57"
_VALID = Timespan(
    astropy.time.Time("2015-01-01T00:00:00", scale="tai"),
    astropy.time.Time("2100-01-01T00:00:00", scale="tai"),
)
_TYPES: Mapping[str, tuple[Sequence[str], str]] = {
    "bias": (("instrument", "detector"), "ImageV2"),
    "dark": (("instrument", "detector"), "ImageV2"),
    "flat": (("instrument", "detector", "physical_filter"), "ImageV2"),
    "amplifier_gain": (("instrument", "detector"), "StructuredDataDict"),
}


def take_raws(folder: Path, detectors: Sequence[int], exposures: int, scale: float) -> list[list[TinyRaw]]:
    """Take science exposures of a simulated sky, uncompressed.

    Parameters
    ----------
    folder
        Where the files are written.
    detectors
        Those that are read out.
    exposures
        How many.
    scale
        Part of each amplifier's rows and columns, 1 for full size.

    Returns
    -------
    raws
        Of each exposure, those of its detectors.
    """
    config = SimulationConfig(
        instrument=INSTRUMENT,
        exposures=exposures,
        detectors=tuple(detectors),
        scale=scale,
        filter=_FILTER,
        first_seq_num=1000,
    )
    found: dict[int, list[TinyRaw]] = {}
    for sent in simulate(config, folder):
        # An exposure ID begins with its observing day.
        day_obs = int(str(sent.exposure)[:8])
        raw = TinyRaw(sent.path, sent.exposure, day_obs, sent.detector)
        found.setdefault(sent.exposure, []).append(raw)
    return list(found.values())


def make_calibrations(detector: int, scale: float) -> dict[str, Any]:
    """Return the calibrations of a detector by dataset type, as its tasks take them."""
    truth = expected_calibrations(INSTRUMENT, detector, scale=scale)
    return {
        "bias": Image(truth.bias.astype(np.float32, copy=False), unit=u.adu),
        "dark": Image(truth.dark.astype(np.float32, copy=False), unit=u.adu / u.s),
        "flat": Image(truth.flat.astype(np.float32, copy=False)),
        "amplifier_gain": {
            name: {"gain": float(gain), "read_noise": float(truth.read_noise_e[name])}
            for name, gain in truth.gains.items()
        },
    }


def certify_calibrations(butler: Butler, detectors: Sequence[int], scale: float) -> None:
    """Write and certify the calibrations of detectors.

    Parameters
    ----------
    butler
        Writes to the repository.
    detectors
        Whose calibrations.
    scale
        As that of the raws.
    """
    run = f"{INSTRUMENT}/calib/full"
    butler.collections.register(run, CollectionType.RUN)
    types = {
        name: DatasetType(name, dimensions, storage_class, universe=butler.dimensions, isCalibration=True)
        for name, (dimensions, storage_class) in _TYPES.items()
    }
    for dataset_type in types.values():
        butler.registry.registerDatasetType(dataset_type)
    with butler.transaction():
        refs = [
            butler.put(
                made,
                types[name],
                # Of what a dataset type does not depend on, the butler takes no notice.
                {"instrument": INSTRUMENT, "detector": number, "physical_filter": _FILTER},
                run=run,
            )
            for number in detectors
            for name, made in make_calibrations(number, scale).items()
        ]
        butler.registry.certify(f"{INSTRUMENT}/calib", refs, _VALID)
