"""How a new channel makes numbers of what it reads, and what it writes them as."""

from __future__ import annotations

__all__ = ("INPUT_KINDS", "OUTPUT_KINDS", "InputKind", "OutputKind")

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class InputKind:
    """A kind of dataset that a channel can read.

    Attributes
    ----------
    storage_classes
        Those that are of this kind; the first is the one to read it with, where `convert` is set.
    annotation
        Its type in Python.
    imports
        What must be imported for that.
    numbers
        Call that makes numbers of ``{x}``.
    helper
        Functions that this takes (see `part`).
    what
        What the numbers are, for docstrings.
    example
        Expression that makes one, for the unit test.
    builder
        Template of the function that this takes, or nothing.
    example_imports
        What must be imported for both.
    expected
        A quantity and its value, for the example.
    convert
        Whether it is read with the first storage class, rather than its own.
    readable
        Whether it can be read at all.
    """

    storage_classes: tuple[str, ...]
    annotation: str = "object"
    imports: tuple[str, ...] = ()
    numbers: str = "_of_anything({x})"
    helper: str = "anything"
    what: str = "whether it is there"
    example: str = "object()"
    builder: str = ""
    example_imports: tuple[str, ...] = ()
    expected: tuple[str, float] = ("there", 1.0)
    convert: bool = False
    readable: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class OutputKind:
    """A kind of dataset that a channel can write.

    Attributes
    ----------
    storage_class
        Its storage class.
    expression
        What makes it of ``numbers``.
    helper
        Functions that this takes (see `part`), or nothing.
    doc
        What it is, for the connection.
    found
        Expression for what is looked into in the unit test, of the output ``{x}``.
    check
        What is then true of ``found``, with ``{dataset}``, ``{quantity}`` and ``{value}``.
    """

    storage_class: str
    expression: str
    helper: str
    doc: str
    found: str
    check: str


_PIXELS = "how many pixels, their mean and percentiles"

INPUT_KINDS = (
    InputKind(
        ("RapidRaw",),
        annotation="RawImage",
        imports=("from lsst.ctrl.rapid.instruments import RawImage",),
        numbers="_of_raw({x}, self.config.percentiles)",
        helper="raw",
        what=_PIXELS,
        example="_raw(7)",
        builder="raw.py",
        example_imports=(
            "import numpy as np",
            "from lsst.ctrl.rapid.instruments import RawImage",
            "from lsst.ctrl.rapid.instruments import RawSegment",
            "from lsst.images import Box",
            "from lsst.images.cameras import Amplifier",
            "from lsst.images.cameras import ReadoutCorner",
        ),
        expected=("mean", 7.0),
    ),
    InputKind(
        ("ImageV2",),
        annotation="Image",
        imports=("from lsst.images import Image",),
        numbers="_of_pixels({x}.array, self.config.percentiles)",
        helper="pixels",
        what=_PIXELS,
        example="_image(7)",
        builder="image.py",
        example_imports=("import numpy as np", "from lsst.images import Image"),
        expected=("mean", 7.0),
    ),
    InputKind(
        ("MaskedImageV2",),
        annotation="MaskedImage",
        imports=("from lsst.images import MaskedImage",),
        numbers="_of_pixels({x}.image.array, self.config.percentiles)",
        helper="pixels",
        what=_PIXELS,
        example="_masked_image(7)",
        builder="masked_image.py",
        example_imports=(
            "import numpy as np",
            "from lsst.images import Image",
            "from lsst.images import MaskPlane",
            "from lsst.images import MaskSchema",
            "from lsst.images import MaskedImage",
        ),
        expected=("mean", 7.0),
    ),
    InputKind(
        ("ArrowAstropy", "ArrowTable", "ArrowNumpy", "DataFrame"),
        annotation="Table",
        imports=("from astropy.table import Table",),
        numbers="_of_table({x})",
        helper="rows",
        what="rows and columns",
        example='Table({"flux": [1.0, 2.0]})',
        example_imports=("from astropy.table import Table",),
        expected=("rows", 2.0),
        convert=True,
    ),
    InputKind(
        ("StructuredDataDict",),
        annotation="dict[str, Any]",
        imports=("from typing import Any",),
        numbers="_of_dictionary({x})",
        helper="dictionary",
        what="how many keys, and the values that are numbers",
        example='{"sky": 7.0, "unit": "electron"}',
        expected=("sky", 7.0),
    ),
    InputKind(("Plot",), readable=False),
    InputKind(()),
)
"""Kinds of input; the last is for all that is not known."""

OUTPUT_KINDS = (
    OutputKind(
        "StructuredDataDict",
        expression="numbers",
        helper="",
        doc="Numbers of each dataset that was read, by quantity.",
        found="{x}",
        check='found["{dataset}"]["{quantity}"] == {value}',
    ),
    OutputKind(
        "ArrowAstropy",
        expression="_table(numbers)",
        helper="table",
        doc="One row for each number of each dataset that was read.",
        found="[tuple(row) for row in {x}]",
        check='("{dataset}", "{quantity}", {value}) in found',
    ),
    OutputKind(
        "Plot",
        expression="_figure(numbers)",
        helper="figure",
        doc="Numbers of each dataset that was read, as bars.",
        found="[label.get_text() for label in {x}.axes[0].get_yticklabels()]",
        check='"{dataset}: {quantity}" in found',
    ),
)
"""Kinds of output; the first is the default."""
