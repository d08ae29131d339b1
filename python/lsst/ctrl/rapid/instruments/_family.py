"""Raws of the LSSTCam family without afw."""

from __future__ import annotations

__all__ = ("FamilyReader",)

from pathlib import Path

from astro_metadata_translator import ObservationInfo

from lsst.daf.butler import DimensionRecord, DimensionUniverse, Formatter, FormatterV2
from lsst.pipe.base import Instrument

from ._complete import check_complete
from ._formatter import RawFormatter
from ._identity import RawIdentity, exposure_cards, identify
from ._protocol import Header
from ._records import exposure_records
from ._translators import translate
from ._visits import Visit, make_visit

_SUMMIT_OFFSET = 12 * 3600.0


class FamilyReader:
    """Reads raws of one of the cameras of the LSSTCam family, for repositories whose raws are `RawImage`.

    Parameters
    ----------
    instrument
        Our own class of the instrument.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument.getName()
        self.raw_run = instrument.makeDefaultRawIngestRunName()

    def header(self, path: Path, primary: Header) -> Header:  # noqa: ARG002 - as the protocol has it
        """Return the primary header."""
        return primary

    def identify(self, header: Header, path: Path) -> RawIdentity:  # noqa: ARG002
        """Return which exposure and detector a raw is."""
        return identify(header)

    def exposure_cards(self, header: Header, path: Path) -> Header:  # noqa: ARG002
        """Return the cards on which all raws of one exposure must agree."""
        return exposure_cards(header)

    def check_complete(self, path: Path, identity: RawIdentity) -> str:
        """Check that a file is whole and that its segments are those of the detector."""
        return check_complete(path, instrument=identity.instrument, detector=identity.detector)

    def translate(self, header: Header, path: Path) -> ObservationInfo:
        """Translate a header, by the full stack's translators where they can be imported."""
        return translate(header, str(path))

    def exposure_records(
        self, info: ObservationInfo, universe: DimensionUniverse
    ) -> dict[str, DimensionRecord]:
        """Return the records of an exposure."""
        return exposure_records(info, universe)

    def make_visit(self, exposure: DimensionRecord, universe: DimensionUniverse) -> Visit | None:
        """Return the visit of an exposure of the sky, from the tables of the camera."""
        return make_visit(exposure, universe)

    def formatter(self, detector: int) -> type[Formatter | FormatterV2]:  # noqa: ARG002
        """Return what reads raws as `RawImage`."""
        return RawFormatter

    def day_offset(self, time: float) -> float:  # noqa: ARG002
        """Return noon: on the mountain an observing day is UTC-12 h."""
        return _SUMMIT_OFFSET
