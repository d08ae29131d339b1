"""Raws of any instrument whose class can be imported, by the interfaces that upstream's ingest uses."""

from __future__ import annotations

__all__ = ("ObsPackageReader", "recognised_name")

import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from astro_metadata_translator import MetadataTranslator, ObservationInfo
from astropy.time import Time

from lsst.daf.butler import DimensionRecord, DimensionUniverse, Formatter, FormatterV2
from lsst.pipe.base import Instrument

from ._hdus import scan_hdus
from ._header import RefusedError
from ._identity import RawIdentity, holds_stamps
from ._protocol import Header
from ._records import exposure_records, make_record
from ._visits import Visit

_LOG = logging.getLogger(__name__)

_NOON = 12 * 3600.0

_IDENTITY = {"instrument", "exposure_id", "detector_num", "observation_id"}
_COMPARED = (
    "observation_id",
    "observation_type",
    "physical_filter",
    "exposure_group",
    "exposure_time_requested",
    "object",
    "science_program",
)
"""What raws of one exposure say alike for any instrument; times may differ between detectors."""

_REQUIRED = _IDENTITY | {
    "datetime_begin", "datetime_end", "exposure_group", "exposure_time_requested", "group_counter_end",
    "group_counter_start", "has_simulated_content", "observation_type", "observing_day", "physical_filter",
}  # fmt: skip
_OPTIONAL = {
    "altaz_begin", "boresight_rotation_coord", "boresight_rotation_angle", "can_see_sky", "dark_time",
    "exposure_time", "object", "observation_counter", "observation_reason", "observing_day_offset",
    "science_program", "tracking_radec", "visit_id",
}  # fmt: skip
"""Properties from which upstream's ingest makes records; the others are not translated."""


def recognised_name(header: Header, path: Path) -> str | None:
    """Return the instrument that the translator of a header names; `None` if no translator takes it."""
    try:
        translator = MetadataTranslator.determine_translator(header, filename=str(path))
        return translator(header, filename=str(path)).to_instrument()
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


class ObsPackageReader:
    """Reads raws of an instrument through its `~lsst.pipe.base.Instrument` and its metadata translator.

    Parameters
    ----------
    instrument
        The instrument.

    Notes
    -----
    The translator is the one that takes the header among all that are registered, as in upstream's ingest;
    corrections of headers are applied.  Sidecar files are not read.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self.instrument = instrument.getName()
        self.raw_run = instrument.makeDefaultRawIngestRunName()

    def header(self, path: Path, primary: Header) -> Header:
        """Return the header that the translator selects for translation.

        Raises
        ------
        RefusedError
            If there are several: the file holds several detectors.
        """
        translator = MetadataTranslator.determine_translator(primary, filename=str(path))
        headers = list(translator.determine_translatable_headers(str(path), dict(primary)))
        if len(headers) != 1:
            raise RefusedError(
                f"it holds {len(headers)} raws of {self.instrument}, and files of one raw each are taken "
                "here; ingest it with 'butler ingest-raws', and process it with --watch butler or -d"
            )
        return headers[0]

    def identify(self, header: Header, path: Path) -> RawIdentity:
        """Return which exposure and detector a raw is."""
        if holds_stamps(header):
            raise RefusedError("its file holds the stamps of a guider, which are left aside")
        info = self._translated(header, path, _IDENTITY)
        assert info.instrument is not None, "It was required."
        assert info.exposure_id is not None, "It was required."
        assert info.detector_num is not None, "It was required."
        assert info.observation_id is not None, "It was required."
        return RawIdentity(info.instrument, info.exposure_id, info.detector_num, info.observation_id)

    def exposure_cards(self, header: Header, path: Path) -> Header:
        """Return translated properties on which all raws of one exposure must agree."""
        info = self._translated(header, path, {"observation_id"}, set(_COMPARED))
        found = {name: getattr(info, name) for name in _COMPARED}
        return {name: _plain(value) for name, value in found.items() if value is not None}

    def check_complete(self, path: Path, identity: RawIdentity) -> str:  # noqa: ARG002 - as the protocol has it
        """Check that a file ends where its headers say, and that it has data."""
        hdus = scan_hdus(path)
        if not any(hdu.data_size for hdu in hdus):
            raise RefusedError(f"{path.name} has no data, only headers.")
        return f"{hdus[-1].next_start:x}-" + "".join(f"{hdu.checksum:08x}" for hdu in hdus)

    def translate(self, header: Header, path: Path) -> ObservationInfo:
        """Translate a header."""
        info = self._translated(header, path, _REQUIRED, _OPTIONAL)
        for name in ("observation_id", "exposure_group", "physical_filter"):
            if not str(getattr(info, name)).isprintable():
                raise RefusedError(f"its {name} is {getattr(info, name)!r}; a name has no such characters")
        return info

    def exposure_records(
        self, info: ObservationInfo, universe: DimensionUniverse
    ) -> dict[str, DimensionRecord]:
        """Return the records of an exposure; the band of a filter is the one that its package defines."""
        records = exposure_records(info, universe)
        for definition in getattr(self._instrument, "filterDefinitions", None) or ():
            if definition.physical_filter == info.physical_filter:
                records["physical_filter"] = make_record(
                    universe,
                    "physical_filter",
                    instrument=self.instrument,
                    name=info.physical_filter,
                    band=definition.band or definition.physical_filter,
                )
        return records

    def make_visit(
        self,
        exposure: DimensionRecord,  # noqa: ARG002 - as the protocol has it
        universe: DimensionUniverse,  # noqa: ARG002
    ) -> Visit | None:
        """Return nothing: the geometry of other cameras is known to the full stack alone."""
        return None

    def formatter(self, detector: int) -> type[Formatter | FormatterV2]:
        """Return the instrument's formatter of raws."""
        return self._instrument.getRawFormatter({"instrument": self.instrument, "detector": detector})

    def day_offset(self, time: float) -> float:
        """Return the offset that the instrument's translator class has; noon if the class is not known."""
        translator: type[MetadataTranslator] | None = getattr(self._instrument, "translatorClass", None)
        if translator is None:
            return _NOON
        offset = translator.observing_date_to_offset(Time(time, format="unix", scale="utc"))
        return 0.0 if offset is None else float(offset.to_value("s"))

    def _translated(
        self,
        header: Header,
        path: Path,
        required: set[str],
        optional: set[str] = frozenset(),  # type: ignore[assignment]
    ) -> ObservationInfo:
        # Corrections change the header that they are given.
        cards: MutableMapping[str, Any] = dict(header)
        try:
            return ObservationInfo(
                cards, filename=str(path), required=required, subset={*required, *optional}, quiet=True
            )
        except (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError) as err:
            what = err.args[0] if err.args else type(err).__name__
            raise RefusedError(f"its header cannot be translated as {self.instrument}'s: {what}") from err


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else float(value.to_value("s"))
