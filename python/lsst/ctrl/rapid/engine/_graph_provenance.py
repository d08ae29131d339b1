"""The provenance quantum graph of an execution, through upstream's writer."""

from __future__ import annotations

__all__ = ("GraphProvenance",)

import contextlib
import logging
from typing import Any
from uuid import UUID

from lsst.daf.butler import Butler
from lsst.pipe.base.log_on_close import LogOnClose
from lsst.pipe.base.quantum_graph import (
    PredictedQuantumGraph,
    ProvenanceQuantumGraphWriter,
    ProvenanceQuantumScanModels,
)

from ._graph_outputs import GraphQuantum

_LOG = logging.getLogger(__name__)


class GraphProvenance:
    """Writes what became of each quantum into a provenance graph.

    Parameters
    ----------
    path
        File to write.
    graph
        The graph that is executed.
    butler
        Where metadata and logs of ended quanta are registered.
    stack
        What closes the file.
    """

    def __init__(
        self, path: str, graph: PredictedQuantumGraph, butler: Butler, stack: contextlib.ExitStack
    ) -> None:
        self._writer = ProvenanceQuantumGraphWriter(
            path, exit_stack=stack, log_on_close=LogOnClose(_LOG.log), predicted=graph
        )
        self._predicted = graph._quantum_datasets  # noqa: SLF001 -- the writer takes them from there, too
        self._butler = butler

    def ended(self, quantum: GraphQuantum, written: frozenset[UUID]) -> None:
        """Write about a quantum that ended, after what it made is registered.

        Parameters
        ----------
        quantum
            The quantum.
        written
            IDs of its outputs that exist.
        """
        metadata, logs = (
            None if edge is None else self._read(quantum, edge.dataset_type_name, written)
            for edge in (quantum.node.metadata_output, quantum.node.log_output)
        )
        predicted = self._predicted[quantum.id]
        models = ProvenanceQuantumScanModels.from_metadata_and_logs(predicted, metadata, logs)
        # A quantum whose process died told nobody what it wrote.
        for ref_id in predicted.iter_output_dataset_ids():
            models.output_existence.setdefault(ref_id, ref_id in written)
        self._writer.write_scan_data(models.to_scan_data(predicted, compressor=self._writer.compressor))

    def _read(self, quantum: GraphQuantum, name: str, written: frozenset[UUID]) -> Any:
        [ref] = quantum.quantum.outputs[name]
        return self._butler.get(ref) if ref.id in written else None

    def blocked(self, quantum: GraphQuantum) -> None:
        """Write about a quantum that was not run because one before it failed."""
        self._writer.write_blocked_quantum_provenance(quantum.id)

    def finish(self) -> None:
        """Write what does not depend on how quanta ended, also after failures."""
        self._writer.write_overall_inputs()
        self._writer.write_packages()
        self._writer.write_init_outputs(assume_existence=True)
