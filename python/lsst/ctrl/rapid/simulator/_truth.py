"""The truth of an exposure, on disk beside the raws."""

from __future__ import annotations

__all__ = ("write_truth",)

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsst.ctrl.rapid.instruments import load_camera

from ._files import write_atomically
from ._render import DetectorTruth
from ._sequence import ExposurePlan

_COLUMNS = (
    ("detector", None, "int32"),
    ("x", "pix", "float64"),
    ("y", "pix", "float64"),
    ("flux_e", "electron", "float64"),
    ("mag", "mag(AB)", "float64"),
    ("saturated", None, "bool"),
)


def write_truth(folder: Path, exposure: ExposurePlan, truths: Sequence[DetectorTruth]) -> None:
    """Write the stars (ECSV) and what else is to be known of an exposure (JSON).

    ``{OBSID}.ecsv`` has a row for each star: ``detector``; ``x`` and ``y``, zero-based pixels of the
    assembled detector in the frame of cameraGeom; ``flux_e``, electrons after division by the flat of mean 1;
    ``mag``, AB; ``saturated``.  ``{OBSID}.json`` has for each detector the FWHM of the stars (arcsec, see
    `Psf`), their ellipticity, the sky (electrons for each pixel, after that division), and the gain (e-/ADU)
    and read noise (e- rms) of each amplifier.

    Parameters
    ----------
    folder
        Where to.
    exposure
        The exposure.
    truths
        What was put into its detectors.
    """
    rows = [line for truth in truths for line in _star_lines(truth)]
    write_atomically(folder / f"{exposure.obs_id}.ecsv", "\n".join([*_ecsv_header(), *rows, ""]))
    text = json.dumps(_summary(exposure, truths), indent=1)
    write_atomically(folder / f"{exposure.obs_id}.json", text + "\n")


def _ecsv_header() -> list[str]:
    columns = [
        f"# - {{name: {name}, " + (f"unit: {unit}, " if unit else "") + f"datatype: {datatype}}}"
        for name, unit, datatype in _COLUMNS
    ]
    names = " ".join(name for name, _, _ in _COLUMNS)
    return ["# %ECSV 1.0", "# ---", "# datatype:", *columns, "# schema: astropy-2.0", names]


def _star_lines(truth: DetectorTruth) -> list[str]:
    columns = (truth.x, truth.y, truth.flux, truth.magnitude, truth.saturated)
    return [
        f"{truth.detector} {x:.4f} {y:.4f} {flux:.2f} {magnitude:.4f} {saturated}"
        for x, y, flux, magnitude, saturated in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _summary(exposure: ExposurePlan, truths: Sequence[DetectorTruth]) -> dict[str, Any]:
    return {
        "instrument": exposure.instrument,
        "exposure": exposure.id,
        "obs_id": exposure.obs_id,
        "observation_type": exposure.type.value,
        "physical_filter": exposure.physical_filter,
        "exposure_time_s": exposure.exposure_time,
        "detectors": {str(truth.detector): _detector(exposure, truth) for truth in truths},
    }


def _detector(exposure: ExposurePlan, truth: DetectorTruth) -> dict[str, Any]:
    psf = truth.psf
    pixel_scale = load_camera(exposure.instrument).pixel_scale
    return {
        "fwhm_arcsec": None if psf is None else psf.fwhm * pixel_scale,
        "e1": None if psf is None else psf.e1,
        "e2": None if psf is None else psf.e2,
        "sky_e": truth.sky,
        "stars": len(truth.x),
        "gain_e_per_adu": truth.gain,
        "read_noise_e": truth.read_noise,
    }
