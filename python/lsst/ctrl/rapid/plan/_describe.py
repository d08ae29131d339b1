"""Planned quanta in upstream's serialised form, for the record of what was run."""

from __future__ import annotations

__all__ = ("describe_quanta", "read_identities")

from collections.abc import Iterable

import pydantic

from lsst.pipe.base.quantum_graph import PredictedQuantumDatasetsModel

from ._quanta import Identities, PlannedQuantum

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


def read_identities(described: str) -> Identities:
    """Return who the quanta are that `describe_quanta` has described."""
    quanta = _LIST.validate_json(described)
    return Identities(
        quanta={
            (quantum.task_label, tuple(quantum.data_coordinate)): quantum.quantum_id for quantum in quanta
        },
        outputs={
            (dataset.dataset_type_name, tuple(dataset.data_coordinate)): dataset.dataset_id
            for quantum in quanta
            for datasets in quantum.outputs.values()
            for dataset in datasets
        },
    )
