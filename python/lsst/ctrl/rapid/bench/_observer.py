"""Somebody else: a process that reads from the central repositories what peers have written."""

from __future__ import annotations

__all__ = ("Observer",)

import time
from collections.abc import Sequence

from lsst.daf.butler import Butler, DatasetRef
from lsst.pipe.base import Pipeline

from ._peers._child import Child, obey
from ._raws import INSTRUMENT, TinyRaw, expected_mean
from ._site import Repository, pipeline_file


class Observer:
    """A process with a warm butler of each repository, which none of the peers is part of."""

    def __init__(self) -> None:
        self._child = Child("observer", obey, _Reader)

    def start(self, repositories: Sequence[Repository]) -> None:
        """Wait until it is warm, and have it open repositories."""
        self._child.receive()
        for repository in repositories:
            self._child.call("open", repository)

    def read(self, repository: Repository, run: str, raws: Sequence[TinyRaw]) -> float:
        """Read what was made of an exposure's raws, which must all be there.

        Returns
        -------
        moment
            When it had found all registered and had the last of them in memory: `time.monotonic`, which is
            the same for all processes.

        Raises
        ------
        RuntimeError
            If something is missing.
        """
        moment: float = self._child.call("read", repository, run, list(raws))
        return moment

    def check(self, repository: Repository, run: str, raws: Sequence[TinyRaw]) -> None:
        """Read all products and compare them with what they must be.

        Raises
        ------
        RuntimeError
            If one cannot be read, or is wrong.
        """
        self._child.call("check", repository, run, list(raws))

    def close(self) -> None:
        """End it."""
        self._child.close()


class _Reader:
    """What lives in the process."""

    def __init__(self) -> None:
        self._butlers: dict[tuple[str, str], Butler] = {}
        graph = Pipeline.from_uri(str(pipeline_file())).to_graph()
        self._types = [
            edge.parent_dataset_type_name for node in graph.tasks.values() for edge in node.iter_all_outputs()
        ]

    def open(self, repository: Repository) -> None:
        self._butlers[repository.database, repository.name] = repository.open()

    def read(self, repository: Repository, run: str, raws: Sequence[TinyRaw]) -> float:
        butler = self._butlers[repository.database, repository.name]
        last = max(
            (ref for name in self._types for ref in _all_of(butler, name, run, raws)), key=lambda ref: ref.id
        )
        butler.get(last)
        return time.monotonic()

    def check(self, repository: Repository, run: str, raws: Sequence[TinyRaw]) -> None:
        butler = self._butlers[repository.database, repository.name]
        wanted = {raw.detector: expected_mean(raw) for raw in raws}
        for name in self._types:
            for ref in _all_of(butler, name, run, raws):
                found = butler.get(ref)
                mean = wanted[int(ref.dataId["detector"])]
                match name:
                    case "tiny_image":
                        right = bool((found == mean).all())
                    case "tiny_statistics":
                        right = found == {"mean": mean, "std": 0.0}
                    case _:
                        right = len(found) > 0
                if not right:
                    raise RuntimeError(f"{repository.root}: {ref} is {found!r}; its mean should be {mean}.")

    def close(self) -> None:
        for butler in self._butlers.values():
            butler.close()


def _all_of(butler: Butler, name: str, run: str, raws: Sequence[TinyRaw]) -> list[DatasetRef]:
    """Return the datasets of a type of an exposure, one for each raw."""
    refs = butler.query_datasets(
        name,
        run,
        find_first=False,
        limit=None,
        explain=False,
        instrument=INSTRUMENT,
        exposure=raws[0].exposure,
    )
    missing = {raw.detector for raw in raws} - {int(ref.dataId["detector"]) for ref in refs}
    wanted = {raw.detector for raw in raws}
    if missing:
        raise RuntimeError(
            f"{run} has no {name} of exposure {raws[0].exposure}, detectors {sorted(missing)}."
        )
    return [ref for ref in refs if int(ref.dataId["detector"]) in wanted]
