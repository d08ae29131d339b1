"""Functions that are copied into new channels, as they are here."""

from __future__ import annotations

__all__ = ("part",)

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ...instruments import RawImage


def _of_pixels(pixels: np.ndarray[Any, Any], percentiles: Sequence[float]) -> dict[str, float]:
    """Return numbers on the pixels that are finite."""
    usable = pixels[np.isfinite(pixels)]
    numbers = {"pixels": float(pixels.size), "usable": float(usable.size)}
    if usable.size:
        numbers["mean"] = float(usable.mean())
        for percentile in percentiles:
            numbers[f"percentile_{percentile:g}"] = float(np.percentile(usable, percentile))
    return numbers


def _of_raw(raw: RawImage, percentiles: Sequence[float]) -> dict[str, float]:
    """Return numbers on all pixels that were read out, overscan included."""
    pixels = np.concatenate([segment.array.ravel() for segment in raw.segments])
    return _of_pixels(pixels, percentiles)


def _of_dictionary(dictionary: Mapping[str, Any]) -> dict[str, float]:
    """Return how many keys there are, and the values that are numbers."""
    values = {key: value for key, value in dictionary.items() if isinstance(value, (int, float))}
    return {"keys": float(len(dictionary))} | {key: float(value) for key, value in values.items()}


def _of_table(table: Table) -> dict[str, float]:
    """Return how many rows and columns there are."""
    return {"rows": float(len(table)), "columns": float(len(table.colnames))}


def _of_anything(dataset: object) -> dict[str, float]:
    """Return whether there is something."""
    return {"there": float(dataset is not None)}


def _table(numbers: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a row for each number."""
    rows = [(dataset, name, value) for dataset, found in numbers.items() for name, value in found.items()]
    return Table(rows=rows, names=("dataset", "quantity", "value"), dtype=(str, str, float))


def _figure(numbers: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw a bar for each number."""
    bars = {
        f"{dataset}: {name}": value for dataset, found in numbers.items() for name, value in found.items()
    }
    figure = Figure(figsize=(8.0, 2.0 + 0.2 * len(bars)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(bars), list(bars.values()))
    axes.set_xscale("symlog")
    return figure


_SEQUENCE = "from collections.abc import Sequence"
_MAPPING = "from collections.abc import Mapping"
_ANY = "from typing import Any"
_NUMPY = "import numpy as np"
_RAW = "from lsst.ctrl.rapid.instruments import RawImage"
_ASTROPY = "from astropy.table import Table"
_FIGURE = "from matplotlib.figure import Figure"

_PARTS: Mapping[str, tuple[Sequence[Callable[..., Any]], Sequence[str]]] = {
    "raw": ([_of_raw, _of_pixels], [_SEQUENCE, _ANY, _NUMPY, _RAW]),
    "pixels": ([_of_pixels], [_SEQUENCE, _ANY, _NUMPY]),
    "rows": ([_of_table], [_ASTROPY]),
    "dictionary": ([_of_dictionary], [_MAPPING, _ANY]),
    "anything": ([_of_anything], []),
    "table": ([_table], [_MAPPING, _ASTROPY]),
    "figure": ([_figure], [_MAPPING, _FIGURE]),
}


def part(name: str) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return the functions of a part as source text by name, and the import statements that they need."""
    functions, imports = _PARTS[name]
    return {function.__name__: inspect.getsource(function) for function in functions}, imports
