"""Where amplifiers lie in an assembled detector: facts of cameraGeom, without any code of the package.

In LSSTCam and its kin ``C10`` to ``C17`` are the upper row of a detector from left to right and ``C00`` to
``C07`` the lower one.  Assembly reverses rows and columns of the upper row; of the lower row it reverses the
columns of ITL detectors alone.  Half a wavefront sensor has only ``C10`` to ``C17``, from right to left.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def place(name: str, *, itl: bool, half: bool) -> tuple[int, int, int, int]:
    """Return row and column of an amplifier in its detector's grid, and the steps of its rows and columns."""
    upper, number = name[-2] == "1", int(name[-1])
    if half:
        return 0, 7 - number, -1, -1
    return int(upper), number, -1 if upper else 1, -1 if upper or itl else 1


def assemble(data: Mapping[str, np.ndarray], *, itl: bool) -> np.ndarray:
    """Put the imaging areas of a detector's amplifiers, as they are stored, together.

    Parameters
    ----------
    data
        Pixels by name of the amplifier or of its HDU; eight of them are a half of a wavefront sensor.
    itl
        Whether the detector is one of ITL.
    """
    rows, columns = next(iter(data.values())).shape
    half = len(data) == 8
    image = np.full(((1 if half else 2) * rows, 8 * columns), np.nan)
    for name, pixels in data.items():
        row, column, y_step, x_step = place(name, itl=itl, half=half)
        image[row * rows :, column * columns :][:rows, :columns] = pixels[::y_step, ::x_step]
    assert np.isfinite(image).all(), "the amplifiers leave a gap"
    return image
