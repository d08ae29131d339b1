"""Calibrations and RUNs of an earlier version, whose detectors have their rows reversed."""

from __future__ import annotations

__all__ = ("check_calibration_frames", "check_run_frames")

import logging
import re
from collections.abc import Container, Iterable

from lsst.daf.butler import Butler, ButlerConfig, CollectionType, DatasetRef
from lsst.images import GeneralizedImage

from .._frame import FRAME_KEY, PIXEL_FRAME, RUN_DOC
from ..model import InputError
from ..plan import run_parts

_LOG = logging.getLogger(__name__)

_RUN = re.compile(r"(partial/)?\d{8}/.+-[0-9a-f]{8}")
"""What `run_name` makes, below an output or its chain of partial gathers."""


def check_calibration_frames(butler: Butler, repository: str, refs: Iterable[DatasetRef]) -> None:
    """Refuse calibrations in another pixel frame.

    Parameters
    ----------
    butler
        The repository.
    repository
        Its root or configuration.
    refs
        All certified calibrations of a run.

    Raises
    ------
    InputError
        If an image is in another frame; the message names the RUN and what to do.

    Notes
    -----
    One image of each type and RUN is read; the shard that needs it reports one that cannot be read.  An image
    that does not name its frame is in that of its repository: the one in ``butler.yaml``, reversed rows where
    version 0.1 made the repository, else cameraGeom's, as everything that the LSST Science Pipelines write.
    """
    samples = {(ref.run, ref.datasetType.name): ref for ref in refs if _is_image(ref)}
    if not samples:
        return
    default = _default_frame(repository)
    for (run, name), ref in sorted(samples.items()):
        try:
            frame = butler.get(ref).metadata.get(FRAME_KEY, default)
        except (LookupError, OSError, RuntimeError, ValueError) as err:
            _LOG.debug("The frame of the %s images in RUN %s is unknown: %s", name, run, err)
            continue
        if frame != PIXEL_FRAME:
            raise InputError(
                f"{repository}: the {name} images in RUN {run} have the rows of each detector reversed, as "
                "version 0.1 wrote them; certify calibrations in the frame of cameraGeom, or use a new "
                "repository (a new --work-dir makes one with calibrations)."
            )


def check_run_frames(butler: Butler, output: str, hashes: Container[str]) -> None:
    """Refuse an output that has RUNs in another pixel frame.

    Parameters
    ----------
    butler
        The repository.
    output
        The output chain.
    hashes
        Of the pipelines of a run: their RUNs are in this version's frame, which is part of the hash.

    Raises
    ------
    InputError
        If one of its RUNs is in another frame; the message names it.
    """
    for info in butler.collections.query_info(
        f"{output}/*", collection_types=CollectionType.RUN, include_doc=True
    ):
        if _RUN.fullmatch(info.name.removeprefix(f"{output}/")) is None or run_parts(info.name)[1] in hashes:
            continue
        if info.doc != RUN_DOC:
            raise InputError(
                f"-o/--output: RUN {info.name} has the rows of each detector reversed, as version 0.1 wrote "
                "them: name another output. What is there can still be read."
            )


def _is_image(ref: DatasetRef) -> bool:
    try:
        return issubclass(ref.datasetType.storageClass.pytype, GeneralizedImage)
    except ImportError:  # a class of the stack, which is in its frame
        return False


def _default_frame(repository: str) -> str:
    """Return the frame of images that do not name theirs."""
    config = ButlerConfig(repository)
    if f".rapid.{FRAME_KEY}" in config:
        return str(config[f".rapid.{FRAME_KEY}"])
    return "reversed rows" if ".storageClasses.RapidRaw" in config else PIXEL_FRAME
