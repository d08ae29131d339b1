"""Raws that tests write themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from support.small_raws import E2V, FULL, HALF, ITL, primary, segments


@pytest.fixture
def header() -> Callable[..., dict[str, Any]]:
    """Return a function that makes the primary header of an LSSTCam science raw, with cards changed."""

    def make(**cards: Any) -> dict[str, Any]:
        return {
            key: value for key, value in primary(**cards).header.items() if key not in ("SIMPLE", "NAXIS")
        }

    return make


@pytest.fixture
def write_raw(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small raw."""

    def write(
        name: str = "raw.fits",
        *,
        vendor: str = "E2V",
        half: bool = False,
        edit: Callable[[list[Any]], None] | None = None,
        **cards: Any,
    ) -> Path:
        sizes = E2V if vendor == "E2V" else ITL
        hdus: list[Any] = [
            primary(**cards),
            *segments(sizes, HALF if half else FULL, mirrored=vendor == "ITL"),
        ]
        hdus.append(fits.BinTableHDU.from_columns([], name="REB_COND"))
        if edit is not None:
            edit(hdus)
        path = tmp_path / name
        fits.HDUList(hdus).writeto(path)
        return path

    return write
