"""What the executor asks of an instrument whose raws it takes."""

from __future__ import annotations

__all__ = ("Header", "RawReader")

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from astro_metadata_translator import ObservationInfo

from lsst.daf.butler import DimensionRecord, DimensionUniverse, Formatter, FormatterV2

from ._identity import RawIdentity
from ._raw import HeaderValue
from ._visits import Visit

type Header = Mapping[str, HeaderValue]
"""Values of a header by keyword."""


class RawReader(Protocol):
    """Reads what the files of one instrument say of their exposure.

    Notes
    -----
    A method that is given a header or a file raises `RefusedError` where it is no raw that can be processed.
    None of them queries a database.
    """

    @property
    def instrument(self) -> str:
        """Name of the instrument in the registry."""

    @property
    def raw_run(self) -> str:
        """RUN of its raws."""

    def header(self, path: Path, primary: Header) -> Header:
        """Return the header that describes a raw, given the one by which its instrument was recognised."""

    def identify(self, header: Header, path: Path) -> RawIdentity:
        """Return which exposure and detector a raw is."""

    def exposure_cards(self, header: Header, path: Path) -> Header:
        """Return what all raws of one exposure must agree on, to detect contradictions."""

    def check_complete(self, path: Path, identity: RawIdentity) -> str:
        """Check that a file is whole; returns text that differs for files of different size or headers."""

    def translate(self, header: Header, path: Path) -> ObservationInfo:
        """Translate a header."""

    def exposure_records(
        self, info: ObservationInfo, universe: DimensionUniverse
    ) -> dict[str, DimensionRecord]:
        """Return the ``day_obs``, ``group``, ``physical_filter`` and ``exposure`` records of an exposure."""

    def make_visit(self, exposure: DimensionRecord, universe: DimensionUniverse) -> Visit | None:
        """Return the visit of an exposure; `None` if it has none, or the geometry is not known here."""

    def formatter(self, detector: int) -> type[Formatter | FormatterV2]:
        """Return what reads the raws of a detector."""

    def day_offset(self, time: float) -> float:
        """Return how long after midnight (UTC) an observing day begins, seconds, at some time (UNIX)."""
