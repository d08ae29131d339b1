"""Images of the full stack as the in-memory types of this package; nothing of the stack is imported."""

from __future__ import annotations

__all__ = ("AfwExposure", "image_from_exposure", "raw_from_exposure")

import abc
import logging
import math
from collections.abc import Mapping
from typing import Any, Protocol

import astropy.units as u
import numpy as np

from lsst.images import YX, Box, Image
from lsst.images.cameras import Amplifier, AmplifierCalibrations, AmplifierRawGeometry, ReadoutCorner
from lsst.utils.wrappers import TemplateMeta

from ._raw import HeaderValue, RawImage, RawSegment

_LOG = logging.getLogger(__name__)

_METHODS = ("getImage", "getMask", "getVariance", "getDetector", "getMetadata", "getBBox")

_UNIT_CARDS = ("LSST ISR UNITS", "BUNIT")
"""Where the stack says the unit of an image: the reduction's own card comes first."""

_TIMES = {"DARKTIME": "getDarkTime", "EXPTIME": "getExposureTime"}
"""Cards that readers move into the visit information, and how that returns them."""


class AfwExposure(abc.ABC):  # noqa: B024 -- it is only asked for its subclasses
    """What is an ``lsst.afw.image.Exposure``, found by its methods.

    Notes
    -----
    Storage-class converters look their sources up with `issubclass`.  Keyed on afw's own class they are never
    found: it is no subclass of itself, since its metaclass knows the classes of the pixel types only.
    """

    @classmethod
    def __subclasshook__(cls, subclass: type) -> bool:
        # A template stands for the classes that it knows.
        known: Any = subclass
        found = list(known.values()) if isinstance(subclass, TemplateMeta) else [subclass]
        return any(all(hasattr(one, name) for name in _METHODS) for one in found)


class _Box(Protocol):
    """The part of ``lsst.geom.Box2I`` that is read."""

    def getMinX(self) -> int: ...
    def getMinY(self) -> int: ...
    def getMaxX(self) -> int: ...
    def getMaxY(self) -> int: ...


def image_from_exposure(exposure: Any) -> Image:
    """Return the pixels of an exposure with their unit.

    Parameters
    ----------
    exposure
        An ``lsst.afw.image.Exposure``; not modified.

    Returns
    -------
    image
        A view of its image plane.  The unit is what the card ``LSST ISR UNITS``, else ``BUNIT``, says;
        without either it is ADU, as the stack's own reduction takes it.

    Raises
    ------
    ValueError
        If the unit cannot be understood.
    """
    box = _box(exposure.getBBox())
    return Image(
        exposure.image.array,
        yx0=YX(y=box.y.start, x=box.x.start),
        unit=_unit(_header(exposure.getMetadata())),
    )


def _unit(header: Mapping[str, HeaderValue]) -> u.UnitBase:
    for card in _UNIT_CARDS:
        text = str(header.get(card) or "").strip()
        if not text:
            continue
        # Headers write "ADU" and "electrons", too, which are not astropy's words.
        try:
            return _WORDS.get(text.lower()) or u.Unit(text)
        except ValueError:
            raise ValueError(f"{card} is {text!r}, which is no unit of an image.") from None
    _LOG.info(
        "The unit of a calibration is in neither %s: ADU, as the stack takes it.", " nor ".join(_UNIT_CARDS)
    )
    return u.adu


_WORDS = {"adu": u.adu, "electron": u.electron, "electrons": u.electron}


def raw_from_exposure(exposure: Any) -> RawImage:
    """Return a raw of the full stack as one of this package.

    Parameters
    ----------
    exposure
        An ``lsst.afw.image.Exposure`` with its detector, not trimmed, pixels in ADU; not modified.

    Returns
    -------
    raw
        Segments in the detector's order, each turned so that its first pixel is the first that was read
        out.  All geometry and nominal values are of the exposure's own detector.

    Raises
    ------
    ValueError
        If it has no detector, or is trimmed.

    Notes
    -----
    In memory the amplifiers of a raw are one mosaic.  Its detector describes the mosaic, with regions in the
    mosaic's pixels and the flips that are left to be made; after assembly none are.  A detector as a camera
    has it describes the segments as they are in a file instead, with the offsets of their places in the
    mosaic, for which they have been flipped already.
    """
    detector = exposure.getDetector()
    if detector is None:
        raise ValueError("The raw has no detector, so its geometry is not known.")
    amplifiers = list(detector)
    whole = _box(exposure.getBBox())
    as_in_file = any(tuple(amplifier.getRawXYOffset()) != (0, 0) for amplifier in amplifiers)
    pixels = _whole_numbers(exposure.image.array)
    segments = tuple(
        _segment(amplifier, pixels, whole, as_in_file=as_in_file, detector=detector.getName())
        for amplifier in amplifiers
    )
    header = _header(exposure.getMetadata())
    info = exposure.getInfo().getVisitInfo()
    instrument = str(header.get("INSTRUME", ""))
    if info is not None:
        instrument = info.getInstrumentLabel() or instrument
        for card, getter in _TIMES.items():
            if header.get(card) is None and math.isfinite(seconds := float(getattr(info, getter)())):
                header[card] = seconds
    bbox = _box(detector.getBBox())
    return RawImage(
        header, instrument, int(detector.getId()), Box.factory[: bbox.y.size, : bbox.x.size], segments
    )


def _segment(
    amplifier: Any, pixels: np.ndarray[Any, Any], whole: Box, *, as_in_file: bool, detector: str
) -> RawSegment:
    raw, (x_offset, y_offset) = _box(amplifier.getRawBBox()), amplifier.getRawXYOffset()
    rows, columns = raw.shape
    first_row, first_column = raw.y.start + y_offset - whole.y.start, raw.x.start + x_offset - whole.x.start
    array = pixels[max(first_row, 0) : first_row + rows, max(first_column, 0) : first_column + columns]
    if array.shape != (rows, columns):
        raise ValueError(
            f"The raw of {detector} has {whole.x.size} x {whole.y.size} pixels, which leave amplifier "
            f"{amplifier.getName()} out: it is trimmed or cut, and no raw any more."
        )
    flip_y, flip_x = bool(amplifier.getRawFlipY()), bool(amplifier.getRawFlipX())
    if as_in_file:
        array = _flipped(array, y=flip_y, x=flip_x)
    corner = ReadoutCorner[amplifier.getReadoutCorner().name]
    turned_y, turned_x = corner.as_flips().y, corner.as_flips().x
    flip_y, flip_x = flip_y ^ turned_y, flip_x ^ turned_x

    def within(bbox: _Box) -> Box | None:
        """Return a region in the pixels of the turned segment, `None` for one without pixels."""
        x0, x1 = bbox.getMinX() - raw.x.start, bbox.getMaxX() + 1 - raw.x.start
        y0, y1 = bbox.getMinY() - raw.y.start, bbox.getMaxY() + 1 - raw.y.start
        if turned_x:
            x0, x1 = columns - x1, columns - x0
        if turned_y:
            y0, y1 = rows - y1, rows - y0
        return Box.factory[y0:y1, x0:x1] if y1 > y0 and x1 > x0 else None

    data = within(amplifier.getRawDataBBox())
    serial = within(amplifier.getRawHorizontalOverscanBBox())
    if data is None or serial is None:
        raise ValueError(f"Amplifier {amplifier.getName()} of {detector} has no data or no serial overscan.")
    parallel = within(amplifier.getRawVerticalOverscanBBox())
    placed = _box(amplifier.getBBox())
    geometry = AmplifierRawGeometry(
        bbox=Box.factory[:rows, :columns],
        data_bbox=data,
        flip_x=flip_x,
        flip_y=flip_y,
        x_offset=placed.x.start,
        y_offset=placed.y.start,
        serial_overscan_bbox=serial,
        parallel_overscan_bbox=serial if parallel is None else parallel,
        prescan_bbox=within(amplifier.getRawPrescanBBox()),
        readout_corner=ReadoutCorner.LL,
    )
    return RawSegment(
        Amplifier(
            name=amplifier.getName(),
            bbox=placed,
            readout_corner=ReadoutCorner.LL.apply_flips(y=flip_y, x=flip_x),
            unassembled_raw_geometry=geometry,
            nominal_calibrations=AmplifierCalibrations(
                gain=amplifier.getGain(),
                read_noise=amplifier.getReadNoise(),
                saturation=amplifier.getSaturation(),
                suspect_level=amplifier.getSuspectLevel(),
                linearity_coefficients=np.zeros(4),
                linearity_type="None",
            ),
        ),
        np.ascontiguousarray(_flipped(array, y=turned_y, x=turned_x)),
    )


def _box(bbox: _Box) -> Box:
    return Box.factory[bbox.getMinY() : bbox.getMaxY() + 1, bbox.getMinX() : bbox.getMaxX() + 1]


def _flipped(array: np.ndarray[Any, Any], *, y: bool, x: bool) -> np.ndarray[Any, Any]:
    return array[:: -1 if y else 1, :: -1 if x else 1]


def _whole_numbers(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return pixels as int32, as a file has them, or as float32 where that would lose something."""
    if pixels.dtype.kind not in "iuf":
        raise ValueError(f"The pixels of the raw are {pixels.dtype}; those of a raw are numbers, ADU.")
    with np.errstate(invalid="ignore"):
        whole = pixels.astype(np.int32)
    return whole if np.array_equal(whole, pixels) else pixels.astype(np.float32)


def _header(metadata: Any) -> dict[str, HeaderValue]:
    """Return the cards that have one value, by name."""
    cards = {} if metadata is None else dict(metadata)
    return {
        name: value for name, value in cards.items() if value is None or isinstance(value, str | int | float)
    }
