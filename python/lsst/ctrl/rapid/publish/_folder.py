"""Products for people, copied to a folder under names that a person understands."""

from __future__ import annotations

__all__ = ("FolderPublisher",)

import re
import shutil
from pathlib import Path

from ..model import Shard
from ..monitor import whole_file


class FolderPublisher:
    """Copies files of products to ``folder/day_obs/dataset_type/``.

    Parameters
    ----------
    folder
        Where to.

    Notes
    -----
    A reader sees a whole file or none; publishing twice leaves one file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self, shard: Shard, day_obs: int, dataset_type: str, source: Path) -> Path:
        """Copy a product.

        Returns
        -------
        path
            The copy, named ``instrument_exposure[_detector]_dataset_type`` with the source's suffix; where it
            is of a day, that is in place of the exposure.

        Raises
        ------
        OSError
            If it cannot be copied; nothing is left of it.
        """
        detector = "" if shard.detector is None else f"_det{shard.detector:03d}"
        of = shard.exposure if shard.day_obs is None else shard.day_obs
        name = f"{shard.instrument}_{of}{detector}_{dataset_type}{source.suffix}"
        path = self.folder / str(day_obs) / _plain(dataset_type) / _plain(name)
        with whole_file(path) as temporary:
            shutil.copyfile(source, temporary)
        return path


def _plain(name: str) -> str:
    """Return a name as a file here can have it, whatever a repository calls its instruments."""
    return re.sub(r"[^\w.+=@-]|^\.", "_", name)
