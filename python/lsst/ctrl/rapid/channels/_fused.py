"""One pass over the pixels of an amplifier, compiled."""

from __future__ import annotations

__all__ = ("compile_channels", "reduce_amplifier")

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

type _Array = np.ndarray[Any, Any]


def compile_channels() -> None:
    """Compile now what the channels would compile when they first run; a process may be forked then.

    Notes
    -----
    What is compiled is kept on disk, beside this file or in the user's cache: it takes two seconds the first
    time, half a second in another process later.
    """
    plane, row = np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    reduce_amplifier(
        plane,
        plane.copy(),
        np.zeros((1, 1), np.uint8),
        np.zeros((1, 1), np.int32),
        row,
        plane,
        plane,
        plane,
        (0, 0),
        (0, 0),
        (1, 1),
        (False, False),
        np.ones(7, np.float32),
        (np.uint8(1), np.uint8(2)),
    )


def reduce_amplifier(*args: Any) -> None:
    """Reduce an amplifier into its place; the arguments are those of ``_reduce_amplifier``.

    Notes
    -----
    numba is imported when it is needed: that takes longer than a task that does without it.
    """
    _compiled()(*args)


@functools.cache
def _compiled() -> Callable[..., None]:
    import numba

    try:
        return numba.njit(cache=True, error_model="numpy")(_reduce_amplifier)
    except RuntimeError:  # there is no folder that can be written
        return numba.njit(error_model="numpy")(_reduce_amplifier)


def _reduce_amplifier(
    image: _Array,
    variance: _Array,
    mask: _Array,
    pixels: _Array,
    level: _Array,
    bias: _Array,
    dark: _Array,
    flat: _Array,
    place: tuple[int, int],
    data: tuple[int, int],
    size: tuple[int, int],
    flipped: tuple[bool, bool],
    values: _Array,
    bits: tuple[int, int],
) -> None:
    """Reduce an amplifier.

    Parameters
    ----------
    image, variance, mask
        Planes of the detector, which are written; float32 and uint8.
    pixels
        The amplifier's segment, ADU, int32.
    level
        Zero level of each row of data, ADU, float32.
    bias, dark, flat
        Of the detector's shape, or with one row that serves for all; float32.  Bias and dark may be in ADU or
        in electrons.
    place
        Row and column of the amplifier in the detector.
    data
        First row and column of the data section in the segment.
    size
        Rows and columns of it.
    flipped
        Whether its rows, and its columns, lie the other way in the detector.
    values
        Gain, dark current's factor (gain times seconds where it is in ADU), squared read noise, saturation,
        greatest dark current (in the dark's unit), least response, ADU for a unit of the bias; float32.
    bits
        Of a bad and of a saturated pixel.

    Notes
    -----
    All is float32, in the order of `QuickIsrTask`'s formulas.  Each row is first set straight, then corrected
    in a loop without branches: both of a form that the compiler turns into vector instructions.
    """
    rows, columns = size
    gain, dark_gain, noise, saturation, max_dark, min_flat, bias_in_adu = values
    zero, one, infinite = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    bad_bit, saturated_bit = np.uint8(bits[0]), np.uint8(bits[1])
    signal = np.empty(columns, np.float32)
    for row in range(rows):
        stored = rows - 1 - row if flipped[0] else row
        source = pixels[data[0] + stored, data[1] : data[1] + columns]
        base = level[stored]
        if flipped[1]:
            for x in range(columns):
                signal[x] = np.float32(source[columns - 1 - x]) - base
        else:
            for x in range(columns):
                signal[x] = np.float32(source[x]) - base
        y, first, last = place[0] + row, place[1], place[1] + columns
        biases = bias[y if bias.shape[0] > 1 else 0, first:last]
        darks = dark[y if dark.shape[0] > 1 else 0, first:last]
        flats = flat[y if flat.shape[0] > 1 else 0, first:last]
        images, variances, masks = image[y, first:last], variance[y, first:last], mask[y, first:last]
        for x in range(columns):
            b, d, f = biases[x], darks[x], flats[x]
            b_usable, d_usable = abs(b) < infinite, abs(d) < infinite
            f_usable = (f >= min_flat) & (abs(f) < infinite)
            bad = (not b_usable) | (not d_usable) | (d > max_dark) | (not f_usable)
            b, d, f = b if b_usable else zero, d if d_usable else zero, f if f_usable else one
            electrons = (signal[x] - b * bias_in_adu) * gain
            images[x] = (electrons - d * dark_gain) / f
            variances[x] = ((electrons if electrons > zero else zero) + noise) / (f * f)
            masks[x] = np.uint8(bad) * bad_bit | np.uint8(signal[x] >= saturation) * saturated_bit
