"""Geometry of a raw's amplifiers, from the cards of its segments alone."""

from __future__ import annotations

__all__ = ("check_segments", "read_geometry")

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lsst.images import Box
from lsst.images.cameras import Amplifier, AmplifierCalibrations, AmplifierRawGeometry, ReadoutCorner

from ._camera import Vendor
from ._hdus import Hdu, card_text

_SECTION = re.compile(r"\[\s*(-?\d+)\s*:\s*(-?\d+)\s*,\s*(-?\d+)\s*:\s*(-?\d+)\s*\]")
_SEGMENT = re.compile(r"Segment(\d+)", re.IGNORECASE)

FULL_WELL = 175_000.0
"""Saturation assumed for every amplifier, electrons; a round number of the right size."""

_NOMINAL = {Vendor.E2V: (1.5, 5.4), Vendor.ITL: (1.7, 6.2)}
"""Gain (electrons/ADU) and read noise (electrons) assumed for each vendor's detectors: round numbers of the
right size, good for a first look.  A calibration supersedes them."""

MAX_PIXELS = 1 << 26
"""Most pixels of a segment that is believed: four times those of a whole detector."""

type Geometry = tuple[Box, tuple[tuple[int, Amplifier], ...]]
type _Layout = tuple[tuple[object, ...], ...]

_GEOMETRY_CARDS = ("DATASEC", "DETSEC", "DETSIZE")
_GEOMETRIES: dict[tuple[_Layout, Vendor, bool], Geometry] = {}
_CHECKED: set[tuple[_Layout, bool]] = set()
_KEPT = 1000
"""More than a camera has detectors."""


class Section(NamedTuple):
    """A section of an image as FITS cards write it: one-based, inclusive, reversed for a flipped axis."""

    x1: int
    x2: int
    y1: int
    y2: int

    @property
    def box(self) -> Box:
        """The section as a zero-based box."""
        x, y = sorted((self.x1, self.x2)), sorted((self.y1, self.y2))
        return Box.factory[y[0] - 1 : y[1], x[0] - 1 : x[1]]


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """An image HDU that holds an amplifier, with its ``DATASEC`` and ``DETSEC``."""

    hdu: Hdu
    data: Section
    detector: Section


def read_geometry(hdus: Sequence[Hdu], vendor: Vendor, *, half: bool, name: str) -> Geometry:
    """Return the geometry of a raw.

    Parameters
    ----------
    hdus
        The file's HDUs.  Segments are those whose ``EXTNAME`` is ``Segment`` and a number; others are
        ignored.
    vendor
        Who made the detector, for the amplifiers' nominal calibrations.
    half
        Whether the detector is one half of a pair (a wavefront sensor), whose ``DETSIZE`` may be that of the
        pair.
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
        If a card is missing, cannot be understood or contradicts the pixels, or the segments do not tile a
        detector.

    Notes
    -----
    In a segment the columns before ``DATASEC`` are the prescan, those after it the serial overscan at the
    rows of data, and the rows above it the parallel overscan at the columns of data.  A segment is stored in
    the order in which it was read out, so the corner of readout is its lower left one.  ``DETSEC`` alone says
    where an amplifier lies and how it is flipped; nothing is taken from constants, so detectors of any size
    work.
    """
    # A detector's segments lie where they lay in the last exposure: to find out takes longer than to look up.
    key = (_layout(hdus), vendor, half)
    if (known := _GEOMETRIES.get(key)) is None:
        known = _read_geometry(hdus, vendor, half=half, name=name)
        if len(_GEOMETRIES) >= _KEPT:
            _GEOMETRIES.clear()
        _GEOMETRIES[key] = known
    return known


def check_segments(hdus: Sequence[Hdu], *, half: bool, name: str) -> None:
    """Check that the segments of a raw make a detector.

    Parameters and errors are those of `read_geometry`.
    """
    key = (_layout(hdus), half)
    if key not in _CHECKED:
        _find_segments(hdus, half=half, name=name)
        if len(_CHECKED) >= _KEPT:
            _CHECKED.clear()
        _CHECKED.add(key)


def _layout(hdus: Sequence[Hdu]) -> _Layout:
    """Return all of the headers that the geometry is made of."""
    return tuple(
        (hdu.index, hdu.name, hdu.shape, *(hdu.cards.get(keyword) for keyword in _GEOMETRY_CARDS))
        for hdu in hdus
        if hdu.shape is not None
    )


def _read_geometry(hdus: Sequence[Hdu], vendor: Vendor, *, half: bool, name: str) -> Geometry:
    bbox, segments = _find_segments(hdus, half=half, name=name)
    origin = bbox.y.start, bbox.x.start
    calibrations = _nominal_calibrations(vendor)
    amplifiers = tuple(
        (segment.hdu.index, _make_amplifier(segment, origin, calibrations, name)) for segment in segments
    )
    return Box.factory[: bbox.y.size, : bbox.x.size], amplifiers


def _find_segments(hdus: Sequence[Hdu], *, half: bool, name: str) -> tuple[Box, list[Segment]]:
    """Return the segments of a raw, and the box that they tile in the pixels of ``DETSEC``.

    Parameters and errors are those of `read_geometry`.
    """
    segments = [_read_segment(hdu, name) for hdu in hdus if hdu.shape and _SEGMENT.fullmatch(hdu.name)]
    if not segments:
        raise ValueError(f"{name} has no image HDU named Segment and a number: not the raw of a detector.")
    return _find_detector_box(segments, half=half, name=name), segments


def _read_segment(hdu: Hdu, name: str) -> Segment:
    assert hdu.shape is not None, "Segments are images."
    rows, columns = hdu.shape
    if min(rows, columns) < 1 or rows * columns > MAX_PIXELS:
        raise ValueError(f"{name}, {hdu.label}: no amplifier has {columns} x {rows} pixels.")
    data = _read_section(hdu.cards, "DATASEC", f"{name}, {hdu.label}")
    detector = _read_section(hdu.cards, "DETSEC", f"{name}, {hdu.label}")
    if data.x1 > data.x2 or data.y1 > data.y2 or not Box.factory[:rows, :columns].contains(data.box):
        raise ValueError(
            f"{name}, {hdu.label}: DATASEC {_text(data)} is not within its {columns} x {rows} pixels."
        )
    if data.box.shape != detector.box.shape:
        raise ValueError(
            f"{name}, {hdu.label}: DETSEC {_text(detector)} is not of the size of DATASEC {_text(data)}."
        )
    return Segment(hdu, data, detector)


def _read_section(cards: Mapping[str, str], keyword: str, where: str) -> Section:
    text = card_text(cards, keyword)
    if text is None:
        raise ValueError(f"{where} has no {keyword} card, so its geometry is not known.")
    match = _SECTION.fullmatch(text)
    section = Section(*(int(number) for number in match.groups())) if match else None
    if section is None or min(section) < 1:
        raise ValueError(f"{where}: {keyword} is {text!r}; it must be like '[1:512,1:2000]'.")
    return section


def _find_detector_box(segments: Sequence[Segment], *, half: bool, name: str) -> Box:
    """Return the box that the segments tile, in the pixels of ``DETSEC``."""
    boxes = [segment.detector.box for segment in segments]
    hull = Box.factory[
        min(box.y.start for box in boxes) : max(box.y.stop for box in boxes),
        min(box.x.start for box in boxes) : max(box.x.stop for box in boxes),
    ]
    if sum(box.area for box in boxes) != hull.area or not _are_disjoint(boxes):
        raise ValueError(f"{name}: the DETSEC cards of its {len(boxes)} segments overlap or leave gaps.")
    for segment in segments:
        if "DETSIZE" not in segment.hdu.cards:
            continue
        whole = _read_section(segment.hdu.cards, "DETSIZE", f"{name}, {segment.hdu.label}").box
        if not (whole.contains(hull) if half else whole == hull):
            raise ValueError(
                f"{name}, {segment.hdu.label}: DETSIZE is {whole.x.size} x {whole.y.size} pixels, but "
                f"the file's {len(boxes)} segments make {hull.x.size} x {hull.y.size}; segments are missing."
            )
    return hull


def _are_disjoint(boxes: Sequence[Box]) -> bool:
    return not any(
        one.x.start < two.x.stop
        and two.x.start < one.x.stop
        and one.y.start < two.y.stop
        and two.y.start < one.y.stop
        for at, one in enumerate(boxes)
        for two in boxes[:at]
    )


def _make_amplifier(
    segment: Segment, origin: tuple[int, int], calibrations: AmplifierCalibrations, name: str
) -> Amplifier:
    hdu, data = segment.hdu, segment.data.box
    assert hdu.shape is not None, "Segments are images."
    rows, columns = hdu.shape
    if data.x.stop == columns or data.y.stop == rows:
        raise ValueError(
            f"{name}, {hdu.label}: DATASEC {_text(segment.data)} of its {columns} x {rows} pixels leaves no "
            "overscan."
        )
    placed = segment.detector.box
    bbox = Box.factory[
        placed.y.start - origin[0] : placed.y.stop - origin[0],
        placed.x.start - origin[1] : placed.x.stop - origin[1],
    ]
    flip_x, flip_y = segment.detector.x1 > segment.detector.x2, segment.detector.y1 > segment.detector.y2
    geometry = AmplifierRawGeometry(
        bbox=Box.factory[:rows, :columns],
        data_bbox=data,
        flip_x=flip_x,
        flip_y=flip_y,
        x_offset=bbox.x.start,
        y_offset=bbox.y.start,
        serial_overscan_bbox=Box.factory[data.y.start : data.y.stop, data.x.stop : columns],
        parallel_overscan_bbox=Box.factory[data.y.stop : rows, data.x.start : data.x.stop],
        prescan_bbox=Box.factory[data.y.start : data.y.stop, : data.x.start] if data.x.start else None,
        readout_corner=ReadoutCorner.LL,
    )
    match = _SEGMENT.fullmatch(hdu.name)
    assert match is not None, "Segments are found by their names."
    return Amplifier(
        name=f"C{match[1]}",
        bbox=bbox,
        readout_corner=ReadoutCorner.LL.apply_flips(y=flip_y, x=flip_x),
        unassembled_raw_geometry=geometry,
        nominal_calibrations=calibrations,
    )


def _nominal_calibrations(vendor: Vendor) -> AmplifierCalibrations:
    gain, read_noise = _NOMINAL[vendor]
    return AmplifierCalibrations(
        gain=gain,
        read_noise=read_noise,
        saturation=FULL_WELL / gain,
        suspect_level=math.nan,
        linearity_coefficients=np.zeros(4),
        linearity_type="None",
    )


def _text(section: Section) -> str:
    return f"[{section.x1}:{section.x2},{section.y1}:{section.y2}]"
