"""The RUNs of an output: made, completed for ``pipetask``, and put into the chains."""

from __future__ import annotations

__all__ = ("OutputRuns", "of_another_pipeline")

import logging
import sys
from collections.abc import Mapping, Sequence

from lsst.daf.butler import Butler, CollectionType, DatasetRef
from lsst.daf.butler.registry import ConflictingDefinitionError, MissingCollectionError
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.utils.packages import Packages

from .._frame import RUN_DOC
from ..model import InputError
from ..plan import (
    CompiledPipeline,
    DatasetMessage,
    RecordsMessage,
    day_chain,
    partial_chain,
    records_to_message,
    register_run,
    run_parts,
)
from ._export import PIPELINE_DATASET, pipeline_record
from ._items import RunItem
from ._made import remove

_LOG = logging.getLogger(__name__)


class OutputRuns:
    """The RUNs that an executor writes to.

    Parameters
    ----------
    butler
        A writing butler.
    pipelines
        The compiled pipelines, by name.
    inputs
        Input collections; the end of the output chain.
    output
        The chain that holds the current RUNs.

    Attributes
    ----------
    partial
        Names of the RUNs of partial gathers.
    """

    def __init__(
        self,
        butler: Butler,
        pipelines: Mapping[str, CompiledPipeline],
        inputs: Sequence[str],
        output: str,
    ) -> None:
        self._butler = butler
        self._pipelines = pipelines
        self._inputs = tuple(inputs)
        self._output = output
        self._ready: set[str] = set()
        self._versions: tuple[frozenset[str], Packages] | None = None
        self.partial = set(
            butler.collections.query(f"{partial_chain(output)}/*", collection_types=CollectionType.RUN)
        )

    def ensure(self, item: RunItem) -> None:
        """Make a RUN, complete it for ``pipetask`` and put it into the chains; once."""
        if item.run in self._ready:
            return
        if not self.is_ours(item):
            self._check_complete(item)
            self._ready.add(item.run)
            return
        register_run(self._butler, item.run, RUN_DOC)
        # Without default collections: through a chain, versions would be compared with those of another RUN.
        writer = self._butler.clone(run=item.run, collections=None)
        graph = self._pipelines[item.pipeline].graph
        self._forget_lost(item.run, graph)
        graph.write_configs(writer)
        self._write_packages(item.run, graph, writer)
        # Tasks may be constructed with what is in the input collections.
        graph.write_init_outputs(self._butler.clone(run=item.run, collections=[item.run, *self._inputs]))
        if self._butler.find_dataset(PIPELINE_DATASET, collections=item.run) is None:
            writer.put(pipeline_record(graph, self._inputs, self._output), PIPELINE_DATASET)
        if item.partial:
            self._prepend(partial_chain(self._output), item.run)
            self.partial.add(item.run)
        else:
            self._prepend(day_chain(self._output, item.day_obs), item.run)
            self._prepend(self._output, item.run, end=self._inputs)
        self._ready.add(item.run)
        _LOG.info("RUN %s is ready.", item.run)

    def _forget_lost(self, run: str, graph: PipelineGraph) -> None:
        """Forget configurations and the like whose files are gone: they are written anew.

        Upstream would read them, to compare.
        """
        names = {graph.packages_dataset_type.name, PIPELINE_DATASET}
        for node in graph.tasks.values():
            names |= {output.dataset_type_name for output in node.init.iter_all_outputs()}
        found = [self._butler.find_dataset(name, collections=run) for name in sorted(names)]
        refs: list[DatasetRef] = [ref for ref in found if ref is not None]
        there = self._butler.stored_many(refs)
        if lost := [ref for ref in refs if not there[ref]]:
            told = ", ".join(ref.datasetType.name for ref in lost)
            _LOG.warning("RUN %s: the files of %s are gone, and are written anew.", run, told)
            remove(self._butler, (ref.id for ref in lost))

    def is_ours(self, item: RunItem) -> bool:
        """Tell whether a RUN is of a pipeline as this run has it; the spool may have those of another."""
        if (pipeline := self._pipelines.get(item.pipeline)) is None:
            return False
        name, short_hash = run_parts(item.run)
        return name != pipeline.name or short_hash == pipeline.hash

    def _check_complete(self, item: RunItem) -> None:
        """Refuse what was made for a RUN that only its own pipeline can complete."""
        try:
            found = self._butler.find_dataset(PIPELINE_DATASET, collections=item.run)
        except MissingCollectionError:
            found = None
        if found is None:
            raise of_another_pipeline(item.pipeline, item.run)

    def _write_packages(self, run: str, graph: PipelineGraph, writer: Butler) -> None:
        """Record the versions of all packages; a RUN that was begun with others keeps what it was begun with.

        Those that matter are in the RUN's name; no night ends because another package was updated.
        """
        if self._butler.find_dataset(graph.packages_dataset_type, collections=run) is None:
            writer.put(self._packages(), graph.packages_dataset_type)
            return
        try:
            graph.write_packages(writer)
        except ConflictingDefinitionError as err:
            _LOG.warning("RUN %s was begun with other versions, which stay on record: %s", run, err)

    def _packages(self) -> Packages:
        """Return the versions of what is imported; finding them out reads the files of every package."""
        imported = frozenset(name.partition(".")[0] for name in tuple(sys.modules))
        if self._versions is None or self._versions[0] != imported:
            self._versions = imported, Packages.fromSystem()
        return self._versions[1]

    def init_inputs(self, item: RunItem) -> tuple[tuple[DatasetMessage, ...], RecordsMessage]:
        """Find what the tasks of a RUN are constructed with: made with it, or in the input collections."""
        if not self.is_ours(item):
            return (), {}
        refs = []
        for name in sorted(self._pipelines[item.pipeline].init_inputs):
            ref = self._butler.find_dataset(name, collections=[item.run, *self._inputs])
            if ref is None:
                raise LookupError(f"{item.pipeline}: there is no {name}, which a task is constructed with.")
            refs.append(ref)
        exported = self._butler._datastore.export_records(refs)  # noqa: SLF001 -- as upstream's builder
        return tuple(DatasetMessage.of(ref) for ref in refs), records_to_message(exported)

    def _prepend(self, chain: str, run: str, end: Sequence[str] = ()) -> None:
        try:
            children = list(self._butler.collections.get_info(chain).children)
        except MissingCollectionError:
            self._butler.collections.register(chain, CollectionType.CHAINED)
            children = []
        wanted = [run, *(child for child in children if child != run and child not in end), *end]
        if wanted != children:
            self._butler.collections.redefine_chain(chain, wanted)

    def trim(self) -> None:
        """Leave in the output chain the RUNs of its newest day; others stay in the chains of their days."""
        try:
            children = self._butler.collections.get_info(self._output).children
        except MissingCollectionError:
            return
        days = {child: self._day(child) for child in children}
        newest = max((day for day in days.values() if day), default="")
        kept = [child for child in children if not days[child] or days[child] == newest]
        if kept != list(children):
            self._butler.collections.redefine_chain(self._output, kept)

    def _day(self, run: str) -> str:
        prefix = f"{self._output}/"
        return run.removeprefix(prefix).partition("/")[0] if run.startswith(prefix) else ""


def of_another_pipeline(pipeline: str, run: str) -> InputError:
    """Return the error that a RUN is of a pipeline that is none of this run's."""
    return InputError(
        f"Results wait in the spool that pipeline {pipeline!r} made, which this run does not have or has "
        f"otherwise, and without it they cannot be registered in {run}. Start once with that pipeline and "
        "this work folder."
    )
