"""Corrections of the headers of single exposures, which a site keeps in folders."""

from __future__ import annotations

__all__ = ("CORRECTIONS_FOLDER", "correct", "correction_folders")

import functools
import importlib.resources
import os
import time
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ._raw import HeaderValue
from ._stack import has_full_stack

CORRECTIONS_FOLDER = Path(__file__).with_name("corrections")
"""Corrections that come with this package."""

_VARIABLE = "METADATA_CORRECTIONS_PATH"
_SECONDS_KEPT = 10
"""How long it is remembered what corrects an exposure, or that nothing does."""

_EXPOSURES_KEPT = 256


def correction_folders() -> tuple[Path, ...]:
    """Return the folders that ``METADATA_CORRECTIONS_PATH`` names, in the order of search."""
    return _folders(os.environ.get(_VARIABLE, ""))[:-1]


def correct(header: Mapping[str, HeaderValue], instrument: str, obs_id: str) -> Mapping[str, HeaderValue]:
    """Return a header with the corrections of its exposure.

    Parameters
    ----------
    header
        Primary header; it is not changed.
    instrument
        Name of the instrument in the registry.
    obs_id
        Name of the exposure, as the header itself has it.

    Returns
    -------
    corrected
        The header itself where there is no correction.

    Notes
    -----
    These are the corrections that `astro_metadata_translator.fix_header` applies before the rules of a
    translator: the first mapping in a file ``{instrument}-{obs_id}.yaml`` in the folders of
    ``METADATA_CORRECTIONS_PATH``, then in those that come with the translators.  Every raw of an exposure is
    identified with them, so what a folder has is read again after some seconds only.
    """
    if "/" in obs_id:
        return header
    now = int(time.monotonic() / _SECONDS_KEPT)
    found = _read(os.environ.get(_VARIABLE, ""), f"{instrument}-{obs_id}.yaml", now)
    return ChainMap(found, header) if found else header  # type: ignore[arg-type]  # never written to


def _folders(paths: str) -> tuple[Path, ...]:
    """Return the folders of a path variable, and last the one that comes with the translators."""
    packaged = CORRECTIONS_FOLDER
    if has_full_stack():
        packaged = Path(str(importlib.resources.files("lsst.obs.lsst"))) / "resources" / "corrections"
    return (*(Path(name) for name in paths.split(os.pathsep) if name), packaged)


@functools.lru_cache(maxsize=_EXPOSURES_KEPT)
def _read(paths: str, name: str, _when: int) -> dict[str, Any]:
    for folder in _folders(paths):
        try:
            content = yaml.safe_load((folder / name).read_bytes())
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(content, Mapping):
            return dict(content)
    return {}
