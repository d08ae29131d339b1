"""The butler's way to raws."""

from __future__ import annotations

__all__ = ("RawFormatter",)

from collections.abc import Set
from typing import Any, ClassVar, NoReturn

from lsst.daf.butler import FormatterV2
from lsst.resources import ResourcePath

from ._header import read_primary_header
from ._reader import read_raw


class RawFormatter(FormatterV2):
    """Reads raws of the LSSTCam family as `RawImage`; they are never written.

    Notes
    -----
    The component ``header`` is the primary header as a `dict`, for which no pixel is read.
    """

    can_read_from_local_file: ClassVar[bool] = True
    default_extension: ClassVar[str | None] = ".fits"
    supported_extensions: ClassVar[Set[str]] = frozenset({".fits", ".fits.fz", ".fits.gz", ".fz", ".gz"})

    def read_from_local_file(
        self,
        path: str,
        component: str | None = None,
        expected_size: int = -1,  # noqa: ARG002 - upstream's signature
    ) -> Any:
        """Return the raw, or one component of it.

        Raises
        ------
        ValueError
            If the file is not a raw of this detector.
        """
        if component == "header":
            return read_primary_header(path)
        instrument, detector = self.data_id["instrument"], self.data_id["detector"]
        return read_raw(path, instrument=str(instrument), detector=int(detector))

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> NoReturn:
        """Refuse to write.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(f"A raw is ingested as the camera wrote it, never written ({uri}).")
