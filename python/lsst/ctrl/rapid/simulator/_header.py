"""The cards of a raw: those of the exposure, of the detector and of each segment."""

from __future__ import annotations

__all__ = ("card_text", "exposure_cards", "file_name", "image_header", "primary_header", "segment_cards")

import functools
import hashlib

import astropy.io.fits
from astropy.time import Time

from lsst.ctrl.rapid.instruments import SCALE_CARD, CameraDetector, HeaderValue, Purpose, Vendor

from ._geometry import Layout, Segment
from ._pointing import LATITUDE, LONGITUDE, Pointing, pointing_at
from ._random import Use, generator
from ._sequence import ExposurePlan, ImageType
from ._sky import band_of

type Cards = dict[str, HeaderValue]

_INSTRUME = {"LSSTCam": "lsstCam", "LSSTComCam": "ComCam", "LSSTComCamSim": "ComCamSim"}
_PLATFORMS = {"MC": ("lsstcam", "camera"), "CC": ("comcam", "comcam"), "AT": ("auxtel", "lat")}
_SIMULATED = {
    "MC": ("MTMOUNT", "MTM1M3", "MTM2", "CAMHEXAPOD", "M2HEXAPOD", "MTROTATOR", "MTDOME", "MTDOMETRAJECTORY"),
    "AT": ("ATMCS", "ATHEXAPOD", "ATPNEUMATICS", "ATDOME", "ATSPECTROGRAPH"),
}
_IMAGE_TYPES = {
    ImageType.SCIENCE: "OBJECT",
    ImageType.BIAS: "BIAS",
    ImageType.DARK: "DARK",
    ImageType.FLAT: "FLAT",
}
_SECONDS_BEFORE = 5.0


def exposure_cards(exposure: ExposurePlan, shutter_closed: float, *, seed: int) -> Cards:
    """Return the cards that all raws of an exposure share, as the Rubin cameras' headers have them.

    Parameters
    ----------
    exposure
        The exposure.
    shutter_closed
        When its shutter closes, UNIX seconds; ``DATE-END``, TAI.  It begins an exposure time earlier.
    seed
        Seed of the simulation; the pointing depends on it.
    """
    on_auxtel = exposure.camera_code == "AT"
    end = Time(shutter_closed, format="unix").tai
    begin = Time(shutter_closed - exposure.exposure_time, format="unix").tai
    group = Time(shutter_closed - exposure.exposure_time - _SECONDS_BEFORE, format="unix").tai
    image_type = _IMAGE_TYPES[exposure.type]
    platform, partition = _PLATFORMS[exposure.camera_code]
    cards: Cards = {
        "BINX": 1,
        "BINY": 1,
        "CCDGAIN": 1.0,
        "CCDNOISE": 10.0,
        "DATE": end.isot,
        "MJD": float(end.mjd),
        "IMGTYPE": image_type,
        "DATE-OBS": begin.isot,
        "MJD-OBS": float(begin.mjd),
        "DATE-TRG": end.isot,
        "MJD-TRG": float(end.mjd),
        "OBSID": exposure.obs_id,
        "DATE-BEG": begin.isot,
        "MJD-BEG": float(begin.mjd),
        "DATE-END": end.isot,
        "MJD-END": float(end.mjd),
        "BUNIT": "adu",
        "TIMESYS": "TAI",
        "GROUPID": group.isot,
        "INSTRUME": _INSTRUME.get(exposure.instrument, exposure.instrument),
        "TELESCOP": "LSST AuxTelescope" if on_auxtel else "Simonyi Survey Telescope",
        "OBS-LONG": LONGITUDE,
        "OBS-LAT": LATITUDE,
        "OBS-ELEV": 2663.0,
        **_pointing_cards(exposure, float(begin.mjd), seed),
        "TESTTYPE": image_type,
        "CAMCODE": exposure.camera_code,
        "CONTRLLR": exposure.controller,
        "DAYOBS": str(exposure.day_obs),
        "SEQNUM": exposure.seq_num,
        "PROGRAM": "SIMULATION",
        "REASON": exposure.type.value,
        "CURINDEX": 1,
        "MAXINDEX": 1,
        "TSTAND": None,
        "IMAGETAG": hashlib.blake2b(f"{seed} {exposure.obs_id}".encode(), digest_size=8).hexdigest(),
        "OBSANNOT": "",
        "PLATFORM": platform,
        "DAQPART": partition,
        "DAQFOLD": "raw",
        "FILTBAND": band_of(exposure.physical_filter).name,
        "FILTER": exposure.physical_filter,
        "FILTPOS": None,
        "FILTSLOT": None,
        "EXPTIME": exposure.exposure_time,
        "DARKTIME": exposure.exposure_time,
        "SHUTTIME": exposure.exposure_time,
        "SEEING": None,
        "HEADVER": 2,
    }
    if on_auxtel:
        cards |= {"GRATING": "empty_1", "GRATBAND": "EMPTY"}
    names = _SIMULATED["AT" if on_auxtel else "MC"]
    return cards | {f"HIERARCH SIMULATE {name}": 1 for name in names}


def _pointing_cards(exposure: ExposurePlan, mjd: float, seed: int) -> Cards:
    on_sky = exposure.type is ImageType.SCIENCE
    random = generator(Use.POINTING, seed, exposure.instrument, exposure.id)
    p: Pointing = pointing_at(mjd, random)
    cards: Cards = {"RA": p.ra if on_sky else None, "DEC": p.dec if on_sky else None}
    for moment in ("START", "END"):
        cards |= {
            f"RA{moment}": p.ra if on_sky else None,
            f"DEC{moment}": p.dec if on_sky else None,
            f"HA{moment}": p.hour_angle if on_sky else None,
            f"EL{moment}": p.elevation,
            f"AZ{moment}": p.azimuth,
            f"AM{moment}": p.airmass if on_sky else None,
        }
    return cards | {
        "ROTPA": p.rotation if on_sky else None,
        "ROTCOORD": "sky" if on_sky else None,
        "TRACKSYS": "RADEC" if on_sky else "LOCAL",
        "RADESYS": "ICRS" if on_sky else None,
        "FOCUSZ": 0.0,
        "OBJECT": f"simulated_{exposure.seq_num}" if on_sky else exposure.type.value,
        "VIGNETTE": "NO" if on_sky else "FULLY",
        "VIGN_MIN": "NO" if on_sky else "FULLY",
    }


def raft_and_slot(detector: CameraDetector) -> tuple[str, str]:
    """Return the names of raft and slot as files have them; the one raft of LATISS is ``R00`` there."""
    return ("R00" if detector.raft == "RXX" else detector.raft), detector.slot


def file_name(exposure: ExposurePlan, detector: CameraDetector) -> str:
    """Return the name of a raw's file, like ``MC_S_20260315_000051_R22_S11.fits``."""
    return "_".join((exposure.obs_id, *raft_and_slot(detector))) + ".fits"


def _fixed_detector_cards(detector: CameraDetector, layout: Layout) -> Cards:
    raft, slot = raft_and_slot(detector)
    rows, columns = layout.shape
    if detector.vendor is Vendor.E2V:
        model = "CCD250"
    else:
        model = "4400" if detector.purpose is Purpose.WAVEFRONT else "3800C"
    cards: Cards = {} if layout.scale == 1.0 else {SCALE_CARD: layout.scale}
    return cards | {
        "DETSIZE": f"[1:{columns},1:{rows}]",
        "CCD_MANU": detector.vendor.value,
        "CCD_TYPE": model,
        "RAFTBAY": raft,
        "CCDSLOT": slot,
        "LSST_NUM": detector.serial,
        "CCD_SERN": detector.serial.rpartition("-")[2],
    }


def primary_header(shared: str, exposure: ExposurePlan, detector: CameraDetector, layout: Layout) -> bytes:
    """Return the primary HDU of a raw, blank-filled to whole blocks.

    Parameters
    ----------
    shared
        Cards of the exposure, as `card_text` gives them.
    exposure, detector, layout
        What the detector's own cards come from.
    """
    fixed = _fixed_detector_text(detector, layout)
    own = card_text({"FILENAME": file_name(exposure, detector)})
    return _block(_START + shared + own + fixed)


@functools.lru_cache(maxsize=512)
def _fixed_detector_text(detector: CameraDetector, layout: Layout) -> str:
    return card_text(_fixed_detector_cards(detector, layout))


def card_text(cards: Cards) -> str:
    """Return cards as FITS text, 80 characters each."""
    return "".join(str(astropy.io.fits.Card(keyword, value)) for keyword, value in cards.items())


def segment_cards(layout: Layout, segment: Segment) -> Cards:
    """Return the cards that say where an HDU's pixels lie, as the cameras write them.

    Their frame has the rows of cameraGeom's reversed, so ``DETSEC`` is not where `Segment` says.  ``DTV`` and
    ``DTM`` are the vector and matrix that take a pixel of the HDU to its place in that frame (place = DTM
    pixel + DTV, one-based), for the axes that are not flipped and those that are.

    Parameters
    ----------
    layout
        Geometry of the detector.
    segment
        The amplifier.
    """
    rows, columns = layout.shape
    x0, x1 = segment.column + 1, segment.column + layout.data_columns
    y0, y1 = rows - segment.row - layout.data_rows + 1, rows - segment.row
    reversed_y = not segment.flip_y
    x = f"{x1}:{x0}" if segment.flip_x else f"{x0}:{x1}"
    y = f"{y1}:{y0}" if reversed_y else f"{y0}:{y1}"
    first = layout.prescan + 1
    return {
        "CHANNEL": segment.channel,
        "EXTNAME": segment.name,
        "CCDSUM": "1 1",
        "DATASEC": f"[{first}:{first + layout.data_columns - 1},1:{layout.data_rows}]",
        "DETSEC": f"[{x},{y}]",
        "DETSIZE": f"[1:{columns},1:{rows}]",
        "DTV1": x1 + first if segment.flip_x else x0 - first,
        "DTV2": y1 + 1 if reversed_y else y0 - 1,
        "DTM1_1": -1.0 if segment.flip_x else 1.0,
        "DTM2_2": -1.0 if reversed_y else 1.0,
        "DTM1_2": 0.0,
        "DTM2_1": 0.0,
    }


@functools.lru_cache(maxsize=512)
def image_header(layout: Layout, segment: Segment) -> bytes:
    """Return the header of an image HDU that is not compressed, blank-filled to whole blocks."""
    rows, columns = layout.raw_shape
    structure: Cards = {
        "XTENSION": "IMAGE",
        "BITPIX": 32,
        "NAXIS": 2,
        "NAXIS1": columns,
        "NAXIS2": rows,
        "PCOUNT": 0,
        "GCOUNT": 1,
    }
    return _block(card_text(structure | segment_cards(layout, segment)))


def _block(text: str) -> bytes:
    text += "END".ljust(80)
    return text.ljust(-(-len(text) // 2880) * 2880).encode("ascii")


_START = card_text({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True})
