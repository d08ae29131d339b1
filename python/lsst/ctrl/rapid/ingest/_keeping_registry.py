"""A registry to which an instrument can be registered that is there otherwise."""

from __future__ import annotations

__all__ = ("KeepingRegistry",)

from collections import defaultdict
from typing import Any

from lsst.daf.butler import Butler, DimensionRecord

from ..plan import sync_record


class KeepingRegistry:
    """The registry of a repository, where no record that is there is replaced or refused.

    Parameters
    ----------
    butler
        The repository.

    Attributes
    ----------
    kept
        By element, in words, the records that the registry has otherwise, and keeps.

    Notes
    -----
    `lsst.pipe.base.Instrument.register` registers all or nothing: one record that another version of a
    package wrote in another way would leave out the detectors and filters that are new.
    """

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self.kept: defaultdict[str, list[str]] = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        """Return what the registry itself has of that name."""
        return getattr(self._butler.registry, name)

    def syncDimensionData(  # noqa: N802 - upstream's name
        self,
        element: str,
        row: DimensionRecord | dict[str, Any],
        conform: bool = True,  # noqa: ARG002 - upstream's signature
        update: bool = False,  # noqa: ARG002
    ) -> bool:
        """Register a record, unless there is one of its key; returns whether it is new."""
        name = str(getattr(element, "name", element))
        record = row if isinstance(row, DimensionRecord) else self._butler.dimensions[name].RecordClass(**row)
        is_new, differing = sync_record(self._butler, record)
        if differing:
            self.kept[name].append(f"{record.dataId}: {differing}")
        return is_new
