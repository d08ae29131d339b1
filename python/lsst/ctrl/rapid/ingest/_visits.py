"""Who defines the visits of exposures that arrive."""

from __future__ import annotations

__all__ = ("NoVisits", "ReaderVisits", "VisitDefiner")

from collections.abc import Iterable, Mapping
from typing import Protocol

from lsst.daf.butler import DimensionRecord

from ..instruments import RawReader, Visit
from ..plan import RecordStore


class VisitDefiner(Protocol):
    """Defines the visit of an exposure, in memory."""

    def prepare(self, readers: Iterable[RawReader]) -> None:
        """Import and read beforehand what instruments need."""

    def close(self) -> None:
        """Release what was read, in the thread that has used it; nothing is defined afterwards."""

    def define(
        self, reader: RawReader, records: Mapping[str, DimensionRecord], store: RecordStore
    ) -> Visit | None:
        """Return the visit of an exposure; `None` if it has none, or others are to define it.

        Parameters
        ----------
        reader
            What reads raws of its instrument.
        records
            The records of the exposure, by element.
        store
            The records that do not change with every exposure.
        """


class NoVisits:
    """Leaves visits to others, like ``butler define-visits``."""

    def prepare(self, readers: Iterable[RawReader]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def define(
        self,
        reader: RawReader,  # noqa: ARG002 - as the protocol has it
        records: Mapping[str, DimensionRecord],  # noqa: ARG002
        store: RecordStore,  # noqa: ARG002
    ) -> Visit | None:
        """Return nothing."""
        return None


class ReaderVisits:
    """Defines visits where the reader of the instrument knows the geometry: the LSSTCam family."""

    def prepare(self, readers: Iterable[RawReader]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def define(
        self, reader: RawReader, records: Mapping[str, DimensionRecord], store: RecordStore
    ) -> Visit | None:
        """Return the visit that the reader makes."""
        return reader.make_visit(records["exposure"], store.universe)
