"""The central repository, as those peers have it whose raws somebody else registers."""

from __future__ import annotations

__all__ = ("Central",)

from collections.abc import Sequence

from lsst.pipe.base import Pipeline

from .._raws import TinyRaw
from .._site import Repository, make_ingestor, pipeline_file, register_raws


class Central:
    """A repository with a complete RUN, into which raws are registered where they are.

    Parameters
    ----------
    repository
        The repository.
    run
        The RUN: its configs and package versions are written.
    """

    def __init__(self, repository: Repository, run: str) -> None:
        self.repository = repository
        self.run = run
        self._butler = repository.open(writeable=True)
        writer = self._butler.clone(run=run, collections=None)
        graph = Pipeline.from_uri(str(pipeline_file())).to_graph(registry=self._butler.registry)
        graph.init_output_run(writer)
        self._ingestor = make_ingestor(self._butler)

    def register(self, raws: Sequence[TinyRaw]) -> Sequence[TinyRaw]:
        """Register raws of an exposure."""
        there = [raw.link(self.repository.root.parent / f"{self.repository.name}-raws") for raw in raws]
        register_raws(self._butler, self._ingestor, there)
        return there

    def close(self) -> None:
        """Close the connection."""
        self._butler.close()
