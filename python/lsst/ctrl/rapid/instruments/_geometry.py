"""Geometry of a raw's segments: from the camera's tables, with overscans from the sizes of the HDUs."""

from __future__ import annotations

__all__ = ("SCALE_CARD", "read_geometry")

import logging
import math
import re
from collections.abc import Sequence

import numpy as np

from lsst.images import Box
from lsst.images.cameras import Amplifier, AmplifierCalibrations, AmplifierRawGeometry, ReadoutCorner

from ._amplifiers import AmplifierPlace, nominal_values
from ._camera import CameraDetector
from ._hdus import Hdu, card_real, card_text

_LOG = logging.getLogger(__name__)

SCALE_CARD = "SIMSCALE"
"""Card of a simulated raw's primary header: which part of each amplifier's columns and rows it has."""

MAX_PIXELS = 1 << 26
"""Most pixels of a believable segment: four times those of a whole detector."""

_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")

type Geometry = tuple[Box, tuple[tuple[int, Amplifier], ...]]
type _Key = tuple[object, ...]

_GEOMETRIES: dict[_Key, Geometry] = {}
_KEPT = 1000
"""Geometries that are kept: more than a camera has detectors."""


def read_geometry(hdus: Sequence[Hdu], instrument: str, detector: CameraDetector, *, name: str) -> Geometry:
    """Return the geometry of a raw.

    Parameters
    ----------
    hdus
        The file's HDUs.  The first after the primary one belong to the detector's amplifiers, in the order of
        the table; others are ignored.
    instrument
        Name of the instrument in the registry.
    detector
        The detector.
    name
        The file, for messages.

    Returns
    -------
    bbox
        Bounding box of the trimmed, assembled detector, pixels; starts at (0, 0).
    amplifiers
        Number of the HDU and amplifier of each segment, in the order of the file.

    Raises
    ------
    ValueError
        If the file has fewer segments than the detector has amplifiers, or segments of another size.

    Notes
    -----
    Order, place and flips of the amplifiers are those of cameraGeom.  ``DETSEC`` is not used: raws of the
    cameras have its rows reversed.  ``EXTNAME`` is not used either; one that names another amplifier causes
    a warning.  In a segment the columns before the imaging area are the prescan, those after it the serial
    overscan, and the rows above it the parallel overscan; the widths of both overscans follow from ``NAXIS``.
    A segment is stored in the order in which it is read out, so its readout corner is its lower left one.

    Raws of the simulator may have a part of each amplifier only: the card ``SIMSCALE`` says which.
    """
    key = (instrument, detector.id, hdus[0].cards.get(SCALE_CARD), *map(_layout, hdus[1:]))
    if (known := _GEOMETRIES.get(key)) is None:
        known = _read_geometry(hdus, instrument, detector, name)
        if len(_GEOMETRIES) >= _KEPT:
            _GEOMETRIES.clear()
        _GEOMETRIES[key] = known
    return known


def _layout(hdu: Hdu) -> _Key:
    """Return what the geometry is made of."""
    return hdu.name, hdu.shape, hdu.cards.get("DATASEC")


def _read_geometry(hdus: Sequence[Hdu], instrument: str, detector: CameraDetector, name: str) -> Geometry:
    scale = _read_scale(hdus[0], name)
    places = [place.scaled(scale) for place in detector.amplifiers]
    segments = hdus[1 : len(places) + 1]
    images = sum(hdu.shape is not None for hdu in segments)
    if images < len(places):
        raise ValueError(
            f"{name} has {images} image HDUs where {detector.name} of {instrument} has {len(places)} "
            "amplifiers: segments are missing, or it is not the raw of a detector."
        )
    _warn_of_names(segments, places, detector, name)
    nominal = nominal_values(instrument)
    amplifiers = []
    for hdu, place in zip(segments, places, strict=True):
        values = nominal[detector.id, place.name]
        calibrations = AmplifierCalibrations(
            gain=values.gain,
            read_noise=values.read_noise,
            saturation=values.saturation,
            suspect_level=math.nan,
            linearity_coefficients=np.zeros(4),
            linearity_type="None",
        )
        amplifiers.append((hdu.index, _make_amplifier(hdu, place, calibrations, detector, name)))
    boxes = [amplifier.bbox for _, amplifier in amplifiers]
    hull = Box.factory[: max(box.y.stop for box in boxes), : max(box.x.stop for box in boxes)]
    return hull, tuple(amplifiers)


def _read_scale(primary: Hdu, name: str) -> float:
    scale = card_real(primary.cards, SCALE_CARD, 1.0)
    if scale is None or not 0.0 < scale <= 1.0:
        told = primary.cards[SCALE_CARD].partition("/")[0].strip()
        raise ValueError(f"{name}: {SCALE_CARD} is {told}; it must be a number above 0 and not above 1.")
    return scale


def _warn_of_names(
    segments: Sequence[Hdu], places: Sequence[AmplifierPlace], detector: CameraDetector, name: str
) -> None:
    for hdu, place in zip(segments, places, strict=True):
        expected = f"Segment{place.name[1:]}"
        if hdu.name and hdu.name.lower() != expected.lower():
            _LOG.warning(
                "%s, %s: amplifier %s of %s is expected here as %s; the order of the HDUs decides.",
                name, hdu.label, place.name, detector.name, expected,
            )  # fmt: skip
            return


def _make_amplifier(
    hdu: Hdu,
    place: AmplifierPlace,
    calibrations: AmplifierCalibrations,
    detector: CameraDetector,
    name: str,
) -> Amplifier:
    assert hdu.shape is not None, "Segments are images."
    rows, columns = hdu.shape
    if rows * columns > MAX_PIXELS:
        raise ValueError(f"{name}, {hdu.label}: no amplifier has {columns} x {rows} pixels.")
    _check_data_section(hdu, place, detector, name)
    data = Box.factory[: place.rows, place.prescan : place.prescan + place.columns]
    if data.x.stop >= columns or data.y.stop >= rows:
        raise ValueError(
            f"{name}, {hdu.label} has {columns} x {rows} pixels; amplifier {place.name} of {detector.name} "
            f"has {place.prescan} prescan and {place.columns} data columns, {place.rows} data rows, and "
            "overscan beyond both."
        )
    x, y = place.column * place.columns, place.row * place.rows
    geometry = AmplifierRawGeometry(
        bbox=Box.factory[:rows, :columns],
        data_bbox=data,
        flip_x=place.flip_x,
        flip_y=place.flip_y,
        x_offset=place.column * columns,
        y_offset=place.row * rows,
        serial_overscan_bbox=Box.factory[: data.y.stop, data.x.stop : columns],
        parallel_overscan_bbox=Box.factory[data.y.stop : rows, data.x.start : data.x.stop],
        prescan_bbox=Box.factory[: data.y.stop, : data.x.start] if data.x.start else None,
        readout_corner=ReadoutCorner.LL,
    )
    return Amplifier(
        name=place.name,
        bbox=Box.factory[y : y + place.rows, x : x + place.columns],
        readout_corner=ReadoutCorner.LL.apply_flips(y=place.flip_y, x=place.flip_x),
        unassembled_raw_geometry=geometry,
        nominal_calibrations=calibrations,
    )


def _check_data_section(hdu: Hdu, place: AmplifierPlace, detector: CameraDetector, name: str) -> None:
    """Check that the imaging area, where the file gives its size, is the amplifier's."""
    if "DATASEC" not in hdu.cards:
        return
    text = card_text(hdu.cards, "DATASEC") or ""
    match = _SECTION.fullmatch(text)
    if match is None:
        raise ValueError(f"{name}, {hdu.label}: DATASEC is {text!r}; it must be like '[1:512,1:2000]'.")
    x1, x2, y1, y2 = map(int, match.groups())
    if (abs(x2 - x1) + 1, abs(y2 - y1) + 1) != (place.columns, place.rows):
        raise ValueError(
            f"{name}, {hdu.label}: DATASEC {text} is not of the {place.columns} x {place.rows} pixels of "
            f"amplifier {place.name} of {detector.name}."
        )
