"""Planned quanta in upstream's serialised form, for the record of what was run."""

from __future__ import annotations

__all__ = ("describe_quanta",)

from collections.abc import Iterable

import pydantic

from lsst.pipe.base.quantum_graph import PredictedQuantumDatasetsModel

from ._quanta import PlannedQuantum

_LIST = pydantic.TypeAdapter(list[PredictedQuantumDatasetsModel])


def describe_quanta(planned: Iterable[PlannedQuantum]) -> str:
    """Return quanta as JSON, a list of `PredictedQuantumDatasetsModel`, without datastore records."""
    described = []
    for quantum in planned:
        model = PredictedQuantumDatasetsModel.from_execution_quantum(
            quantum.node, quantum.quantum, quantum.id
        )
        model.datastore_records = {}
        described.append(model)
    return _LIST.dump_json(described).decode()
