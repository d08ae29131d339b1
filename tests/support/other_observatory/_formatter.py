"""What reads raws."""

from __future__ import annotations

from typing import Any, ClassVar

import astropy.io.fits
import numpy as np
from lsst.daf.butler import FormatterV2


class HillCamFormatter(FormatterV2):
    can_read_from_local_file: ClassVar[bool] = True
    default_extension: ClassVar[str | None] = ".fits"
    supported_extensions: ClassVar[frozenset[str]] = frozenset({".fits", ".fits.fz"})

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        with astropy.io.fits.open(path) as hdus:
            data = hdus[0].data if hdus[0].data is not None else hdus[1].data
            return np.array(data, dtype=np.float32)
