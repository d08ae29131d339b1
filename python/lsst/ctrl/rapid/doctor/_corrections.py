"""Corrections of the headers of raws, which a site keeps in folders."""

from __future__ import annotations

__all__ = ("look_at_corrections",)

from collections.abc import Iterator

from ..instruments import correction_folders
from ._finding import Finding, fault, fine, warning
from ._place import Place


def look_at_corrections(place: Place) -> Iterator[Finding]:  # noqa: ARG001 - it is the same everywhere
    """See which corrections of headers are in force."""
    folders = correction_folders()
    if not folders:
        yield fine("METADATA_CORRECTIONS_PATH is not set: headers are corrected by the built-in rules alone")
    for folder in folders:
        try:
            count = sum(1 for file in folder.iterdir() if file.suffix == ".yaml")
        except OSError as err:
            yield fault(
                f"METADATA_CORRECTIONS_PATH names {folder}, which cannot be read: {err.strerror}",
                "set it to the folders that hold the corrections, or unset it",
            )
            continue
        if count:
            yield fine(f"{folder} corrects the headers of {count} exposures")
        else:
            yield warning(
                f"{folder}, which METADATA_CORRECTIONS_PATH names, holds no correction",
                "its files are named like LSSTCam-MC_O_20251121_000156.yaml",
            )
