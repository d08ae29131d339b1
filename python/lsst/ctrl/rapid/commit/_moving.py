"""Files that become datasets: moved so that there is one of each whatever is killed meanwhile."""

from __future__ import annotations

__all__ = ("Transfer", "ingest", "remove_source")

import dataclasses
import filecmp
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lsst.daf.butler import FileDataset

from ..model import TransferMode

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Transfer:
    """A file that becomes a dataset, with an expanded data ID."""

    dataset: FileDataset
    mode: TransferMode


def ingest(how: Callable[..., None], transfers: Iterable[Transfer]) -> None:
    """Ingest files; those that are to be moved stay where they are, too, until `remove_source`.

    Parameters
    ----------
    how
        A butler's ``ingest``, or a datastore's.
    transfers
        The files.

    Notes
    -----
    A file that was moved into a datastore by a process that is killed before it commits, is where nobody
    looks for it again.
    """
    for mode, datasets in _by_mode(transfers).items():
        if mode != "move":
            how(*datasets, transfer=mode)
            continue
        try:
            how(*datasets, transfer="hardlink")
        except OSError:  # another file system, or one that has no links
            how(*datasets, transfer="copy")


def remove_source(source: Path, kept: Path) -> None:
    """Remove a file that was to be moved, now that it is registered where it is kept.

    Parameters
    ----------
    source
        Where it came from; it may be gone.
    kept
        The file that is registered.

    Notes
    -----
    A file of other content under the same data ID is left: it is not what is registered.
    """
    try:
        if os.path.realpath(source) == os.path.realpath(kept):
            return
        if source.samefile(kept) or filecmp.cmp(source, kept, shallow=False):
            source.unlink()
        else:
            _LOG.warning("%s is left: its raw is registered as %s, which is another file.", source, kept)
    except FileNotFoundError:
        return
    except OSError as err:
        _LOG.error("%s is registered as %s, and cannot be removed: %s.", source, kept, err.strerror)


def _by_mode(transfers: Iterable[Transfer]) -> Mapping[TransferMode, list[FileDataset]]:
    found: dict[TransferMode, list[FileDataset]] = defaultdict(list)
    for transfer in transfers:
        found[transfer.mode].append(transfer.dataset)
    return found
