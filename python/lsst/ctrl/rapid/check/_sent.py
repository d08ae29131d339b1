"""What was sent: by a manifest, or by what lies in a landing folder."""

from __future__ import annotations

__all__ = ("RawKey", "SentFile", "place_of", "read_sent")

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pydantic

from ..model import AnnouncedFile, InputError

type RawKey = tuple[str, int, int]
"""Instrument, exposure and detector."""

_RAW_SUFFIXES = (".fits", ".fits.fz", ".fits.gz", ".fz")
"""As the operator's guide has it; files of other names are left aside by the executor."""


@dataclasses.dataclass(slots=True)
class SentFile:
    """A file that reached a watched place, or was announced.

    Attributes
    ----------
    key
        Its data ID, as far as a manifest tells.
    announced
        How often a manifest tells of it.
    visible
        Whether it is there now.
    """

    key: RawKey | None = None
    announced: int = 0
    visible: bool = False


@functools.lru_cache(maxsize=10_000)
def _folder(path: str) -> str:
    return os.path.realpath(path)


def place_of(path: str) -> str:
    """Return the one name by which a file is known here, whichever links lead to its folder."""
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 -- hundreds of thousands of them
    return os.path.join(_folder(folder), name)  # noqa: PTH118 -- as above


def read_sent(manifests: Iterable[Path], landing: Iterable[Path]) -> dict[str, SentFile]:
    """Return everything that was sent, by its place.

    Parameters
    ----------
    manifests
        Files with a line for each file that was about to become visible (`AnnouncedFile`).
    landing
        Folders where files land.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If a manifest or a folder cannot be read.
    """
    found: dict[str, SentFile] = {}
    for manifest in manifests:
        for line in _announced(manifest):
            sent = found.setdefault(place_of(line.path), SentFile())
            sent.announced += 1
            if line.instrument is not None and line.exposure is not None and line.detector is not None:
                sent.key = line.instrument, line.exposure, line.detector
    for folder in landing:
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such landing folder.")
        for path in _raws_in(folder):
            found.setdefault(place_of(path), SentFile()).visible = True
    for place, sent in found.items():
        sent.visible = sent.visible or os.path.isfile(place)  # noqa: PTH113 -- as above
    return found


def _announced(manifest: Path) -> Iterator[AnnouncedFile]:
    try:
        text = manifest.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{manifest}: the manifest cannot be read: {err}.") from None
    whole, _, _ = text.rpartition("\n")  # the last line is cut off if its writer was killed within it
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            yield AnnouncedFile.model_validate_json(line)
        except pydantic.ValidationError as err:
            fault = err.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the line"
            raise InputError(
                f"{manifest}, line {number}: {where}: {fault['msg']}; a manifest is what "
                "'rapid-exec simulate --manifest' writes."
            ) from None


def _raws_in(folder: Path) -> Iterator[str]:
    for root, directories, names in os.walk(folder):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or not name.lower().endswith(_RAW_SUFFIXES):
                continue
            path = os.path.join(root, name)  # noqa: PTH118 -- hundreds of thousands of them
            if os.path.isfile(path):  # noqa: PTH113 -- as above
                yield path
